"""A device file (`device/v1`) read into a `DeviceType`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from controller.plant.device_types import (
    CommunicationTimeout,
    DevicePoint,
    DeviceType,
    Identity,
    PollBlock,
    RegisterPlace,
    RegisterTable,
    Repeat,
    SetupWrite,
    SourceDocument,
    SunSpecPlace,
)
from controller.plant.messages import Complaint, Message, did_you_mean, error, one_of
from controller.plant.schema.device import AddressBase, DeviceFile, PointSection, SignConvention
from controller.plant.schema.messages import check
from controller.plant.signals import SIGNALS, Signal, SignalForm
from controller.plant.units import Dimension, Unit, parse_quantity, parse_unit
from controller.plant.yaml_tree import Document, Loc

REGISTER_WORDS = {
    "u16": 1, "i16": 1, "enum16": 1, "bits16": 1, "u32": 2, "i32": 2, "f32": 2, "enum32": 2, "bits32": 2, "acc32": 2,
    "u64": 4, "i64": 4, "f64": 4, "acc64": 4, "bool": 1,
}  # fmt: skip
"""Registers (for `bool`: bits of a bit table) that a value of each type takes."""

REPEATABLE = ("rack", "interlock")
MAX_ADDRESS = 65_535

DIMENSION_OF_UNIT = {
    "V": Dimension.VOLTAGE,
    "A": Dimension.CURRENT,
    "W": Dimension.POWER,
    "var": Dimension.REACTIVE_POWER,
    "VA": Dimension.APPARENT_POWER,
    "Wh": Dimension.ENERGY,
    "Hz": Dimension.FREQUENCY,
    "degC": Dimension.TEMPERATURE,
    "ratio": Dimension.RATIO,
    "ohm": Dimension.RESISTANCE,
    "s": Dimension.TIME,
}
"""What a signal's base unit measures."""

_NEGATIVE = {SignConvention.CHARGE_POSITIVE, SignConvention.IMPORT_POSITIVE, SignConvention.ABSORBED_POSITIVE}
_AT_EXPECTED = "such as 'input 16', 'holding 0', 'discrete 3', 'coil 0' or 'sunspec 804.A'"
_AT = re.compile(r"(\w+)\s+([0-9]{1,6})")
_SUNSPEC = re.compile(r"sunspec\s+([0-9]{1,5})\.(?:([\w-]+)\.)?(\w+)")


def words_of(register_type: str) -> int:
    """Return how many registers a value of this type takes; 0 if there is no such type."""
    if re.fullmatch(r"string[1-9][0-9]?", register_type):
        return int(register_type[6:])
    return REGISTER_WORDS.get(register_type, 0)


def load_device(document: Document, path: str) -> tuple[DeviceType | None, list[Message]]:
    """Return the device type of a device file, or None with what is wrong with it."""
    parsed, messages = check(document, DeviceFile)
    if parsed is None:
        return None, messages
    reader = _Reader(document, parsed)
    device_type = reader.device_type(path)
    return (None, reader.messages) if reader.messages else (device_type, [])


def register_span(point: DevicePoint) -> int:
    """Return how many registers (or bits) a point with all its elements stretches over."""
    width = words_of(point.register_type)
    stride = point.place.stride if isinstance(point.place, RegisterPlace) else 0
    return (point.count - 1) * (stride or width) + width


