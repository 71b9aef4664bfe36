"""A site as facts: everything that its files come to after expansion, in the words of the field.

A fact belongs to a subject (`rack B01-R03`, `protection cell_voltage_high`, `device type acme-r280`) and is a key with
its value as text (`trip` -> `3.65 V`). References are names, never indices, so that adding a rack changes no other
rack's facts. Differences between two sites and the slices that checks depend on are both taken from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from controller.alarms.groups import unit_of
from controller.alarms.text import quantity_text
from controller.commissioning.cell_facts import cell_facts
from controller.plant.coordination import NEVER_AT_ZERO
from controller.plant.device_types import CommunicationTimeout, DevicePoint, DeviceType, RegisterPlace, SunSpecPlace
from controller.plant.figures import quantity
from controller.plant.model import BatteryType, Device, Plant
from controller.plant.protection_rows import Graded, ProtectionRow
from controller.plant.schedule import MINUTES_A_DAY, WEEKDAYS, ScheduleEntry
from controller.points.party_map import PartyPoint


class Subject(NamedTuple):
    """Whose fact it is: a group of the site file in the singular, and a name."""

    group: str
    name: str

    def __str__(self) -> str:
        """Return `rack B01-R03`."""
        return f"{self.group} {self.name}".strip()


ONLY = "only"
"""The key of a protection row's fact that tells which kinds of equipment it is about."""

Facts = Mapping[Subject, Mapping[str, str]]

_UNITS = {"w": "W", "va": "VA", "v": "V", "a": "A", "s": "s", "hz": "Hz", "wh": "Wh", "ah": "Ah", "ohm": "ohm"}
_LEFT_OUT = {"index", "tag", "name", "cell", "battery"}
_PLURALS = {"racks": "racks", "pcs": "pcs"}


PartyRows = Mapping[int, Sequence[PartyPoint]]
"""The rows of the lists that parties brought, by the unit that serves them; they lie in files of their own."""


def facts(plant: Plant, parties: PartyRows | None = None) -> Facts:
    """Return all facts of a plant, and of the lists that parties brought."""
    return {subject: dict(found) for subject, found in (*_facts(plant), *_party_maps(plant, parties or {}))}


def _facts(plant: Plant) -> Iterator[tuple[Subject, Iterable[tuple[str, str]]]]:
    yield Subject("site", plant.site_id), [("name", plant.name), ("timezone", plant.timezone)]
    yield Subject("POI", ""), [("meter", _named(plant.meters, plant.poi.meter)), *_fields(plant, plant.poi, {"meter"})]
    for battery in plant.battery_types:
        yield Subject("battery", battery.name), _battery(battery)
    for group, members in equipment(plant):
        for member in members:
            yield Subject(group, member.name), _fields(plant, member, set())
    for device in plant.devices:
        yield Subject("device", device.name), _device(plant, device)
    for device_type in {d.type.name: d.type for d in plant.devices}.values():
        yield Subject("device type", device_type.name), _device_type(device_type)
    for row in plant.protection:
        yield row_subject(row), _row(row)
    yield Subject("control", ""), _fields(plant, plant.control, set())
    for face, settings in (("OPC UA", plant.faces.opcua), ("Modbus", plant.faces.modbus)):
        if settings is not None:
            yield Subject("face", face), _fields(plant, settings, {"maps"})
    for entry in plant.schedule:
        yield Subject("schedule", entry.name), _scheduled(entry)


def equipment(plant: Plant) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the equipment of a plant by its group; each has `name` and `index`."""
    yield "rack", plant.racks
    yield "bank", plant.banks
    yield "bus", plant.buses
    yield "PCS", plant.pcs
    yield "transformer", plant.transformers
    yield "meter", plant.meters
    yield "interlock", plant.interlocks
    yield "auxiliary", plant.auxiliaries


def _fields(plant: Plant, item: Any, without: set[str]) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any section
    """Yield the fields of a dataclass: units from their names, references by name."""
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if field.name in without or field.name in _LEFT_OUT - {"battery"}:
            continue
        key, unit = _split(field.name)
        if field.name in _REFERENCES and isinstance(value, int):
            yield field.name, _named(getattr(plant, _REFERENCES[field.name]), value)
        elif field.name in _PLURALS and isinstance(value, tuple):
            members: Sequence[Any] = getattr(plant, _PLURALS[field.name])
            yield field.name, ", ".join(members[i].name for i in value)
        elif dataclasses.is_dataclass(value) and field.name != "battery":
            yield from ((f"{key}.{inner}", text) for inner, text in _fields(plant, value, set()))
        else:
            yield key, _text(value, unit)


_REFERENCES = {"block": "blocks", "bus": "buses", "bank": "banks", "transformer": "transformers", "meter": "meters"}


def _split(name: str) -> tuple[str, str]:
    """Return a field's key and unit: `ramp_w_per_s` -> ramp, W/s."""
    rate = name.removesuffix("_per_s")
    stem, _, last = rate.rpartition("_")
    if last in _UNITS or last == "var":
        unit = _UNITS.get(last, "var")
        key = f"{stem}_reactive" if unit == "var" and "reactive" not in stem else stem
        return key, f"{unit}/s" if rate != name else unit
    return (stem, "%") if last == "ratio" and stem not in {"ct", "vt"} else (name, "")


