"""`bess init`: a new site's folder from a few answers, or around a maker's point list; it loads before it is written.

Never overwrites: the folder must not exist, or be empty. The files are written beside it first and loaded; only a site
that loads is moved into place.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from controller.commissioning.device_yaml import scalar
from controller.commissioning.point_import import Request, import_points
from controller.commissioning.site_plan import Answers, PlanError, SitePlan, site_plan
from controller.plant.cell_loader import CellTypeError, parse_cell_type
from controller.plant.cell_types import CellType
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceKind, DeviceType
from controller.plant.figures import counted, quantity
from controller.plant.messages import did_you_mean, one_of
from controller.plant.site_files import LIBRARY, library_names
from controller.plant.site_loader import load_site
from controller.plant.units import Dimension, parse_quantity
from controller.plant.yaml_tree import read_document


class InitError(ValueError):
    """A site that can't be written: what is wrong, what is expected."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and what is to be said about it."""

    files: tuple[Path, ...]
    summary: str
    warnings: str


def new_site(folder: Path, answers: Answers, points: Request | None = None) -> Written:
    """Write a new site.

    Args:
        folder: where; must not hold anything.
        answers: what is known.
        points: a point list to import, whose device then takes the place of the library's of its kind.

    Raises:
        InitError: the folder is in use, a name is unknown, the plant is impossible, or the site would not load.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InitError(f"{folder} is there already and not empty; expected a new folder, nothing is overwritten")
    devices, imported = _imported(points)
    answers = _with_device(answers, points) if points is not None else answers
    types = {name: _device_type(name, devices) for name in (answers.rack_type, answers.pcs_type, answers.meter_type)}
    for name, kinds in ((answers.rack_type, (DeviceKind.RACK_BMS, DeviceKind.BANK_BMS)),
                        (answers.pcs_type, (DeviceKind.PCS,)), (answers.meter_type, (DeviceKind.METER,))):  # fmt: skip
        if types[name].kind not in kinds:
            raise InitError(f"{name} is a {types[name].kind}; expected a {' or '.join(kinds)}")
    try:
        plan = site_plan(answers, _cell(answers.cell), types[answers.rack_type])
    except PlanError as error:
        raise InitError(str(error)) from error
    files = {
        "site.yaml": site_text(plan, tuple(devices)),
        "protections.yaml": protections_text(plan),
        **_others(devices),
    }
    warnings = _place(folder, files)
    return Written(tuple(folder / name for name in files), _summary(plan, imported), warnings)


def site_text(plan: SitePlan, devices: tuple[str, ...] = ()) -> str:
    """Return the site file of a plan; `devices`: files of its own device types."""
    a, width = plan.answers, len(str(plan.containers)) if plan.containers > 99 else 2
    blocks = f"{{block:{1:0{width}}..{plan.containers:0{width}}}}"
    fields = {
        "name": scalar(a.name), "blocks": blocks, "racks": f"{{rack:01..{plan.racks:02}}}", "a": a, "p": plan,
        "use": "\n".join(f"  - {name}" for name in ("protections.yaml", *devices)),
        "power": _si(a.power_w, "W"), "apparent": _si(1.1 * a.power_w, "VA"), "energy": _si(a.energy_wh, "Wh"),
        "poi_v": _si(a.voltage_v, "V"), "rack_energy": _si(plan.rack_energy_wh, "Wh"),
        "pcs_power": _si(plan.pcs_power_w, "W"), "pcs_apparent": _si(1.1 * plan.pcs_power_w, "VA"),
        "transformer": _si(1.16 * plan.pcs_power_w, "VA"), "ramp": f"{_si(a.power_w / 10, 'W')}/s",
        "reactive_ramp": f"{_si(a.power_w / 10, 'var')}/s", "pcs_ramp": f"{_si(plan.pcs_power_w, 'W')}/s",
        "no_load": _si(0.001 * plan.pcs_power_w, "W"), "load_loss": _si(0.01 * plan.pcs_power_w, "W"),
        "resistance": f"{1e3 * plan.resistance_ohm:.3g} mohm",
        "break_a": 2 * plan.discharge_a, "total": plan.containers * plan.racks,
    }  # fmt: skip
    served = _BANK if plan.bank else ""
    rack = "" if plan.bank else _RACK
    return _SITE.format(**fields, served=served.format(**fields), rack=rack.format(**fields))


def protections_text(plan: SitePlan) -> str:
    """Return the protection file of a plan; where the preset trips beyond what the cell bears, with rows that don't."""
    text = _PROTECTIONS.format(base=plan.base, cell=plan.answers.cell)
    if _preset_trip_v(plan.base) <= plan.window_max_v:
        return text
    highest_v = plan.window_max_v
    alarm_v, warning_v, reset_v = (highest_v - below_v for below_v in (0.03, 0.06, 0.15))
    levels = f"{{warning: {warning_v:.2f} V, alarm: {alarm_v:.2f} V, trip: {highest_v:.2f} V, reset: {reset_v:.2f} V}}"
    why = f"the preset trips later than {plan.answers.cell} bears"
    return f"{text}rack:                                        # {why}\n  cell_voltage_high: {levels}\n"


