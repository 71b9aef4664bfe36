"""What can go wrong on the way to a device, as one small tree.

    FieldError
    ├── LinkDownError     no connection: not made yet, refused, or dropped while a request was out
    ├── NoAnswerError     a request timed out: the connection was dropped, for a late reply may still come
    └── WrongAnswerError  what came does not answer what was asked: the connection was dropped
        └── WrongEchoError  it was a write, and its echo: says nothing against what is read

A device that answers "no" (`controller.modbus.errors.ExceptionReply`) is not among them: its connection is sound.
"""

from __future__ import annotations

from collections.abc import Iterable


class FieldError(Exception):
    """A request without a sound answer. `units`: who may be to blame, as far as is known."""

    def __init__(self, message: str, units: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.units = frozenset(units)


class LinkDownError(FieldError):
    """There is no connection."""


class NoAnswerError(FieldError):
    """Nothing came in time."""

    def __init__(self, unit: int) -> None:
        super().__init__(f"unit {unit} did not answer in time", (unit,))
        self.unit = unit


class WrongAnswerError(FieldError):
    """Something else came: wrong transaction, unit, function, length or echo."""


class WrongEchoError(WrongAnswerError):
    """A write was echoed wrongly: it counts as failed, and nobody is to blame for more than that."""
