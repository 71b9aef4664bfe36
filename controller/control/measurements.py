"""What control reads of the process image, once a scan: usable values, NaN where a value must not be computed with.

The scalars of one kind of equipment lie side by side in the image (each padded to the same length), so all of them
are read as one matrix [quantity, equipment] and judged in one operation. While all are usable nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.masks import anywhere
from controller.image.image import Image
from controller.image.matrix import Matrix, matrix_of
from controller.image.quality import Quality

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

USABLE = np.uint8(Quality.UNCERTAIN)
ABSENT = np.uint8(Quality.ABSENT)

RACK_QUANTITIES = (
    "rack.voltage",
    "rack.current",
    "rack.soc",
    "rack.soh",
    "rack.charge_current_limit",
    "rack.discharge_current_limit",
    "rack.cell_voltage_max",
    "rack.cell_voltage_min",
    "rack.cell_temperature_max",
    "rack.cell_temperature_min",
)
PCS_POWERS = ("pcs.active_power", "pcs.reactive_power")
PCS_LIMITS = ("pcs.discharge_power_limit", "pcs.charge_power_limit")
METER_QUANTITIES = (
    "meter.active_power",
    "meter.reactive_power",
    "meter.apparent_power",
    "meter.power_factor",
    "meter.frequency",
    "meter.voltage",
    "meter.current",
    "meter.energy_out",
    "meter.energy_in",
)


@dataclass(frozen=True, slots=True)
class Views:
    """Live views of an image, made once."""

    image: Image
    rack: Matrix
    pcs_power: Matrix
    pcs_limit: Matrix
    meter: Matrix


def views_of(image: Image) -> Views:
    """Return the views."""
    return Views(
        image,
        matrix_of(image, RACK_QUANTITIES),
        matrix_of(image, PCS_POWERS),
        matrix_of(image, PCS_LIMITS),
        matrix_of(image, METER_QUANTITIES),
    )


class Measurements(NamedTuple):
    """Usable values of this scan, NaN elsewhere; matrices by the rows named above, and codes with their freshness."""

    rack: FloatArray  # [10, R]
    rack_all_usable: bool
    rack_quality: NDArray[np.uint8]
    pcs_power: FloatArray  # [2, P]
    pcs_limit_w: FloatArray  # [2, P] in the order charge, discharge
    pcs_limits_usable: bool
    pcs_limit_quality: NDArray[np.uint8]
    meter: FloatArray  # [9, M]
    contactor: NDArray[np.int32]  # [R] last value read
    contactor_fresh: BoolArray
    rack_tripped: BoolArray  # [R] the BMS says so
    pcs_state: NDArray[np.int32]  # [P] last value read
    pcs_state_fresh: BoolArray
    pcs_watchdog_s: FloatArray  # [P], NaN unknown

    @property
    def rack_voltage_v(self) -> FloatArray:
        """Rack voltages [R]."""
        row: FloatArray = self.rack[0]
        return row

    @property
    def rack_current_a(self) -> FloatArray:
        """Rack currents [R], + = discharge."""
        row: FloatArray = self.rack[1]
        return row

    @property
    def pcs_active_power_w(self) -> FloatArray:
        """Active power of the converters [P]."""
        row: FloatArray = self.pcs_power[0]
        return row

    @property
    def pcs_reactive_power_var(self) -> FloatArray:
        """Reactive power of the converters [P]."""
        row: FloatArray = self.pcs_power[1]
        return row


def measurements_of(views: Views) -> Measurements:
    """Read the image. Good, substituted and uncertain values are usable; anything else is NaN."""
    image = views.image
    rack, rack_all_usable = _usable(views.rack)
    limit_w, limits_usable = _usable(views.pcs_limit)
    contactor, state = image["rack.contactor"], image["pcs.state"]
    tripped, watchdog = image["rack.tripped"], image["pcs.watchdog_timeout"]
    watchdog_bad = watchdog.quality > USABLE
    return Measurements(
        rack=rack,
        rack_all_usable=rack_all_usable,
        rack_quality=views.rack.quality,
        pcs_power=_usable(views.pcs_power)[0],
        pcs_limit_w=limit_w[::-1],
        pcs_limits_usable=limits_usable,
        pcs_limit_quality=views.pcs_limit.quality[::-1],
        meter=_usable(views.meter)[0],
        contactor=contactor.value,
        contactor_fresh=contactor.quality <= USABLE,
        rack_tripped=(tripped.quality <= USABLE) & (tripped.value != 0),
        pcs_state=state.value,
        pcs_state_fresh=state.quality <= USABLE,
        pcs_watchdog_s=np.where(watchdog_bad, np.nan, watchdog.value) if anywhere(watchdog_bad) else watchdog.value,
    )


def _usable(of: Matrix) -> tuple[FloatArray, bool]:
    """Return the values, NaN where not usable, and whether all of them are."""
    bad = of.quality > USABLE
    if anywhere(bad):
        return np.where(bad, np.nan, of.value), False
    return of.value, True
