"""Do the racks of a DC bus measure what its converters take? Finds currents and powers measured the wrong way round.

Rule: what the racks of a bus give is what its converters take, but for losses and the sensors' errors. Where the sums
lie apart by more, racks whose current runs against the bus's power are under suspicion, if turning them round would
close at least half of the gap; ten seconds of it are a finding. It is over once the sums agree under load: at rest
nothing can be seen. Circulating currents cancel in the sum and are no gap, and the small one of a rack that froze at
rest explains none. Where a converter's reading runs against its own command, and the racks follow that, it is the
converter's, and no rack is suspected. Looked at once a second; a value that is missing stops the clock of its bus.

What the racks of a bus give beside its other converters is also what each converter takes by their word (`shown_w`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.efficiency import dc_power_w
from controller.control.limits.buses import Connections
from controller.control.measurements import Measurements
from controller.control.relations import Relations
from controller.image.plant_arrays import PlantArrays

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

LOOK_EACH_NS = 1_000_000_000
WRONG_AFTER_S = 10.0
RATING_ERROR_RATIO, READING_ERROR_RATIO = 0.01, 0.04
"""What sums may lie apart: sensors' offsets and standby losses of the rating, gains and efficiency of the reading."""

EXPLAINED_RATIO = 0.5
"""Of the gap: so much of it the racks under suspicion must explain."""


class BusBalance:
    """Memory of the comparison; `wrong` [R] racks' currents and `turned` [P] converters' powers have the wrong sign.

    Owned by control's state.
    """

    def __init__(self, relations: Relations, arrays: PlantArrays) -> None:
        """Nothing seen yet."""
        self._relations, self._arrays = relations, arrays
        self._offset_w = RATING_ERROR_RATIO * relations.bus_of_pcs.dot(arrays.pcs_power_w)
        self._suspect_s = np.zeros(len(arrays.rack_bus))
        self._turned_s = np.zeros(len(arrays.pcs_bus))
        self._looked_ns = 0
        self.turned: BoolArray = np.zeros(len(arrays.pcs_bus), np.bool_)
        self.wrong: BoolArray = np.zeros(len(arrays.rack_bus), np.bool_)
        self.shown_w: FloatArray = np.full(len(arrays.pcs_bus), np.nan)  # [P] at the DC side

    def look(self, measured: Measurements, connections: Connections, command_w: FloatArray, now_ns: int) -> None:
        """Compare again, if it is time to. `command_w` [P]: of the scan before."""
        passed_ns = now_ns - self._looked_ns
        if passed_ns < LOOK_EACH_NS:
            return
        self._looked_ns = now_ns
        rack_bus, pcs_bus = self._arrays.rack_bus, self._arrays.pcs_bus
        rack_w = np.where(connections.on_bus, measured.rack_voltage_v * measured.rack_current_a, 0.0)
        converters_w = dc_power_w(self._arrays.pcs_efficiency_ratio, measured.pcs_active_power_w)
        taken_w = self._relations.bus_of_pcs.dot(converters_w)
        gap_w = self._relations.bus_of_rack.dot(rack_w) - taken_w  # NaN where one of either is unknown
        self.shown_w = converters_w + gap_w[pcs_bus]
        apart_w = self._offset_w + READING_ERROR_RATIO * np.abs(taken_w)
        against = (rack_w * taken_w[rack_bus] < 0.0) & (rack_w * gap_w[rack_bus] > 0.0)
        turned_w = 2.0 * self._relations.bus_of_rack.dot(np.where(against, rack_w, 0.0))
        explained = (np.abs(gap_w) > apart_w) & (np.abs(turned_w) >= EXPLAINED_RATIO * np.abs(gap_w))
        of_converter = (converters_w * command_w < 0.0) & (self.shown_w * command_w > 0.0)
        of_converter &= (np.abs(gap_w) > apart_w)[pcs_bus]
        suspect = (against & explained[rack_bus]) & ~(self._relations.bus_of_pcs.dot(of_converter) > 0.0)[rack_bus]
        loaded, passed_s = np.abs(taken_w) > 2.0 * apart_w, min(passed_ns, 2 * LOOK_EACH_NS) * 1e-9
        _count(self._suspect_s, suspect, loaded[rack_bus], passed_s)
        _count(self._turned_s, of_converter, loaded[pcs_bus], passed_s)
        self.wrong, self.turned = self._suspect_s >= WRONG_AFTER_S, self._turned_s >= WRONG_AFTER_S


def _count(suspect_s: FloatArray, suspect: BoolArray, loaded: BoolArray, passed_s: float) -> None:
    suspect_s[suspect] += passed_s
    suspect_s[loaded & ~suspect] = 0.0
