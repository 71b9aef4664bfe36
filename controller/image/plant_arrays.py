"""The plant's constants as arrays, in the index order of the image: made once, read by every step of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.model import Plant, UnloadsContactors

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PlantArrays:
    """Relations and ratings. Shapes: racks [R], buses [B], pcs [P], cells [R, C], sensors [R, S]."""

    rack_bus: IntArray
    rack_block: IntArray
    rack_in_service: BoolArray
    rack_capacity_ah: FloatArray
    rack_energy_wh: FloatArray
    rack_charge_current_max_a: FloatArray
    rack_discharge_current_max_a: FloatArray
    rack_break_current_a: FloatArray
    rack_resistance_ohm: FloatArray
    rack_voltage_min_v: FloatArray
    rack_voltage_max_v: FloatArray
    rack_cells_in_series: IntArray
    cell_present: BoolArray
    sensor_present: BoolArray
    bus_block: IntArray
    bus_bms_stops_pcs: BoolArray
    pcs_bus: IntArray
    pcs_block: IntArray
    pcs_in_service: BoolArray
    pcs_power_w: FloatArray
    pcs_apparent_va: FloatArray
    pcs_ramp_w_per_s: FloatArray
    pcs_efficiency_ratio: FloatArray
    pcs_dc_voltage_min_v: FloatArray
    pcs_dc_voltage_max_v: FloatArray


def plant_arrays(plant: Plant) -> PlantArrays:
    """Return the arrays of a plant."""
    racks, pcs, buses = plant.racks, plant.pcs, plant.buses
    cells = np.array([r.battery.cells_in_series for r in racks], np.int64)
    sensors = np.array([r.battery.temperatures for r in racks], np.int64)
    return PlantArrays(
        rack_bus=np.array([r.bus for r in racks], np.int64),
        rack_block=np.array([r.block for r in racks], np.int64),
        rack_in_service=np.array([r.out_of_service is None for r in racks], np.bool_),
        rack_capacity_ah=np.array([r.battery.capacity_ah for r in racks], np.float64),
        rack_energy_wh=np.array([r.battery.energy_wh for r in racks], np.float64),
        rack_charge_current_max_a=np.array([r.battery.charge_current_max_a for r in racks], np.float64),
        rack_discharge_current_max_a=np.array([r.battery.discharge_current_max_a for r in racks], np.float64),
        rack_break_current_a=np.array([r.battery.break_current_a for r in racks], np.float64),
        rack_resistance_ohm=np.array([r.battery.resistance_ohm for r in racks], np.float64),
        rack_voltage_min_v=np.array([r.battery.voltage_min_v for r in racks], np.float64),
        rack_voltage_max_v=np.array([r.battery.voltage_max_v for r in racks], np.float64),
        rack_cells_in_series=cells,
        cell_present=_ragged_mask(cells),
        sensor_present=_ragged_mask(sensors),
        bus_block=np.array([b.block for b in buses], np.int64),
        bus_bms_stops_pcs=np.array(
            [b.unloads_contactors is not UnloadsContactors.CONTROLLER_ONLY for b in buses], np.bool_
        ),
        pcs_bus=np.array([p.bus for p in pcs], np.int64),
        pcs_block=np.array([p.block for p in pcs], np.int64),
        pcs_in_service=np.array([p.out_of_service is None for p in pcs], np.bool_),
        pcs_power_w=np.array([p.power_w for p in pcs], np.float64),
        pcs_apparent_va=np.array([p.apparent_va for p in pcs], np.float64),
        pcs_ramp_w_per_s=np.array([p.ramp_w_per_s for p in pcs], np.float64),
        pcs_efficiency_ratio=np.array([p.efficiency_ratio for p in pcs], np.float64),
        pcs_dc_voltage_min_v=np.array([p.dc_voltage_min_v for p in pcs], np.float64),
        pcs_dc_voltage_max_v=np.array([p.dc_voltage_max_v for p in pcs], np.float64),
    )


def _ragged_mask(lengths: IntArray) -> BoolArray:
    longest = int(lengths.max(initial=0))
    mask: BoolArray = np.arange(longest) < lengths[:, None]
    return mask
