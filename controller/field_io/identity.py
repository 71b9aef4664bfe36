"""Making sure who answers: before a device is believed or commanded, on each new connection, and each minute.

Rules. A device file's `identify` text must be there. A SunSpec device must serve every model that its file expects,
laid out the same; where each begins is found out, once. What it said of itself then (model 1: maker, model, version,
serial number) must stand there again on each later connection: the same words mean the same device with the same
models, another serial number means another device. A device that is not what it should be is neither believed nor
commanded and is asked again after a rest. A refusal of the moment (busy, not reachable) decides nothing. Behind a
gateway a device can be exchanged while the connection stands: who is known is asked again each minute.

Source: SunSpec Device Information Model Specification V1.1, sections 4.2 and 6.
"""

from __future__ import annotations

from collections import defaultdict

from controller.field_io.line import Line
from controller.field_io.unit import ModelShift, Shifts, Unit
from controller.modbus.device_setup import IdentityCheck
from controller.modbus.errors import ExceptionCode, RequestError, SunSpecError
from controller.modbus.pdu import FunctionCode, Request, read
from controller.modbus.read_plan import plan_reads
from controller.modbus.registers import text
from controller.modbus.sunspec import HEADER_REGISTERS, layout, load_model, repeating_groups
from controller.modbus.sunspec_chain import MARKER_REGISTERS, Chain, ChainWalker, ModelPlace

REST_OF_WRONG_NS = 10_000_000_000
CONFIRM_EACH_NS = 60_000_000_000
MISCONFIGURED = frozenset(
    {ExceptionCode.ILLEGAL_FUNCTION, ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE}
)
"""Codes that will be the same next time: the device is not the one that its file describes."""
_SERIAL = slice(2 * (MARKER_REGISTERS + 50), 2 * (MARKER_REGISTERS + 66))
"""`SN` of model 1, in the bytes from the marker on."""


class WrongDeviceError(Exception):
    """Not the device that it should be; says what does not fit."""


class UndecidedError(Exception):
    """The device refused to say who it is, for the moment."""


async def identify(line: Line, unit: Unit) -> None:
    """Make sure who answers, unless that is known; a wrong device is asked again after a rest only.

    Raises:
        WrongDeviceError: it is not what it should be.
        UndecidedError: it does not say, for the moment.
        FieldError: no sound answer.
    """
    async with line.identifying:  # polls and writes may ask at the same time
        if is_known(unit, line.now_ns()):
            return
        if unit.wrong and line.now_ns() < unit.asked_again_ns:
            raise WrongDeviceError(unit.wrong)
        try:
            await _ask_who(line, unit)
        except WrongDeviceError as error:
            unit.identified, unit.wrong = False, str(error)
            unit.asked_again_ns = line.now_ns() + REST_OF_WRONG_NS
            raise
        except UndecidedError:
            if not unit.identified:
                raise
        unit.identified, unit.wrong, unit.confirm_ns = True, "", line.now_ns() + CONFIRM_EACH_NS


def is_known(unit: Unit, now_ns: int) -> bool:
    """Whether it was found out lately who it is."""
    return unit.identified and now_ns < unit.confirm_ns


async def _ask_who(line: Line, unit: Unit) -> None:
    if unit.identity is not None:
        await _check_text(line, unit, unit.identity)
    elif unit.register_map.device_type.sunspec_models and not await _is_known(line, unit):
        await _find_models(line, unit)


async def _check_text(line: Line, unit: Unit, check: IdentityCheck) -> None:
    data = await _answer(line, unit, check.request)
    if not check.matches(data):
        raise WrongDeviceError(f"identifies as '{check.found(data)}', not '{check.found(check.expected)}'")


async def _answer(line: Line, unit: Unit, request: Request) -> bytes:
    """Return the answer; a refusal raises what it means."""
    answer = await line.ask_one(unit, request)
    if isinstance(answer, bytes):
        return answer
    if answer.code in MISCONFIGURED:
        raise WrongDeviceError(f"refuses to be identified: {answer}")
    raise UndecidedError(f"can't be identified now: {answer}")


