"""What a scan of control rests on: the image, and of the rooms below it protection's orders and the estimate.

Those two are told by the fields that control reads, because control knows neither room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TripsThatStay = Callable[[int, str], tuple[str, ...]]
"""Which latched trips of a rack (-1: of everything) a reset by this role would leave, with the reasons, in words."""


def no_trip_stays(_rack: int, _role: str) -> tuple[str, ...]:
    """Answer for a protection that never latches."""
    return ()


class ProtectionOrders(Protocol):
    """What protection demands. All latches are protection's; racks [R], buses [B], pcs [P], blocks [K]."""

    @property
    def rack_trip(self) -> BoolArray:
        """No current through this rack."""

    @property
    def rack_disconnect(self) -> BoolArray:
        """This rack must be disconnected."""

    @property
    def inhibit_charge(self) -> BoolArray:
        """No charging of this rack."""

    @property
    def inhibit_discharge(self) -> BoolArray:
        """No discharging of this rack."""

    @property
    def bus_zero(self) -> BoolArray:
        """No power on this bus."""

    @property
    def bus_zero_data(self) -> BoolArray:
        """And that only because data of its equipment stay lost."""

    @property
    def bus_zero_chain(self) -> BoolArray:
        """And that only because a hard-wired chain stays unknown."""

    @property
    def bus_no_increase(self) -> BoolArray:
        """No more power than now on this bus."""

    @property
    def pcs_stop(self) -> BoolArray:
        """This converter must stop."""

    @property
    def pcs_stop_stays(self) -> BoolArray:
        """This converter must stop, for itself or with its block, until a person resets it."""

    @property
    def block_stop(self) -> BoolArray:
        """All converters of this block must stop."""

    @property
    def plant_stop(self) -> bool:
        """The whole plant must stop."""

    @property
    def rack_connect_missing(self) -> IntArray:
        """Bits of `controller.protection.result.Missing` that stand against connecting this rack."""

    @property
    def pcs_start_missing(self) -> IntArray:
        """The same against starting this converter."""


class Estimate(Protocol):
    """What estimation knows of each rack [R]; NaN = unknown."""

    @property
    def soc_used_ratio(self) -> FloatArray:
        """State of charge in use: estimated or the BMS's, as the site says."""

    @property
    def soh_ratio(self) -> FloatArray:
        """State of health."""

    @property
    def energy_to_empty_wh(self) -> FloatArray:
        """Energy until empty."""

    @property
    def energy_to_full_wh(self) -> FloatArray:
        """Energy until full."""

    @property
    def power_discharge_w(self) -> FloatArray:
        """Power that could be held without crossing a cell's limit [R, horizon]: 2 s, 10 s, 30 s, 15 min."""

    @property
    def power_charge_w(self) -> FloatArray:
        """The same for charging, >= 0."""

    @property
    def quality(self) -> NDArray[np.uint8]:
        """Quality of the estimate."""


@dataclass(frozen=True, slots=True)
class ControlInputs:
    """What one scan of control rests on, commands aside.

    `now_ns` is monotonic, `dt_s` the time since the scan before; `trips_that_stay` is what protection says of a reset
    before it is passed on; `retains`: what is decided can be stored.
    """

    image: Image
    protection: ProtectionOrders
    estimate: Estimate
    now_ns: int
    dt_s: float
    trips_that_stay: TripsThatStay = no_trip_stays
    retains: bool = True
