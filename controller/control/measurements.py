"""What control reads of the process image, once a scan: usable values, NaN where a value must not be computed with.

The scalars of one kind of equipment lie side by side in the image (each padded to the same length), so all of them
are read as one matrix [quantity, equipment] and judged in one operation, and again only when a quality has changed.
While all are usable nothing is copied.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.masks import anywhere
from controller.image.matrix import Matrix, matrix_of
from controller.image.quality import Quality
from controller.plant.signals import PcsState

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
VOLTAGE, CURRENT = RACK_QUANTITIES.index("rack.voltage"), RACK_QUANTITIES.index("rack.current")
CELL_VOLTAGE_MAX = RACK_QUANTITIES.index("rack.cell_voltage_max")
CELL_VOLTAGE_MIN = RACK_QUANTITIES.index("rack.cell_voltage_min")
"""Rows of the racks' matrix."""
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
    rack_current_time_ns: NDArray[np.int64]  # [R] when it was sampled
    contactor: NDArray[np.int32]  # [R] last value read
    contactor_fresh: BoolArray
    contactor_time_ns: NDArray[np.int64]
    rack_tripped: BoolArray  # [R] the BMS says so
    pcs_state: NDArray[np.int32]  # [P] last usable value: what is no value reads 0 in the image, and would say "off"
    pcs_state_fresh: BoolArray
    pcs_watchdog_s: FloatArray  # [P], NaN unknown
    pcs_dc_voltage_v: FloatArray  # [P]

    @property
    def rack_voltage_v(self) -> FloatArray:
        """Rack voltages [R]."""
        row: FloatArray = self.rack[VOLTAGE]
        return row

    @property
    def rack_current_a(self) -> FloatArray:
        """Rack currents [R], + = discharge."""
        row: FloatArray = self.rack[CURRENT]
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


class Reader:
    """Reads one image, scan after scan; what follows from qualities alone is worked out only when one has changed."""

    def __init__(self, image: Image) -> None:
        """Make the views; nothing read yet."""
        self.image = image
        self._rack, self._meter = _Scalars(image, RACK_QUANTITIES), _Scalars(image, METER_QUANTITIES)
        self._pcs_power, self._pcs_limit = _Scalars(image, PCS_POWERS), _Scalars(image, PCS_LIMITS)
        self._scalars = (self._rack, self._meter, self._pcs_power, self._pcs_limit)
        self.qualities = b""  # of everything measured but cells, as it was read last
        self._contactor_fresh = self._tripped_usable = self._pcs_state_fresh = np.zeros(0, np.bool_)
        self._pcs_state = np.full_like(image["pcs.state"].value, PcsState.UNKNOWN)

    def read(self) -> Measurements:
        """Return this scan's measurements. Good, substituted and uncertain values are usable; anything else is NaN."""
        image = self.image
        qualities = image.measured_quality.tobytes()
        if qualities != self.qualities:
            self.qualities = qualities
            self._look_at_qualities()
        self._pcs_state = np.where(self._pcs_state_fresh, image["pcs.state"].value, self._pcs_state)
        watchdog, contactor = image["pcs.watchdog_timeout"], image["rack.contactor"]
        dc_voltage = image["pcs.dc_voltage"]
        return Measurements(
            rack=self._rack.usable(),
            rack_all_usable=self._rack.bad is None,
            rack_quality=self._rack.views.quality,
            pcs_power=self._pcs_power.usable(),
            pcs_limit_w=self._pcs_limit.usable()[::-1],
            pcs_limits_usable=self._pcs_limit.bad is None,
            pcs_limit_quality=self._pcs_limit.views.quality[::-1],
            meter=self._meter.usable(),
            rack_current_time_ns=image["rack.current"].time_ns,
            contactor=contactor.value,
            contactor_fresh=self._contactor_fresh,
            contactor_time_ns=contactor.time_ns,
            rack_tripped=self._tripped_usable & (image["rack.tripped"].value != 0),
            pcs_state=self._pcs_state,
            pcs_state_fresh=self._pcs_state_fresh,
            pcs_watchdog_s=np.where(watchdog.quality <= USABLE, watchdog.value, np.nan),
            pcs_dc_voltage_v=np.where(dc_voltage.quality <= USABLE, dc_voltage.value, np.nan),
        )

    def _look_at_qualities(self) -> None:
        for scalars in self._scalars:
            scalars.look_at_qualities()
        image = self.image
        self._contactor_fresh = image["rack.contactor"].quality <= USABLE
        self._tripped_usable = image["rack.tripped"].quality <= USABLE
        self._pcs_state_fresh = image["pcs.state"].quality <= USABLE


class _Scalars:
    """Scalars of one kind of equipment [quantity, equipment]; `bad`: where not usable, None while all are."""

    def __init__(self, image: Image, names: tuple[str, ...]) -> None:
        self.views: Matrix = matrix_of(image, names)
        self.bad: BoolArray | None = None

    def look_at_qualities(self) -> None:
        bad = self.views.quality > USABLE
        self.bad = bad if anywhere(bad) else None

    def usable(self) -> FloatArray:
        """Return the values, NaN where not usable; the image's own while all are."""
        return self.views.value if self.bad is None else np.where(self.bad, np.nan, self.views.value)
