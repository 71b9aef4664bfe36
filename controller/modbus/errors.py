"""What can be wrong with Modbus bytes, as one small tree.

ModbusError
├── FrameError        the byte stream is no Modbus TCP any more: drop the connection
├── ReplyError        a whole frame that does not answer the request: drop the connection
│   └── EchoError     it answers the write, but echoes something else
├── ExceptionReply    the device answered, and the answer is no: the connection stays good
├── RequestError      we were about to ask for something that no device may answer      (a ValueError)
├── EncodeError       a value that its register can't hold                              (a ValueError)
├── SunSpecError      a chain of SunSpec models that breaks the rules
└── DeviceMapError    a device file that can't be turned into registers                 (a ValueError)
"""

from __future__ import annotations

from enum import IntEnum


class ExceptionCode(IntEnum):
    """Exception codes of the Modbus Application Protocol V1.1b3, section 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    SERVER_DEVICE_BUSY = 6
    NEGATIVE_ACKNOWLEDGE = 7
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_FAILED_TO_RESPOND = 11


def exception_name(code: int) -> str:
    """Return the standard's name of an exception code, in lower case; devices also send codes that have none."""
    try:
        return ExceptionCode(code).name.lower().replace("_", " ")
    except ValueError:
        return "no standard meaning"


class ModbusError(Exception):
    """Anything wrong with Modbus bytes."""


class FrameError(ModbusError):
    """The byte stream is no Modbus TCP (protocol id, length)."""


class ReplyError(ModbusError):
    """A frame that does not answer the request it should (function, length, echo)."""


class EchoError(ReplyError):
    """A write was answered by its own function and length, but not by its own address and data."""


class ExceptionReply(ModbusError):  # noqa: N818 - the standard calls it an exception, not an error
    """The device refused; `code` as it came."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({exception_name(code)})")
        self.code = code


class RequestError(ModbusError, ValueError):
    """A request outside of what the standard allows (quantity, address, value)."""


class EncodeError(ModbusError, ValueError):
    """A value that its register can't hold, or that would read as "no value"."""


class SunSpecError(ModbusError):
    """A chain of SunSpec models that breaks the rules, or a model that there is no definition of."""


class DeviceMapError(ModbusError, ValueError):
    """A device file that can't be turned into registers."""
