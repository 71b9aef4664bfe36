"""What every register that a SunSpec master writes has in common: numbers that can't be meant, and writes under way."""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.scada.modbus.sunspec_registers import Path

Written = Mapping[Path, int]
"""Raw numbers by point, in register order."""

RATIO_SCALE = 1e-4
"""Per cent are registers in hundredths."""

UNDER_WAY = 2**63 - 1
"""When a write was taken that the plant has not answered yet: later than any snapshot."""


class BadValueError(ValueError):
    """A number that can't be meant: exception 3, and nothing of the write is done."""


def seconds_left(remaining_s: float) -> float:
    """Return a time as a register counts it down: whole seconds, 0 only once it is over."""
    return float(math.ceil(round(remaining_s, 6)))


def flag(raw: int) -> bool:
    """Return SunSpec's 0 disabled, 1 enabled; BadValueError of anything else."""
    expect(raw in {0, 1})
    return bool(raw)


def expect(is_possible: bool) -> None:  # noqa: FBT001 - a condition
    """Raise BadValueError unless a number can be meant."""
    if not is_possible:
        raise BadValueError