@dataclass
class _Reader:
    """Reads one file's parts; collects messages at the places of the parts."""

    document: Document
    file: DeviceFile
    messages: list[Message] = field(default_factory=list)

    def device_type(self, path: str) -> DeviceType:
        file = self.file
        return DeviceType(
            name=file.device,
            kind=file.kind,
            maker=file.maker,
            source=self._source(),
            points=tuple(p for name in file.points if (p := self._point(name)) is not None),
            poll_blocks=tuple(PollBlock(name, block.every) for name, block in file.blocks.items()),
            repeat=self._repeat(),
            sunspec_models=tuple(file.sunspec),
            identity=self._identity(),
            max_read_registers=file.max_read,
            max_read_bits=file.max_read_bits,
            max_gap_registers=file.max_gap,
            forbidden=self._forbidden(),
            pipeline=file.pipeline,
            gap_s=file.gap,
            response_s=file.response,
            timeout_s=file.timeout,
            refresh_s=file.refresh,
            contactor_control=file.control,
            communication_timeout=self._communication_timeout(),
            heartbeat_period_s=file.heartbeat,
            file=path,
            notes=tuple(file.notes),
            setup=self._setup(),
        )

    def _complain(self, loc: Loc, message: str, expected: str = "", hint: str = "", *, key: bool = False) -> None:
        self.messages.append(error(self.document.place_of(loc, key=key), message, expected, hint))

    def _source(self) -> SourceDocument | None:
        source = self.file.source
        if source is None:
            return None
        return SourceDocument(source.document, source.pages, source.checked_by or "", source.checked_on or "")

    def _repeat(self) -> Repeat | None:
        repeats = list(self.file.repeat.items())
        for equipment, _ in repeats:
            if equipment not in REPEATABLE:
                hint = did_you_mean(equipment, REPEATABLE)
                self._complain(("repeat", equipment), f"'{equipment}' can't repeat", one_of(REPEATABLE), hint, key=True)
        if len(repeats) > 1:
            self._complain(("repeat", repeats[1][0]), "two kinds of equipment repeat", "one", key=True)
        return Repeat(repeats[0][0], repeats[0][1].count, repeats[0][1].stride) if repeats else None

    def _identity(self) -> Identity | None:
        identify = self.file.identify
        if identify is None:
            return None
        place = self._place(("identify", "at"), identify.at, 0)
        self._check_type(("identify", "as"), identify.as_)
        if isinstance(place, SunSpecPlace):
            self._complain(("identify", "at"), "a SunSpec device is identified by its model 1", "no 'identify'")
        return Identity(place, identify.as_, identify.equals) if isinstance(place, RegisterPlace) else None

    def _communication_timeout(self) -> CommunicationTimeout | None:
        timeout = self.file.communication_timeout
        return None if timeout is None else CommunicationTimeout(timeout.after, timeout.then, timeout.ramp)

    def _setup(self) -> tuple[SetupWrite, ...]:
        writes = []
        for position, section in enumerate(self.file.setup):
            loc: Loc = ("setup", position)
            place = self._place((*loc, "at"), section.at, 0)
            if section.as_ is not None:
                self._check_type((*loc, "as"), section.as_)
            elif isinstance(place, RegisterPlace):
                self._complain(loc, "the setup register has no type", "a key 'as', such as 'as: u16'")
            if place is not None:
                writes.append(SetupWrite(place, section.as_ or "", section.value))
        return tuple(writes)

    def _forbidden(self) -> tuple[tuple[RegisterTable, int, int], ...]:
        ranges = []
        for position, text in enumerate(self.file.forbidden):
            matched = re.fullmatch(r"(\w+)\s+([0-9]{1,5})\.\.([0-9]{1,5})", text)
            if matched is None or matched[1] not in list(RegisterTable) or int(matched[2]) > int(matched[3]):
                self._complain(("forbidden", position), f"'{text}' is no range of registers", "such as 'input 90..99'")
            else:
                first, last = self._wire_address(int(matched[2])), self._wire_address(int(matched[3]))
                ranges.append((RegisterTable(matched[1]), first, last))
        return tuple(ranges)

    def _wire_address(self, number: int) -> int:
        return number - 1 if self.file.address is AddressBase.ONE_BASED else number

    def _place(self, loc: Loc, text: str, stride: int) -> RegisterPlace | SunSpecPlace | None:
        sunspec = _SUNSPEC.fullmatch(text)
        if sunspec:
            return self._sunspec_place(loc, int(sunspec[1]), sunspec[2] or "", sunspec[3])
        matched = _AT.fullmatch(text)
        if matched is None or matched[1] not in list(RegisterTable):
            hint = _modicon_hint(text) or (
                did_you_mean(text.split(maxsplit=1)[0], [*RegisterTable, "sunspec"]) if text.split() else ""
            )
            self._complain(loc, f"'{text}' is no register", _AT_EXPECTED, hint)
            return None
        address = self._wire_address(int(matched[2]))
        if not 0 <= address <= MAX_ADDRESS:
            self._complain(loc, f"there is no register {matched[2]}", f"0 to {MAX_ADDRESS}", _modicon_hint(matched[2]))
            return None
        return RegisterPlace(RegisterTable(matched[1]), address, stride)

    def _sunspec_place(self, loc: Loc, model: int, group: str, point: str) -> SunSpecPlace | None:
        if model not in self.file.sunspec:
            models = ", ".join(str(m) for m in self.file.sunspec)
            self._complain(loc, f"model {model} is not among this device's models", f"one of {models}")
            return None
        return SunSpecPlace(model, point, group)

    def _check_type(self, loc: Loc, register_type: str) -> None:
        if not words_of(register_type):
            known = [*REGISTER_WORDS, "string8"]
            hint = _TYPE_NAMES.get(register_type.casefold(), "")
            hint = f"did you mean '{hint}'?" if hint else did_you_mean(register_type, known)
            self._complain(loc, f"unknown register type '{register_type}'", "" if hint else one_of(known, 20), hint)

    def _point(self, name: str) -> DevicePoint | None:
        loc: Loc = ("points", name)
        signal = SIGNALS.get(name)
        if signal is None:
            hint = did_you_mean(name, SIGNALS)
            expected = "" if hint else one_of(SIGNALS)
            self._complain(loc, f"no signal named '{name}'", expected, hint, key=True)
            return None
        section = self.file.points[name]
        place = self._place((*loc, "at"), section.at, section.stride or 0)
        self._check_point(loc, section, signal)
        if place is None:
            return None
        if section.repeat_stride is not None:
            if isinstance(place, SunSpecPlace) or not self.file.repeat:
                self._complain((*loc, "repeat_stride"), f"{name} does not repeat by registers", "no 'repeat_stride'")
                return None
            place = replace(place, repeat_stride=section.repeat_stride)
        return self._bound(loc, section, signal, place)

    def _bound(
        self, loc: Loc, section: PointSection, signal: Signal, place: RegisterPlace | SunSpecPlace
    ) -> DevicePoint:
        unit = self._unit(loc, section, signal)
        low, high = self._range(loc, section, signal)
        codes = self._codes(loc, section, signal)
        return DevicePoint(
            signal=signal,
            place=place,
            register_type=section.as_ or "",
            poll_block=section.block or "",
            count=section.count,
            scale=section.scale,
            offset=section.offset,
            unit=section.unit or "",
            unit_factor=unit.factor if unit else 1.0,
            unit_offset=unit.offset if unit else 0.0,
            sign=-1 if section.sign in _NEGATIVE else 1,
            words=section.words or self.file.words,
            missing=tuple(section.missing),
            codes=codes,
            commands=_inverse(codes) if section.writable else (),
            valid_min=low,
            valid_max=high,
            writable=section.writable,
            refresh_s=section.every,
        )

    def _check_point(self, loc: Loc, section: PointSection, signal: Signal) -> None:
        is_sunspec = section.at.startswith("sunspec")
        if section.as_ is None and not is_sunspec:
            self._complain(loc, f"{signal.name} has no register type", "a key 'as', such as 'as: u16'")
        if section.as_ is not None:
            self._check_type((*loc, "as"), section.as_)
        if section.block is None and not signal.command:
            self._complain(loc, f"{signal.name} is never read", "a key 'block', such as 'block: fast'")
        if section.block is not None and section.block not in self.file.blocks:
            hint = did_you_mean(section.block, self.file.blocks)
            self._complain((*loc, "block"), f"no block '{section.block}'", one_of(self.file.blocks), hint)
        if signal.command and section.writable is None:
            expected = "writable: volatile, or persistent where writing wears it out"
            self._complain(loc, f"{signal.name} is a command, but not writable", expected)
        if section.writable is not None and not signal.command:
            self._complain((*loc, "writable"), f"{signal.name} is not a command", "no 'writable'")

    def _unit(self, loc: Loc, section: PointSection, signal: Signal) -> Unit | None:
        dimension = DIMENSION_OF_UNIT.get(signal.unit)
        if section.unit is None:
            if signal.form is SignalForm.QUANTITY:
                self._complain(loc, f"{signal.name} has no unit", f"a key 'unit' of {dimension}")
            return None
        unit = parse_unit(section.unit)
        if isinstance(unit, Complaint):
            self._complain((*loc, "unit"), f"{signal.name}.unit {unit.message}", unit.expected, unit.hint)
            return None
        if unit.dimension is not dimension:
            required = f"a unit of {dimension}" if dimension else "no unit"
            self._complain((*loc, "unit"), f"{signal.name} can't be {unit.dimension} ({section.unit})", required)
        return unit

    def _range(self, loc: Loc, section: PointSection, signal: Signal) -> tuple[float | None, float | None]:
        if section.range is None:
            return None, None
        dimension = DIMENSION_OF_UNIT.get(signal.unit)
        if dimension is None or len(section.range) != 2:
            expected = "such as [0 V, 900 V]" if dimension else "no 'range'"
            self._complain((*loc, "range"), f"{signal.name}.range is not two quantities", expected)
            return None, None
        ends = [self._quantity((*loc, "range", i), t, dimension) for i, t in enumerate(section.range)]
        if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
            self._complain((*loc, "range"), f"{signal.name}.range is empty", "the smaller value first")
        return ends[0], ends[1]

    def _quantity(self, loc: Loc, text: str, dimension: Dimension) -> float | None:
        value = parse_quantity(text, dimension)
        if isinstance(value, Complaint):
            self._complain(loc, f"{loc[1]}.{loc[2]} {value.message}", value.expected, value.hint)
            return None
        return value

    def _codes(self, loc: Loc, section: PointSection, signal: Signal) -> tuple[tuple[int, int], ...]:
        known = _canonical(signal)
        if not section.values:
            if signal.form is SignalForm.CODE:
                self._complain(loc, f"{signal.name} has no 'values'", f"values: {{0: {next(iter(known))}, ...}}")
            return ()
        codes = []
        for raw, name in section.values.items():
            number = _raw_number(raw)
            if number is None:
                self._complain((*loc, "values", raw), f"'{raw}' is not a raw value", "a whole number", key=True)
            elif name not in known:
                hint = did_you_mean(name, known)
                self._complain((*loc, "values", raw), f"{signal.name} can't be '{name}'", one_of(known, 30), hint)
            else:
                codes.append((number, known[name]))
        return tuple(codes)