def _preset_trip_v(base: str) -> float:
    """Return at which voltage a preset trips on a cell that is charged too high."""
    document, _ = read_document(base, (LIBRARY / "protections" / f"{base}.yaml").read_bytes())
    loc = ("rack", "cell_voltage_high", "trip")
    parsed = parse_quantity(document.text_at(loc) or document.text_at((*loc, "limit")), Dimension.VOLTAGE)
    assert isinstance(parsed, float), "every preset has this row"
    return parsed


def _si(value: float, unit: str) -> str:
    for factor, prefix in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.6g} {prefix}{unit}"
    return f"{value:.6g} {unit}"


# -------------------------------------------------------------------------------------------------------------- answers


def _imported(points: Request | None) -> tuple[dict[str, str], str]:
    """Return the imported device file by its path in the site, and what the import said."""
    if points is None:
        return {}, ""
    found = import_points(points)
    if found.errors:
        raise InitError(found.errors.replace(": error: ", ": ", 1).removeprefix("error: "))
    return {f"devices/{points.device}.yaml": found.text}, found.summary


def _with_device(answers: Answers, points: Request) -> Answers:
    match points.kind:
        case "rack_bms" | "bank_bms":
            return replace(answers, rack_type=points.device)
        case "pcs":
            return replace(answers, pcs_type=points.device)
        case "meter":
            return replace(answers, meter_type=points.device)
        case _:
            raise InitError(f"a list of kind '{points.kind}' makes no site; expected rack_bms, bank_bms, pcs or meter")


def _device_type(name: str, own: Mapping[str, str]) -> DeviceType:
    text = own.get(f"devices/{name}.yaml")
    path = LIBRARY / "devices" / f"{name}.yaml"
    if text is None and not path.is_file():
        known = library_names("devices")
        raise InitError(f"no device type '{name}'; {did_you_mean(name, known) or f'expected {one_of(known, 40)}'}")
    document, _ = read_document(name, (text or path.read_text(encoding="utf-8")).encode())
    device_type, messages = load_device(document, name)
    if device_type is None:
        raise InitError(f"{name}: {messages[0].message}")
    return device_type


def _cell(name: str) -> CellType:
    path = LIBRARY / "cells" / f"{name}.yaml"
    if not path.is_file():
        known = library_names("cells")
        raise InitError(f"no cell type '{name}'; {did_you_mean(name, known) or f'expected {one_of(known)}'}")
    try:
        return parse_cell_type(path.read_text(encoding="utf-8"), path.name)
    except CellTypeError as error:
        raise InitError(str(error)) from error


# -------------------------------------------------------------------------------------------------------------- writing


def _others(devices: Mapping[str, str]) -> dict[str, str]:
    return {**devices, "devices/README.md": _DEVICES, ".gitignore": _IGNORED}


def _place(folder: Path, files: Mapping[str, str]) -> str:
    """Write beside the folder, load, and move into place; return the warnings."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, text in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_text(text, encoding="utf-8")
        said = _loaded(aside)
        aside.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return said


def _loaded(folder: Path) -> str:
    """Return what is to be said about a site; InitError if it does not load."""
    found = load_site(folder)
    if found.plant is None:
        of_list = any(message.place.file.startswith("devices/") for message in found.errors)
        alone = "; 'bess points import' writes the list's device file alone, to be completed by hand" if of_list else ""
        raise InitError(f"the site would not load; nothing is written{alone}\n\n{found.text()}")
    return found.text()


def _summary(plan: SitePlan, imported: str) -> str:
    total = plan.containers * plan.racks
    boxes = f"{counted(plan.containers, 'container')} of {counted(plan.racks, 'rack')}"
    racks = f"{boxes}, {counted(total, 'rack')} of {counted(plan.series, 'cell')}"
    installed = quantity(total * plan.rack_energy_wh, "Wh")
    said = f"{plan.answers.name}: {racks}, {installed} installed; converters of {_si(plan.pcs_power_w, 'W')}"
    return f"{said}\n{imported}" if imported else said


_SITE = """# {a.name}: {power} / {energy}, {total} racks in {p.containers} containers. Written by bess init.
# Whatever is marked "plan" follows from power and energy; replace it by what the makers' data sheets say.
schema: site/v1

