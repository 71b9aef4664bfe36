"""What was found wrong with a cell or a sensor: one frozen record, the same for the scan and off-line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class FindingKind(StrEnum):
    """Kinds as in the interface; `internal_short` is a leak of at most 50 ohm, `self_discharge` above."""

    INTERNAL_SHORT = "internal_short"
    SELF_DISCHARGE = "self_discharge"
    RESISTANCE_GROWTH = "resistance_growth"
    LOW_CAPACITY = "low_capacity"
    LOOSE_JOINT = "loose_joint"
    SENSOR_STUCK = "sensor_stuck"
    SENSOR_OFFSET = "sensor_offset"
    IMBALANCE = "imbalance"
    THERMAL = "thermal"


class Severity(IntEnum):
    """How urgent a finding is; SCADA sees the number."""

    WARNING = 1
    ALARM = 2


class Row(IntEnum):
    """What is looked for, in the order in which the counters of a look stand."""

    LEAK = 0
    SHORT = 1
    GROWTH = 2
    LOW_CAPACITY = 3
    JOINT = 4
    STUCK = 5
    OFFSET = 6
    IMBALANCE = 7
    THERMAL = 8
    WARM_SENSOR = 9


ROWS = len(Row)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `cell` -1: the rack as a whole. `days_low`..`days_high`: 95 % interval of days to the limit.

    The days are infinite where nothing grows, and NaN where the data do not yet say ("insufficient data").
    """

    first_raised_ns: int
    rack: int
    cell: int
    kind: FindingKind
    severity: Severity
    evidence: str
    size: float
    size_unit: str
    sensor: str = ""
    days_low: float = float("nan")
    days_high: float = float("nan")
