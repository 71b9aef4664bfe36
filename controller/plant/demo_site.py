"""The packaged demo site, as it is or with more racks.

The 24-rack text is the one source; a larger demo is the same text with longer axes and larger ratings, so that tags
and keys keep their form.
"""

from __future__ import annotations

from pathlib import Path

from controller.plant.site_files import LIBRARY

DEMO = LIBRARY / "sites" / "demo"
DEMO_RACKS = 24
DEMO_RACKS_PER_BLOCK = 12
MOST_RACKS_PER_BLOCK = 24
RACK_POWER_KW = 100


def demo_site_files(racks: int = DEMO_RACKS) -> dict[str, str]:
    """Return the demo's files by name for a number of racks; ValueError if so many can't be laid out.

    Half of the blocks are bank-managed, the other half have an endpoint a rack.
    """
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(DEMO.glob("*.yaml"))}
    if racks != DEMO_RACKS:
        files["site.yaml"] = _resized(files["site.yaml"], racks)
    return files


def write_demo_site(folder: Path, racks: int = DEMO_RACKS) -> Path:
    """Write the demo's files to a folder and return its site file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in demo_site_files(racks).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "site.yaml"


def racks_per_block(racks: int) -> int:
    """Return how many racks stand in a block: as many as fit evenly, at most 24, in two blocks or more."""
    if not 2 <= racks <= 10_000:
        raise ValueError(f"the demo has 2 to 10000 racks, not {racks}")
    if racks == DEMO_RACKS:
        return DEMO_RACKS_PER_BLOCK
    return max(d for d in range(1, MOST_RACKS_PER_BLOCK + 1) if racks % d == 0 and racks // d >= 2)


def _resized(text: str, racks: int) -> str:
    per_block = racks_per_block(racks)
    blocks = racks // per_block
    banks = (blocks + 1) // 2
    width = max(2, len(str(blocks)))
    plant_kw, block_kw = RACK_POWER_KW * racks, RACK_POWER_KW * per_block
    for old, new in (
        ("{block:01..01}", f"{{block:{1:0{width}}..{banks:0{width}}}}"),
        ("{block:02..02}", f"{{block:{banks + 1:0{width}}..{blocks:0{width}}}}"),
        ("{block:01..02}", f"{{block:{1:0{width}}..{blocks:0{width}}}}"),
        ("{rack:01..12}", f"{{rack:01..{per_block:02}}}"),
        ("2.4 MW / 4.8 MWh, 24 racks in two blocks", f"{plant_kw / 1e3:g} MW / {plant_kw / 500:g} MWh, {racks} racks"),
        ("power: 2.4 MW, apparent: 2.64 MVA, energy: 4.8 MWh", _rating(plant_kw)),
        ("limit: 2.4 MW", f"limit: {plant_kw / 1e3:g} MW"),
        (
            "ramp: 2.4 MW/s, reactive_ramp: 2.4 Mvar/s",
            f"ramp: {plant_kw / 1e3:g} MW/s, reactive_ramp: {plant_kw / 1e3:g} Mvar/s",
        ),
        ("power: 1.2 MW, apparent: 1.32 MVA", f"power: {block_kw:g} kW, apparent: {block_kw * 1.1:g} kVA"),
        ("max: 920 V, current: 2 kA", f"max: 920 V, current: {block_kw / 0.6:.0f} A"),
        ("ramp: 2.4 MW/s\n", f"ramp: {block_kw * 2} kW/s\n"),
        ("apparent: 1.4 MVA", f"apparent: {block_kw * 1.4 / 1.2:.0f} kVA"),
    ):
        if old not in text:
            raise ValueError(f"the demo site no longer says '{old}'")
        text = text.replace(old, new)
    return text


def _rating(plant_kw: float) -> str:
    return f"power: {plant_kw / 1e3:g} MW, apparent: {plant_kw * 1.1 / 1e3:g} MVA, energy: {plant_kw / 500:g} MWh"
