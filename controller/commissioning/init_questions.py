"""The questions of `bess init`: what the options do not say is asked on a terminal, each with a default and a check.

Off a terminal power and energy must be given; everything else has a default.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.commissioning.new_site import InitError, new_site
from controller.commissioning.point_import import Request
from controller.commissioning.site_plan import Answers
from controller.commissioning.vendor_cells import AddressStyle
from controller.commissioning.vendor_entries import Options
from controller.plant.checks.converters import FREQUENCY_OFF_HZ, GRID_FREQUENCIES_HZ
from controller.plant.figures import quantity
from controller.plant.messages import Complaint, did_you_mean, one_of
from controller.plant.schema.types import zone_hint
from controller.plant.site_files import library_names
from controller.plant.units import Dimension, parse_quantity

OK, NO, UNUSABLE = 0, 1, 2

Ask = Callable[..., Any]
"""Asks a person: `ask(question, default=...)` returns the text (typer.prompt)."""


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What was typed. `given`: option name -> value, None where it was not."""

    folder: Path
    given: Mapping[str, str | None]
    points: Path | None
    kind: str
    addresses: str


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    text: str
    default: str
    check: Callable[[str], object]


def init_site(options: InitOptions, ask: Ask | None) -> tuple[str, int]:
    """Write the site; return what to print and the exit code."""
    if ask is None and not (options.given["power"] and options.given["energy"]):
        return "error: a site needs power and energy; expected such as --power 20MW --energy 40MWh", UNUSABLE
    if options.addresses and options.addresses not in list(AddressStyle):
        return f"error: --addresses can't be '{options.addresses}'; expected {one_of(AddressStyle)}", UNUSABLE
    try:
        found = {question.name: _answer(question, options, ask) for question in _questions(options)}
        written = new_site(options.folder, _answers(options, found), _points(options))
    except InitError as error:
        return f"error: {error}", NO
    files = "\n".join(f"wrote {path}" for path in written.files)
    said = f"\n{written.warnings}\n" if written.warnings else ""
    after = f"next: bess validate {options.folder}; then, without hardware: bess run {options.folder} --simulated"
    return f"{written.summary}\n{files}{said}\n{after}", OK


def _questions(options: InitOptions) -> tuple[_Question, ...]:
    device = _one_of(library_names("devices"), "device type")
    return (
        _Question("name", "Name of the site", _title(options.folder.name), _words),
        _Question("power", "Power at the POI", "20 MW", _quantity(Dimension.POWER, "20 MW")),
        _Question("energy", "Energy at the POI", "40 MWh", _quantity(Dimension.ENERGY, "40 MWh")),
        _Question("voltage", "Voltage of the POI", "33 kV", _quantity(Dimension.VOLTAGE, "33 kV")),
        _Question("frequency", "Frequency", "50 Hz", _frequency),
        _Question("timezone", "Time zone", "UTC", _timezone),
        _Question("cell", "Cell type", "generic_280_lfp", _one_of(library_names("cells"), "cell type")),
        _Question("rack_type", "Device type of the racks (or of a bank BMS)", "generic-rack-bms", device),
        _Question("pcs_type", "Device type of the converters", "generic-pcs", device),
        _Question("meter_type", "Device type of the POI meter", "generic-meter", device),
        _Question("containers", "Containers (0: work it out)", "0", _whole),
        _Question("racks", "Racks in each container (0: work it out)", "0", _whole),
        _Question("series", "Cells in series in a rack (0: work it out)", "0", _whole),
    )  # fmt: skip


def _answer(question: _Question, options: InitOptions, ask: Ask | None) -> object:
    """Return the checked answer: as given, as asked (again until it can be), or the default."""
    given = options.given[question.name]
    if given is not None or ask is None:
        try:
            return question.check(given if given is not None else question.default)
        except InitError as error:
            raise InitError(f"--{question.name.replace('_', '-')}: {error}") from error
    while True:
        try:
            return question.check(str(ask(question.text, default=question.default)).strip())
        except InitError as error:
            print(f"  {error}")  # noqa: T201 - to the person who is being asked


def _answers(options: InitOptions, found: Mapping[str, Any]) -> Answers:
    return Answers(
        site_id=re.sub(r"[^a-z0-9]+", "-", options.folder.name.casefold()).strip("-") or "site",
        name=found["name"], power_w=found["power"], energy_wh=found["energy"], voltage_v=found["voltage"],
        frequency_hz=found["frequency"], timezone=found["timezone"], containers=found["containers"],
        racks=found["racks"], cell=found["cell"], series=found["series"], rack_type=found["rack_type"],
        pcs_type=found["pcs_type"], meter_type=found["meter_type"],
    )  # fmt: skip


def _points(options: InitOptions) -> Request | None:
    if options.points is None:
        return None
    style = AddressStyle(options.addresses) if options.addresses else None
    device = re.sub(r"[^a-z0-9]+", "-", options.points.stem.casefold()).strip("-") or "device"
    return Request(options.points, device, options.kind, "", Options(style))


# --------------------------------------------------------------------------------------------------------------- checks


def _title(name: str) -> str:
    return re.sub(r"[-_]+", " ", name).strip().title() or "New site"


def _words(text: str) -> str:
    if not re.fullmatch(r"[\w .'()/-]{1,80}", text):
        raise InitError(f"'{text}' is no name; expected letters, digits and spaces")
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text):
        raise InitError(f"'{text}' is no whole number; expected such as 10, or 0 to have it worked out")
    return int(text)


def _timezone(text: str) -> str:
    if text not in zoneinfo.available_timezones():
        raise InitError(f"no time zone '{text}'; {zone_hint(text) or 'expected such as Europe/Helsinki'}")
    return text


def _frequency(text: str) -> float:
    hertz = _quantity(Dimension.FREQUENCY, "50 Hz or 60 Hz")(text)
    if all(abs(hertz - grid_hz) > FREQUENCY_OFF_HZ for grid_hz in GRID_FREQUENCIES_HZ):
        raise InitError(f"no grid has a nominal frequency of {quantity(hertz, 'Hz')}; expected 50 Hz or 60 Hz")
    return hertz


def _one_of(known: list[str], what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in known:
            raise InitError(f"no {what} '{text}'; {did_you_mean(text, known) or f'expected {one_of(known, 40)}'}")
        return text

    return check


def _quantity(dimension: Dimension, example: str) -> Callable[[str], float]:
    def check(text: str) -> float:
        value = parse_quantity(text, dimension)
        if isinstance(value, Complaint):
            hint = f"; {value.hint}" if value.hint else ""
            raise InitError(f"it {value.message}; expected such as {example}{hint}")
        return value

    return check
