"""What control reads of the process image, once a scan: usable values, NaN where a value must not be computed with.

The scalars of one kind of equipment lie side by side in the image (each padded to the same length), so all of them
are read as one matrix [quantity, equipment] and judged in one operation. While all are usable nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.masks import anywhere
from controller.image.image import Image
from controller.image.layout import Layout
from controller.image.quality import Quality
from controller.image.quantities import Section

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
class Matrix:
    """Views of one kind of equipment's scalars in the image [quantity, equipment]."""

    value: FloatArray
    quality: NDArray[np.uint8]

    def usable(self) -> tuple[FloatArray, bool]:
        """Return the values, NaN where not usable, and whether all of them are."""
        bad = self.quality > USABLE
        if anywhere(bad):
            return np.where(bad, np.nan, self.value), False
        return self.value, True


@dataclass(frozen=True, slots=True)
class Views:
    """Live views of an image, made once."""

    image: Image
    rack: Matrix
    pcs_power: Matrix
    pcs_limit: Matrix
    meter: Matrix


def views_of(image: Image) -> Views:
    """Return the views. Asserts that the scalars lie evenly, as `controller.image.layout` promises."""
    return Views(
        image,
        _matrix(image, RACK_QUANTITIES),
        _matrix(image, PCS_POWERS),
        _matrix(image, PCS_LIMITS),
        _matrix(image, METER_QUANTITIES),
    )


def _matrix(image: Image, names: tuple[str, ...]) -> Matrix:
    data, shape = image.buffers[Section.RACKS].data, (len(names), len(image[names[0]].value))
    offset, stride = _even(image.layout, [f"{n}.value" for n in names])
    value: FloatArray = np.ndarray(shape, "<f8", data, offset, (stride, 8))
    offset, stride = _even(image.layout, [f"{n}.quality" for n in names])
    quality: NDArray[np.uint8] = np.ndarray(shape, "u1", data, offset, (stride, 1))
    return Matrix(value, quality)


def _even(layout: Layout, names: list[str]) -> tuple[int, int]:
    offsets = [layout.offsets[name] for name in names]
    strides = {b - a for a, b in pairwise(offsets)}
    assert len(strides) == 1, f"{names[0]} and its neighbours do not lie evenly in the image"
    return offsets[0], strides.pop()


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
    rack, rack_all_usable = views.rack.usable()
    limit_w, limits_usable = views.pcs_limit.usable()
    contactor, state = image["rack.contactor"], image["pcs.state"]
    tripped, watchdog = image["rack.tripped"], image["pcs.watchdog_timeout"]
    watchdog_bad = watchdog.quality > USABLE
    return Measurements(
        rack=rack,
        rack_all_usable=rack_all_usable,
        rack_quality=views.rack.quality,
        pcs_power=views.pcs_power.usable()[0],
        pcs_limit_w=limit_w[::-1],
        pcs_limits_usable=limits_usable,
        pcs_limit_quality=views.pcs_limit.quality[::-1],
        meter=views.meter.usable()[0],
        contactor=contactor.value,
        contactor_fresh=contactor.quality <= USABLE,
        rack_tripped=(tripped.quality <= USABLE) & (tripped.value != 0),
        pcs_state=state.value,
        pcs_state_fresh=state.quality <= USABLE,
        pcs_watchdog_s=np.where(watchdog_bad, np.nan, watchdog.value) if anywhere(watchdog_bad) else watchdog.value,
    )