def _text(value: object, unit: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, BatteryType):
        return value.name
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (int, float)) and unit:
        return _quantity(float(value), unit)
    if isinstance(value, tuple):
        return ", ".join(_text(v, "") for v in value) or "none"
    return str(value)


def _quantity(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.6g} %"
    return quantity(value, unit, 6)


def _named(members: Sequence[Any], index: int) -> str:
    return str(members[index].name) if index >= 0 else "none"


def _battery(battery: BatteryType) -> Iterator[tuple[str, str]]:
    yield "cell", battery.cell.name
    for field in dataclasses.fields(battery):
        if field.name in {"name", "cell", "bms_trips"}:
            continue
        key, unit = _split(field.name)
        yield key, _text(getattr(battery, field.name), unit)
    yield from cell_facts(battery.cell)
    for trip in battery.bms_trips:
        unit = next((u for word, u in _BMS_TRIP_UNITS.items() if word in trip.row), "")
        yield f"BMS trip {trip.row}", f"{quantity(trip.limit, unit)} after {trip.delay_s:g} s"


_BMS_TRIP_UNITS = {"voltage": "V", "temperature": "degC", "current": "A"}


def _device(plant: Plant, device: Device) -> Iterator[tuple[str, str]]:
    link = plant.links[device.link]
    yield "address", f"{link.address} unit {device.unit}"
    yield "type", device.type.name
    yield "in flight", str(link.in_flight)
    yield "gap", f"{link.gap_s:g} s"
    yield "time-out", f"{link.timeout_s:g} s"
    for block in device.type.poll_blocks:
        yield f"poll {block.name}", f"{device.period_s(block.name):g} s"
    owners = {"rack": plant.racks, "bank": plant.banks, "pcs": plant.pcs, "meter": plant.meters,
              "interlock": plant.interlocks}  # fmt: skip
    for binding in device.bindings:
        members: Sequence[Any] = owners[binding.owner.value]
        yield f"serves {members[binding.equipment].name}", f"block {binding.instance + 1}"
    yield "communication time-out", _timeout(device.type.communication_timeout)


def _timeout(timeout: CommunicationTimeout | None) -> str:
    if timeout is None:
        return "not stated"
    ramp = "" if timeout.then in NEVER_AT_ZERO else f" in {timeout.ramp_s:g} s"
    return f"{timeout.after_s:g} s, then {timeout.then.value}{ramp}"


def _device_type(device_type: DeviceType) -> Iterator[tuple[str, str]]:
    yield "maker", device_type.maker
    yield "heartbeat", "none" if device_type.heartbeat_period_s is None else f"{device_type.heartbeat_period_s:g} s"
    yield "contactor control", device_type.contactor_control.value
    yield (
        "repeat",
        "none"
        if device_type.repeat is None
        else f"{device_type.repeat.count} x {device_type.repeat.equipment} every {device_type.repeat.stride}",
    )
    yield "refresh", "not stated" if device_type.refresh_s is None else f"{device_type.refresh_s:g} s"
    yield "reads", f"{device_type.max_read_registers} registers, gaps of {device_type.max_gap_registers}"
    if device_type.identity is not None:
        identity = device_type.identity
        yield "identity", f"'{identity.equals}' at {identity.place.table} {identity.place.address}"
    for number, write in enumerate(device_type.setup, start=1):
        yield f"set-up {number}", f"{_place(write.place)} = {write.value}"
    yield from ((f"point {p.signal.name}", point_text(p)) for p in device_type.points)