_TYPE_NAMES = {
    "uint16": "u16", "int16": "i16", "uint32": "u32", "int32": "i32", "uint64": "u64", "int64": "i64",
    "float": "f32", "float32": "f32", "real": "f32", "double": "f64", "float64": "f64", "word": "u16", "dword": "u32",
    "short": "i16", "bitfield16": "bits16", "bitfield32": "bits32", "boolean": "bool", "bit": "bool",
}  # fmt: skip


_MODICON = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}


def _modicon_hint(text: str) -> str:
    """Return where a Modicon number leads: 40001 and 400001 are `holding 0`; "" if the text is none."""
    matched = re.fullmatch(r"([0134])([0-9]{4,5})", text.strip())
    if matched is None or not 1 <= int(matched[2]) <= MAX_ADDRESS + 1:
        return ""
    return f"Modicon {matched[0]} is '{_MODICON[matched[1]]} {int(matched[2]) - 1}'"


def _raw_number(text: str) -> int | None:
    return int(text, 0) if re.fullmatch(r"[1-9][0-9]{0,10}|0|0x[0-9a-fA-F]{1,8}", text) else None


def _canonical(signal: Signal) -> dict[str, int]:
    """Return the names that a signal's raw values may be given, with their canonical numbers."""
    if signal.form is SignalForm.BOOL:
        return {"yes": 1, "no": 0}
    return {code.name.lower(): int(code) for code in signal.codes} if signal.codes else {}


def _inverse(codes: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return canonical -> raw; of several raw values of one name the first counts."""
    inverse: dict[int, int] = {}
    for raw, canonical in codes:
        inverse.setdefault(canonical, raw)
    return tuple(inverse.items())
