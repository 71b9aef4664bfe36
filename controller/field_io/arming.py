"""What must be known and done before the first write to a device on a connection: identity, set-up, scale factors.

Rule: nothing is written to a device that has not proved who it is. The registers that its file lists under `setup`
are read and written only where they hold something else (they may wear out), and read again. Scale factors of SunSpec
commands are read once.
"""

from __future__ import annotations

from controller.field_io.identity import REST_OF_WRONG_NS, UndecidedError, WrongDeviceError, identify
from controller.field_io.line import Line
from controller.field_io.unit import Unit, scale_factor_addresses
from controller.modbus.device_setup import SetupCheck
from controller.modbus.errors import ExceptionReply
from controller.modbus.pdu import FunctionCode, read


class NotArmedError(Exception):
    """The device may not be written to; says why."""


async def arm(line: Line, unit: Unit) -> None:
    """Do what is needed once a connection before writing.

    Raises:
        NotArmedError: the device is not what it should be, or can't be set up.
        FieldError: no sound answer.
    """
    try:
        await identify(line, unit)
    except (WrongDeviceError, UndecidedError) as error:
        raise NotArmedError(str(error)) from error
    if unit.is_set_up:
        return
    if line.now_ns() < unit.set_up_again_ns:
        raise NotArmedError(unit.not_set_up)
    try:
        await _set_up(line, unit)
    except NotArmedError as error:
        unit.not_set_up, unit.set_up_again_ns = str(error), line.now_ns() + REST_OF_WRONG_NS
        raise
    unit.is_set_up = True


async def _set_up(line: Line, unit: Unit) -> None:
    for check in unit.setup:
        await _make_hold(line, unit, check)
    for address in scale_factor_addresses(unit.register_map):
        answer = await line.ask_one(unit, unit.moved(read(FunctionCode.READ_HOLDING_REGISTERS, address, 1)))
        if isinstance(answer, ExceptionReply):
            raise NotArmedError(f"scale factor at {address}: {answer}")
        unit.scale_factors[address] = int.from_bytes(answer, signed=True)


async def _make_hold(line: Line, unit: Unit, check: SetupCheck) -> None:
    """Let a register hold what it must; written at most once."""
    place = f"set-up of register {unit.moved(check.read).address}"
    held = await line.ask_one(unit, unit.moved(check.read))
    if held == check.write.data:
        return
    if isinstance(held, bytes):
        written = await line.ask_one(unit, unit.moved(check.write))
        held = written if isinstance(written, ExceptionReply) else await line.ask_one(unit, unit.moved(check.read))
    if isinstance(held, ExceptionReply):
        raise NotArmedError(f"{place}: {held}")
    if held != check.write.data:
        raise NotArmedError(f"{place}: holds {held.hex(' ')} after {check.write.data.hex(' ')} was written")
