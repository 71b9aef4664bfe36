"""Why a value is not what was asked: fixed numbers for SCADA, and the words behind them.

A *cause* is a reason and the equipment that it speaks of, packed into one number for readers that have the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.plant.signals import Owner


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
    POI_UNKNOWN = 8
    POI_APART = 9
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
    BUS_DATA_SILENT = 33
    BUS_CHAIN_UNKNOWN = 34
    BUS_VOLTAGE_UNKNOWN = 35
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
    PCS_NOT_FOLLOWING = 51
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
    LimitReason.POI_UNKNOWN: "POI power not known: the set-point is followed without the meter",
    LimitReason.POI_APART: "POI meter and converters do not fit: the set-point is followed by the converters' powers",
    LimitReason.RACK_CURRENT_RATING: "current rating of a rack",
    LimitReason.BMS_CURRENT_LIMIT: "current limit of a BMS",
    LimitReason.SOC_WINDOW: "edge of the SOC window",
    LimitReason.CELL_VOLTAGE: "cell voltage near its limit",
    LimitReason.CELL_TEMPERATURE_HIGH: "cell temperature near its high limit",
    LimitReason.CELL_TEMPERATURE_LOW: "cell temperature near its low limit",
    LimitReason.RACK_PROTECTION: "protection of a rack",
    LimitReason.RACK_LIMITS_LOST: "limits or SOC of a rack unknown for too long",
    LimitReason.RACK_UNLOADING: "a rack is being unloaded to disconnect it",
    LimitReason.NO_RACK_CONNECTED: "no rack connected",
    LimitReason.BUS_CURRENT_RATING: "current rating of a DC bus",
    LimitReason.BUS_PROTECTION: "protection of a DC bus",
    LimitReason.BUS_DATA_LOST: "data of a DC bus's equipment lost: no increase",
    LimitReason.BUS_DATA_SILENT: "data of a DC bus's equipment lost for too long",
    LimitReason.BUS_CHAIN_UNKNOWN: "a hard-wired chain of a DC bus unknown for too long",
    LimitReason.BUS_VOLTAGE_UNKNOWN: "voltage of a DC bus unknown: data of its racks lost",
    LimitReason.PCS_RATING: "power rating of a converter",
    LimitReason.PCS_OWN_LIMIT: "limit that a converter states",
    LimitReason.PCS_NOT_RUNNING: "converter not running",
    LimitReason.PCS_PROTECTION: "protection of a converter",
    LimitReason.PCS_DATA_LOST: "data of a converter lost",
    LimitReason.PCS_LIMITS_ITSELF: "a converter delivers less than commanded",
    LimitReason.PCS_DC_WINDOW: "DC voltage outside the converter's window",
    LimitReason.PCS_DC_CURRENT: "DC current rating of a converter",
    LimitReason.PCS_APPARENT_POWER: "apparent power rating of a converter",
    LimitReason.PCS_WRITE_FAILED: "a converter does not take commands",
    LimitReason.TRANSFORMER: "apparent power rating of a transformer",
    LimitReason.PCS_NOT_FOLLOWING: "a converter does not follow its command",
    LimitReason.STOPPING: "the plant is stopping",
    LimitReason.FAST_STOP: "fast stop",
    LimitReason.PLANT_PROTECTION: "protection of the plant",
}


OF_RACKS = frozenset(LimitReason(code) for code in (*range(10, 19), 32, 33, 35))
"""Reasons that speak of a rack: the one that binds, or the first whose data are lost."""
OF_BUSES = frozenset({LimitReason.BUS_CURRENT_RATING, LimitReason.BUS_PROTECTION, LimitReason.BUS_CHAIN_UNKNOWN})
OF_PCS = frozenset(LimitReason(code) for code in (*range(40, 50), 51))
NOWHERE = -1
_REASONS = 1000


_Codes = TypeVar("_Codes", int, NDArray[np.int64])


def cause_of(reason: _Codes, place: _Codes) -> _Codes:
    """Return reason and place (index within the axis that the reason speaks of, `NOWHERE`: not known) as one number."""
    return reason + _REASONS * (place + 1)


def limit_reason_text(cause: int, names: Mapping[Owner, Sequence[str]] | None = None) -> str:
    """Return a reason or cause in words; a code from another version is told as its number."""
    place, code = divmod(cause, _REASONS)
    if code not in _CODES:
        return f"reason {code}"
    reason = LimitReason(code)
    owner = next((owner for owner, reasons in _OWNERS if reason in reasons), Owner.PLANT)
    where = (names or {}).get(owner, ())
    return f"{REASON_TEXTS[reason]} ({where[place - 1]})" if 0 < place <= len(where) else REASON_TEXTS[reason]


_CODES = frozenset(int(reason) for reason in LimitReason)
_OWNERS = ((Owner.RACK, OF_RACKS), (Owner.BUS, OF_BUSES), (Owner.PCS, OF_PCS))
