"""The packaged demo site, as it is or with more racks.

The 24-rack text is the one source; a larger demo is the same text with longer axes and larger ratings, so that tags
and keys keep their form.
"""

from __future__ import annotations

from pathlib import Path

from controller.plant.site_files import LIBRARY

DEMO = LIBRARY / "sites" / "demo"
DEMO_SITE_ID = "demo"
DEMO_RACKS = 24
DEMO_RACKS_PER_BLOCK = 12
MOST_RACKS_PER_BLOCK = 24
RACK_POWER_W = 100e3
RACK_ENERGY_WH = 187.5e3


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
    axes, ratings = _axes(racks // per_block, per_block), _ratings(racks, per_block)
    for old, new in {**axes, **ratings}.items():
        if old not in text:
            raise ValueError(f"the demo site no longer says '{old}'")
        text = text.replace(old, new)
    return text


def _axes(blocks: int, per_block: int) -> dict[str, str]:
    """Return the demo's axes and what they become: the first half of the blocks has banks, the rest has not."""
    banks, width = (blocks + 1) // 2, max(2, len(str(blocks)))
    one, last_bank, first_single, last = (f"{n:0{width}}" for n in (1, banks, banks + 1, blocks))
    return {
        "{block:01..01}": f"{{block:{one}..{last_bank}}}",
        "{block:02..02}": f"{{block:{first_single}..{last}}}",
        "{block:01..02}": f"{{block:{one}..{last}}}",
        "{rack:01..12}": f"{{rack:01..{per_block:02}}}",
    }


def _ratings(racks: int, per_block: int) -> dict[str, str]:
    """Return the demo's ratings and what they become, each in proportion to the racks behind it."""
    power_mw = RACK_POWER_W * racks / 1e6
    energy_mwh = RACK_ENERGY_WH * racks / 1e6
    block_kw = RACK_POWER_W * per_block / 1e3
    return {
        "2.4 MW / 4.5 MWh, 24 racks in two blocks": f"{power_mw:g} MW / {energy_mwh:g} MWh, {racks} racks",
        "power: 2.4 MW, apparent: 2.64 MVA": f"power: {power_mw:g} MW, apparent: {power_mw * 1.1:g} MVA",
        "energy: 4.5 MWh": f"energy: {energy_mwh:g} MWh",
        "limit: 2.4 MW": f"limit: {power_mw:g} MW",
        "ramp: 2.4 MW/s\n": f"ramp: {block_kw * 2:g} kW/s\n",
        "ramp: 2.4 M": f"ramp: {power_mw:g} M",
        "power: 1.2 MW, apparent: 1.32 MVA": f"power: {block_kw:g} kW, apparent: {block_kw * 1.1:g} kVA",
        "current: 2 kA": f"current: {block_kw / 0.6:.0f} A",
        "apparent: 1.4 MVA": f"apparent: {block_kw * 1.4 / 1.2:.0f} kVA",
        "no_load_loss: 1.6 kW": f"no_load_loss: {block_kw * 1.6 / 1.2:.0f} W",
        "load_loss: 13 kW": f"load_loss: {block_kw * 13 / 1.2:.0f} W",
        "power: 12 kW": f"power: {per_block:g} kW",
    }