# -------------------------------------------------------------------------------------------------------------- SunSpec


async def _is_known(line: Line, unit: Unit) -> bool:
    """Whether it is the device that was found before, unchanged."""
    before = unit.nameplate
    if not before:
        return False
    try:
        found = await _read_nameplate(line, unit, _base(unit), len(before) // 2)
    except WrongDeviceError:
        return False  # nothing there any more: look for it
    _compare_serials(unit, found)
    return found == before


def _compare_serials(unit: Unit, nameplate: bytes) -> None:
    was, now = text(unit.nameplate[_SERIAL]), text(nameplate[_SERIAL])
    if unit.nameplate and was != now:
        raise WrongDeviceError(f"has serial number '{now}', it was '{was}': start the controller anew to accept it")


def _base(unit: Unit) -> int:
    """Return where the device's chain begins."""
    first = unit.register_map.chain[0].address
    return first + unit.moved_by(first) - MARKER_REGISTERS


async def _read_nameplate(line: Line, unit: Unit, base: int, count: int) -> bytes:
    most = unit.register_map.device_type.max_read_registers
    data = b""
    for start in range(0, count, most):
        request = read(FunctionCode.READ_HOLDING_REGISTERS, base + start, min(most, count - start))
        data += await _answer(line, unit, request)
    return data


async def _find_models(line: Line, unit: Unit) -> None:
    try:
        found = await _walk(line, unit)
    except SunSpecError as error:
        raise WrongDeviceError(f"is no SunSpec device as expected: {error}") from error
    unit.shifts = shifts_of(unit.register_map.chain, found)
    _check_reads(unit)
    count = MARKER_REGISTERS + HEADER_REGISTERS + found[0].length
    nameplate = await _read_nameplate(line, unit, found[0].address - MARKER_REGISTERS, count)
    _compare_serials(unit, nameplate)
    unit.nameplate = nameplate


async def _walk(line: Line, unit: Unit) -> Chain:
    walker = ChainWalker()
    while (wanted := walker.next_read) is not None:
        answer = await line.ask_one(unit, read(FunctionCode.READ_HOLDING_REGISTERS, wanted.address, wanted.count))
        if isinstance(answer, bytes):
            walker.feed(answer)
        elif answer.code in MISCONFIGURED:
            walker.refuse()
        else:
            raise UndecidedError(f"can't be identified now: {answer}")
    return walker.chain


def _check_reads(unit: Unit) -> None:
    """Make sure that every read of the plan can be moved to where the models are."""
    register_map = unit.register_map
    for block in register_map.device_type.poll_blocks:
        for span in plan_reads(register_map, block.name):
            try:
                unit.moved(read(span.function, span.address, span.count))
            except RequestError as error:
                raise WrongDeviceError(f"{error}: its file must not bridge gaps between models") from error


def shifts_of(expected: Chain, found: Chain) -> Shifts:
    """Return where the expected models really are, the n-th of a number for the n-th expected.

    Raises WrongDeviceError if one is not there, or is laid out in another way.
    """
    there: dict[int, list[ModelPlace]] = defaultdict(list)
    for place in found:
        there[place.model].append(place)
    shifts = []
    for wanted in expected:
        if not there[wanted.model]:
            raise WrongDeviceError(f"serves models {[p.model for p in found]}, and lacks {wanted.model}")
        place = there[wanted.model].pop(0)
        if not _is_laid_out_alike(wanted, place):
            raise WrongDeviceError(f"serves model {wanted.model} of length {place.length}, expected {wanted.length}")
        shifts.append(ModelShift(wanted.address, wanted.end, place.address - wanted.address))
    return tuple(shifts) if any(shift.by for shift in shifts) else ()


def _is_laid_out_alike(wanted: ModelPlace, place: ModelPlace) -> bool:
    """Whether what is expected stands at the same offsets: the same length, or more copies of the only group."""
    if place.length == wanted.length:
        return True
    try:
        layout(place.model, length=place.length)
    except SunSpecError:
        return False
    groups = len(list(repeating_groups(load_model(place.model).group)))
    return groups == 0 or (groups == 1 and place.length > wanted.length)
