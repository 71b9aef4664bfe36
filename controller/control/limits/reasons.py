"""Why a value is not what was asked: fixed numbers for SCADA, and the words behind them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class LimitReason(IntEnum):
    """What binds a value now; the number is what SCADA sees and never changes its meaning."""

    NONE = 0
    NOT_RUNNING = 1
    RAMP = 2
    EXPORT_LIMIT = 3
    IMPORT_LIMIT = 4
    POI_RATING = 5
    SETPOINT_TIMEOUT = 6
    POI_TRIM = 7
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
    LimitReason.POI_TRIM: "more unmetered load or generation than the POI loop may make up for",
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


def limit_reason_text(code: int) -> str:
    """Return a reason in words; a code from another version is told as its number."""
    return REASON_TEXTS[LimitReason(code)] if code in _CODES else f"reason {code}"


_CODES = frozenset(int(reason) for reason in LimitReason)