def point_text(point: DevicePoint) -> str:
    """Return all that decides what a register means, on one line."""
    parts = [_place(point.place), point.register_type]
    parts += [f"x{point.count}"] if point.count > 1 and isinstance(point.place, RegisterPlace) else []
    parts += [f"* {point.scale:g}"] if point.scale != 1.0 else []
    parts += [f"+ {point.offset:g}"] if point.offset else []
    parts += [point.unit] if point.unit else []
    parts += ["turned round"] if point.sign < 0 else []
    parts += [point.words.value] if point.words.value != "high_first" else []
    parts += [f"missing {m:#x}" for m in point.missing]
    parts += [", ".join(f"{raw}={_word(point, code)}" for raw, code in point.codes)] if point.codes else []
    if point.valid_min is not None or point.valid_max is not None:
        parts.append(f"from {point.valid_min} to {point.valid_max}")
    parts += [f"read {point.poll_block}"] if point.poll_block else []
    parts += [f"written, {point.writable.value}"] if point.writable else []
    parts += [f"every {point.refresh_s:g} s"] if point.refresh_s is not None else []
    return " ".join(filter(None, parts))


def _word(point: DevicePoint, code: int) -> str:
    """Return what a device file calls a code of its signal."""
    codes = point.signal.codes
    return codes(code).name.lower() if codes is not None else _text(bool(code), "")


def _place(place: RegisterPlace | SunSpecPlace) -> str:
    if isinstance(place, SunSpecPlace):
        return f"sunspec {place.model}.{f'{place.group}.' if place.group else ''}{place.point}"
    apart = f" stride {place.stride}" if place.stride else ""
    blocks = f" every {place.repeat_stride}" if place.repeat_stride else ""
    return f"{place.table} {place.address}{apart}{blocks}"


def _scheduled(entry: ScheduleEntry) -> Iterator[tuple[str, str]]:
    yield "days", ", ".join(WEEKDAYS[day] for day in sorted(entry.days))
    yield "from", _time_of_day(entry.start_min)
    yield "to", _time_of_day(entry.end_min)
    yield "mode", entry.action.mode.value
    yield "power", quantity(entry.action.power_w, "W", 6)
    yield "reactive", quantity(entry.action.reactive_var, "var", 6)
    yield "until SOC", "not stated" if entry.action.soc_ratio is None else _quantity(entry.action.soc_ratio, "%")


def _time_of_day(minutes: int) -> str:
    return "{:02}:{:02}".format(*divmod(minutes % MINUTES_A_DAY, 60))


def _party_maps(plant: Plant, parties: PartyRows) -> Iterator[tuple[Subject, Iterable[tuple[str, str]]]]:
    """Yield a subject for each party: who may write, and how each row shows its point."""
    for party in plant.faces.modbus.maps if plant.faces.modbus is not None else ():
        rows: dict[str, str] = {}
        for row in parties.get(party.unit, ()):
            earlier = f"{rows[row.target.tag]}; " if row.target.tag in rows else ""
            rows[row.target.tag] = f"{earlier}{_party_row(row)}"
        settings = [("unit", str(party.unit)), ("writers", ", ".join(party.writers) or "none")]
        yield party_subject(party.party), [*settings, *rows.items()]


def _party_row(row: PartyPoint) -> str:
    place = row.place
    parts = [f"register {place.address} {place.type.value}", f"* {row.scale:g} {row.unit}".rstrip()]
    parts += ["turned round"] if row.sign < 0 else []
    parts += ["low word first"] if place.low_first else []
    parts += [f"deadband {row.deadband:g}"] if row.deadband else []
    parts += ["writable"] if place.writable else []
    return " ".join(parts)


def party_subject(party: str) -> Subject:
    """Return what the list that a party brought is called."""
    return Subject("party map", party)


def row_subject(row: ProtectionRow) -> Subject:
    """Return what a protection row is called: its section and its name, as one name may stand in several sections."""
    return Subject("protection", f"{row.owner.value}.{row.name}")


def _row(row: ProtectionRow) -> Iterator[tuple[str, str]]:
    yield "of", row.owner.value
    also = "".join(f" or {name} {reduction.value}" for name, reduction in row.also)
    yield "compares", f"{row.signal} {row.reduction.value} {row.direction.value}{also}"
    for graded in row.levels:
        yield from ((f"{graded.level.name.lower()}{key}", text) for key, text in _graded(row, graded))
    unit = unit_of(row)
    yield "reset", f"{quantity_text(row.reset, unit) if unit else f'{row.reset:g}'}, {row.off_delay_s:g} s"
    yield "reset class", row.reset_class.value
    yield "when", f"{row.qualifier.value} {row.qualifier_current_a:g} A"
    yield "window", f"{row.window_s:g} s"
    yield ONLY, ", ".join(row.only) or "all"


def _graded(row: ProtectionRow, graded: Graded) -> Iterator[tuple[str, str]]:
    unit = unit_of(row)
    yield "", quantity_text(graded.limit, unit) if unit else f"{graded.limit:g}"
    yield " delay", f"{graded.delay_s:g} s"
    yield " action", graded.action.value
