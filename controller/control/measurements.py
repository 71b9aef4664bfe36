"""What control reads of the process image, once a scan: usable values, NaN where a value must not be computed with.

The scalars of one kind of equipment lie side by side in the image (each padded to the same length), so all of them
are read as one matrix [quantity, equipment] and judged in one operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.layout import Layout
from controller.image.quality import Quality
from controller.image.quantities import Section

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

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
PCS_QUANTITIES = (
    "pcs.active_power",
    "pcs.reactive_power",
    "pcs.frequency",
    "pcs.ac_voltage",
    "pcs.dc_voltage",
    "pcs.dc_current",
    "pcs.temperature",
    "pcs.discharge_power_limit",
    "pcs.charge_power_limit",
)
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
    """Where the quantities of one kind of equipment lie in the image, as a matrix."""

    shape: tuple[int, int]
    value_offset: int
    value_strides: tuple[int, int]
    quality_offset: int
    quality_strides: tuple[int, int]

    def read(self, image: Image) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Return views of (values, qualities) [quantity, equipment]."""
        data = image.buffers[Section.RACKS].data
        value: FloatArray = np.ndarray(self.shape, "<f8", data, self.value_offset, self.value_strides)
        quality: NDArray[np.uint8] = np.ndarray(self.shape, "u1", data, self.quality_offset, self.quality_strides)
        return value, quality


@dataclass(frozen=True, slots=True)
class Matrices:
    """The three matrices of a layout."""

    rack: Matrix
    pcs: Matrix
    meter: Matrix


def matrices_of(layout: Layout) -> Matrices:
    """Return where a layout keeps them. Asserts that they lie evenly, as `controller.image.layout` promises."""
    return Matrices(
        _matrix(layout, RACK_QUANTITIES), _matrix(layout, PCS_QUANTITIES), _matrix(layout, METER_QUANTITIES)
    )


def _matrix(layout: Layout, names: tuple[str, ...]) -> Matrix:
    count = next(f.shape[0] for f in layout.fields if f.name == f"{names[0]}.value")
    value_offset, value_stride = _even(layout, [f"{n}.value" for n in names])
    quality_offset, quality_stride = _even(layout, [f"{n}.quality" for n in names])
    return Matrix((len(names), count), value_offset, (value_stride, 8), quality_offset, (quality_stride, 1))


def _even(layout: Layout, names: list[str]) -> tuple[int, int]:
    offsets = [layout.offsets[name] for name in names]
    strides = {b - a for a, b in pairwise(offsets)}
    assert len(strides) == 1, f"{names[0]} and its neighbours do not lie evenly in the image"
    return offsets[0], strides.pop()


class Measurements(NamedTuple):
    """Usable values of this scan, NaN elsewhere; matrices by the rows named above, and codes with their freshness."""

    rack: FloatArray  # [10, R]
    rack_quality: NDArray[np.uint8]
    pcs: FloatArray  # [9, P]
    pcs_quality: NDArray[np.uint8]
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
        row: FloatArray = self.pcs[0]
        return row

    @property
    def pcs_reactive_power_var(self) -> FloatArray:
        """Reactive power of the converters [P]."""
        row: FloatArray = self.pcs[1]
        return row


def measurements_of(image: Image, matrices: Matrices) -> Measurements:
    """Read the image. Good, substituted and uncertain values are usable; anything else is NaN."""
    rack, rack_quality = _usable(image, matrices.rack)
    pcs, pcs_quality = _usable(image, matrices.pcs)
    meter, _ = _usable(image, matrices.meter)
    contactor, state = image["rack.contactor"], image["pcs.state"]
    tripped, watchdog = image["rack.tripped"], image["pcs.watchdog_timeout"]
    return Measurements(
        rack=rack,
        rack_quality=rack_quality,
        pcs=pcs,
        pcs_quality=pcs_quality,
        meter=meter,
        contactor=contactor.value,
        contactor_fresh=contactor.quality <= Quality.UNCERTAIN,
        rack_tripped=(tripped.value != 0) & (tripped.quality <= Quality.UNCERTAIN),
        pcs_state=state.value,
        pcs_state_fresh=state.quality <= Quality.UNCERTAIN,
        pcs_watchdog_s=np.where(watchdog.quality <= Quality.UNCERTAIN, watchdog.value, np.nan),
    )


def _usable(image: Image, matrix: Matrix) -> tuple[FloatArray, NDArray[np.uint8]]:
    value, quality = matrix.read(image)
    usable: FloatArray = np.where(quality <= Quality.UNCERTAIN, value, np.nan)
    return usable, quality