site:
  id: {a.site_id}
  name: {name}
  timezone: {a.timezone}
  sign: discharge_positive
  rating: {{power: {power}, apparent: {apparent}, energy: {energy}}}
  poi:    {{voltage: {poi_v}, frequency: {a.frequency_hz:g} Hz, export_limit: {power}, import_limit: {power}}}

use:
{use}

batteries:
  rack{p.series}:
    cell: {a.cell}
    cells: {{series: {p.series}, parallel: {p.parallel}, modules: {p.modules}, temps_per_module: 4}}   # plan
    capacity: {p.capacity_ah:g} Ah
    energy: {rack_energy}   # plan
    window: {{min: {p.window_min_v:.2f} V, max: {p.window_max_v:.2f} V}}   # plan
    current: {{charge: {p.charge_a:g} A, discharge: {p.discharge_a:g} A, break: {break_a:g} A}}   # plan
    resistance: {resistance}   # plan
    bms_trips: {{}}   # what the BMS does by itself, from its manual: ours are graded against it. Such as
    #   cell_voltage_high: {{limit: {p.window_max_v:.2f} V, delay: 1 s}}

racks:
  - name: "B{blocks}-R{racks}"
    battery: rack{p.series}
{rack}{served}
buses:
  - name: "DC{blocks}"
    racks: "B{{block}}-R*"
    pcs: "PCS{{block}}"
    bms_stops_pcs: controller_only           # or hardwired, can: who takes the current away when a BMS trips

pcs:
  - name: "PCS{blocks}"
    type: {a.pcs_type}
    connect: "tcp://{a.network}.{{block}}.20:502?unit=1"
    rating: {{power: {pcs_power}, apparent: {pcs_apparent}}}   # plan
    dc: {{min: {p.dc_min_v:g} V, max: {p.dc_max_v:g} V, current: {p.dc_current_a:g} A}}   # plan
    ac_voltage: {p.ac_voltage_v:g} V   # plan
    ramp: {pcs_ramp}
    efficiency: 98 %
    transformer: "T{{block}}"

transformers:
  - name: "T{blocks}"
    apparent: {transformer}   # plan
    primary: {poi_v}
    secondary: {p.ac_voltage_v:g} V
    no_load_loss: {no_load}
    load_loss: {load_loss}

meters:
  - {{name: GRID, type: {a.meter_type}, connect: "tcp://{a.network}.0.5:502?unit=1", role: poi, voltage: {poi_v}}}

interlocks:
  - {{name: ESTOP, kind: estop, input: IO01.1}}
  - {{name: "FIRE{blocks}", kind: fire, input: "IO01.{{block+1}}"}}

digital_io:
  - {{name: IO01, type: generic-digital-io, connect: "tcp://{a.network}.0.6:502?unit=1"}}

controls:
  scan: 250 ms
  limits: {{ramp: {ramp}, reactive_ramp: {reactive_ramp}, soc: {{min: 5 %, max: 95 %}}}}
  setpoint: {{timeout: 60 s, timeout_max: 15 min}}

scada:                                       # loopback only, until it is decided who may do what
  opcua: {{listen: opc.tcp://127.0.0.1:4840, security: [None], anonymous: yes}}
  modbus: {{listen: tcp://127.0.0.1:5020}}

simulation: {{seed: 1, soc: 50 %}}
"""
_RACK = """    type: {a.rack_type}
    connect: "tcp://{a.network}.{{block}}.{{rack+100}}:502?unit=1"
"""
_BANK = """
banks:
  - name: "BANK{blocks}"
    type: {a.rack_type}
    connect: "tcp://{a.network}.{{block}}.10:502?unit=1"
    racks: "B{{block}}-R*"
"""
_PROTECTIONS = """# The preset for this chemistry; the data sheet of the cell wins over it. A row written here changes
# the preset's row, number by number, and `bess explain SITE cell_voltage_high` shows where each number comes from:
#   rack:
#     cell_voltage_high: {{alarm: 3.58 V}}
schema: protections/v1
base: {base}
"""
_DEVICES = """# Device files of this site

One file a kind of device, named under `use` in `site.yaml` and as `type` where it stands. Make one from a maker's list:

    bess points import LIST.xlsx --device NAME --kind rack_bms --out devices/NAME.yaml
"""
_IGNORED = """# what runs leave behind; site files, maps and reports belong into the history
*.parquet
*.pcap
/state/
/secrets/
"""
