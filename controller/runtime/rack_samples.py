"""What estimation is fed: the measured image as one sample of all racks.

Estimation keeps parts of a sample until the next one: currents and times are copies, never the image's own arrays,
which the next latch writes over.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from controller.estimation import RackSample
from controller.image.image import Image
from controller.image.quality import usable
from controller.plant.signals import ContactorState

_OPEN = int(ContactorState.OPEN)


class _Cells(TypedDict):
    """A sample's part of cells and sensors; values are the image's own, to be read in this scan only."""

    cell_time_ns: NDArray[np.int64]
    cell_voltage_v: NDArray[Any]
    cell_valid: NDArray[np.bool_]
    cell_temperature_degc: NDArray[Any]
    temperature_valid: NDArray[np.bool_]
    balancing: NDArray[np.bool_] | None
    balancing_told: NDArray[np.bool_]


class RackSampler:
    """Makes each scan's sample of one image; what is not usable is marked invalid, never replaced."""

    def __init__(self, image: Image, pcs_bus: NDArray[np.int64], buses: int) -> None:
        """No cells looked at yet; `pcs_bus` [pcs] is the DC bus of each converter."""
        self._image = image
        self._pcs_bus, self._buses = pcs_bus, buses
        self._without_pcs = np.bincount(pcs_bus, minlength=buses) == 0
        self._cells: _Cells | None = None

    def sample(self, *, cells_changed: bool) -> RackSample:
        """Return this scan's sample; cells are looked at again only when something about them has changed."""
        if self._cells is None or cells_changed:
            self._cells = _cells(self._image)
        return _sample(self._image, self._cells, self._bus_current_a())

    def _bus_current_a(self) -> NDArray[np.float64]:
        """Return what the converters of each bus take, NaN where one of them does not tell or where there is none."""
        current = self._image["pcs.dc_current"]
        told = np.where(usable(current.quality), current.value, np.nan)
        total_a = np.bincount(self._pcs_bus, weights=told, minlength=self._buses).astype(np.float64, copy=False)
        total_a[self._without_pcs] = np.nan
        return total_a


def _sample(image: Image, cells: _Cells, bus_current_a: NDArray[np.float64]) -> RackSample:
    current, voltage, soc = image["rack.current"], image["rack.voltage"], image["rack.soc"]
    contactor, tripped = image["rack.contactor"], image["rack.tripped"]
    return RackSample(
        source_time_ns=current.time_ns.copy(),
        valid=usable(current.quality) & usable(voltage.quality),
        current_a=current.value.copy(),
        voltage_v=voltage.value.copy(),
        soc_bms_ratio=np.where(usable(soc.quality), soc.value, np.nan),
        contactor_open=usable(contactor.quality) & (contactor.value == _OPEN),
        bms_alarm_free=usable(tripped.quality) & (tripped.value == 0),
        bus_current_a=bus_current_a,
        **cells,
    )


def _cells(image: Image) -> _Cells:
    cells, sensors, bleeds = image["cell.voltage"], image["cell.temperature"], image["cell.balancing"]
    heard = usable(bleeds.quality)
    return _Cells(
        cell_time_ns=cells.time_ns.copy(),
        cell_voltage_v=cells.value,
        cell_valid=usable(cells.quality),
        cell_temperature_degc=sensors.value,
        temperature_valid=usable(sensors.quality),
        balancing=heard & (bleeds.value != 0) if heard.any() else None,
        balancing_told=np.asarray(heard.any(axis=1)),
    )
