"""Limits at the POI: any number of sources, always effective, the lowest wins; and why a value was clipped.

Rule: a limit stands until its source changes it, or until the expiry that the source gave; loss of contact and a
restart never lift it. Limits may fall at once; what rises is ramped (`ramps.py`). Every clip of a set-point is
recorded with a `LimitReason`; the last one in order is the one that binds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class LimitReason(IntEnum):
    """What binds a value now; the number is what SCADA sees and never changes its meaning."""

    NONE = 0
    NOT_RUNNING = 1
    RAMP = 2
    EXPORT_LIMIT = 3
    IMPORT_LIMIT = 4
    POI_RATING = 5
    SETPOINT_TIMEOUT = 6
    # racks
    RACK_CURRENT_RATING = 10
    BMS_CURRENT_LIMIT = 11
    SOC_WINDOW = 12
    CELL_VOLTAGE = 13
    CELL_TEMPERATURE_HIGH = 14
    CELL_TEMPERATURE_LOW = 15
    RACK_PROTECTION = 16
    RACK_LIMITS_LOST = 17
    RACK_UNLOADING = 18
    NO_RACK_CONNECTED = 19
    # buses
    BUS_CURRENT_RATING = 30
    BUS_PROTECTION = 31
    BUS_DATA_LOST = 32
    # converters
    PCS_RATING = 40
    PCS_OWN_LIMIT = 41
    PCS_NOT_RUNNING = 42
    PCS_PROTECTION = 43
    PCS_DATA_LOST = 44
    PCS_LIMITS_ITSELF = 45
    PCS_DC_WINDOW = 46
    PCS_DC_CURRENT = 47
    PCS_APPARENT_POWER = 48
    PCS_WRITE_FAILED = 49
    TRANSFORMER = 50
    # stops
    STOPPING = 60
    FAST_STOP = 61
    PLANT_PROTECTION = 62


REASON_TEXTS: Mapping[LimitReason, str] = {
    LimitReason.NONE: "nothing limits",
    LimitReason.NOT_RUNNING: "the plant is not running",
    LimitReason.RAMP: "on the ramp to the set-point",
    LimitReason.EXPORT_LIMIT: "export limit",
    LimitReason.IMPORT_LIMIT: "import limit",
    LimitReason.POI_RATING: "apparent power rating of the POI",
    LimitReason.SETPOINT_TIMEOUT: "the set-point ran out, fall-back in effect",
    LimitReason.RACK_CURRENT_RATING: "current rating of a rack",
    LimitReason.BMS_CURRENT_LIMIT: "current limit of a BMS",
    LimitReason.SOC_WINDOW: "edge of the SOC window",
    LimitReason.CELL_VOLTAGE: "cell voltage near its limit",
    LimitReason.CELL_TEMPERATURE_HIGH: "cell temperature near its high limit",
    LimitReason.CELL_TEMPERATURE_LOW: "cell temperature near its low limit",
    LimitReason.RACK_PROTECTION: "protection of a rack",
    LimitReason.RACK_LIMITS_LOST: "limits of a rack unknown for too long",
    LimitReason.RACK_UNLOADING: "a rack is being unloaded to disconnect it",
    LimitReason.NO_RACK_CONNECTED: "no rack connected",
    LimitReason.BUS_CURRENT_RATING: "current rating of a DC bus",
    LimitReason.BUS_PROTECTION: "protection of a DC bus",
    LimitReason.BUS_DATA_LOST: "data of a rack lost: no increase on its bus",
    LimitReason.PCS_RATING: "power rating of a converter",
    LimitReason.PCS_OWN_LIMIT: "limit that a converter states",
    LimitReason.PCS_NOT_RUNNING: "converter not running",
    LimitReason.PCS_PROTECTION: "protection of a converter",
    LimitReason.PCS_DATA_LOST: "data of a converter unknown for too long",
    LimitReason.PCS_LIMITS_ITSELF: "a converter delivers less than commanded",
    LimitReason.PCS_DC_WINDOW: "DC voltage outside the converter's window",
    LimitReason.PCS_DC_CURRENT: "DC current rating of a converter",
    LimitReason.PCS_APPARENT_POWER: "apparent power rating of a converter",
    LimitReason.PCS_WRITE_FAILED: "a converter does not take commands",
    LimitReason.TRANSFORMER: "apparent power rating of a transformer",
    LimitReason.STOPPING: "the plant is stopping",
    LimitReason.FAST_STOP: "fast stop",
    LimitReason.PLANT_PROTECTION: "protection of the plant",
}


class Clip(NamedTuple):
    """One reduction on the way from what was asked to what is in effect (W or var)."""

    reason: LimitReason
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Limit:
    """One source's limit: a magnitude in W, and the monotonic time at which it ends (None: never by itself)."""

    value_w: float
    expires_ns: int | None = None


@dataclass(slots=True)
class Limits:
    """All limits of one direction, by source. `rating_w` is the contract's and always stands."""

    rating_w: float
    by_source: dict[str, Limit] = field(default_factory=dict)
    lowest_w: float = field(init=False)

    def __post_init__(self) -> None:
        """The contract's rating alone."""
        self.lowest_w = self.rating_w

    def set(self, source: str, value_w: float, expires_ns: int | None) -> None:
        """Take a source's limit in place of its earlier one."""
        self.by_source[source] = Limit(value_w, expires_ns)
        self.refresh()

    def expire(self, now_ns: int) -> list[str]:
        """Drop what has run out and return whose it was."""
        over = [s for s, limit in self.by_source.items() if limit.expires_ns is not None and now_ns >= limit.expires_ns]
        for source in over:
            del self.by_source[source]
        if over:
            self.refresh()
        return over

    def refresh(self) -> None:
        """Find the lowest again, after `by_source` was changed."""
        self.lowest_w = min((self.rating_w, *(limit.value_w for limit in self.by_source.values())))


def clip_power(power_w: float, limits: tuple[float, float], reasons: tuple[LimitReason, LimitReason]) -> Clip:
    """Clip to [-charge, discharge]; `limits` and `reasons` are (charge, discharge). Reason NONE: nothing was cut."""
    if power_w > limits[1]:
        return Clip(reasons[1], power_w, limits[1])
    if power_w < -limits[0]:
        return Clip(reasons[0], power_w, -limits[0])
    return Clip(LimitReason.NONE, power_w, power_w)
