"""What a scan works on: tables that never change, and the state that one scan leaves to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.alarms.life_cycle import AlarmCounts, Alarms, new_alarms
from controller.alarms.table import AlarmTable, alarm_fields
from controller.control.control import ACCOUNT_PERIOD_NS
from controller.control.state import ControlState, control_state
from controller.estimation import Estimate, EstimatorConfig, EstimatorState, RackSpec, estimator_config, initial
from controller.image.image import Image
from controller.image.invalid_values import InvalidValues
from controller.image.latch import Latch
from controller.image.layout import Layout, plant_layout
from controller.image.outputs import OutputImage
from controller.image.plant_arrays import PlantArrays, plant_arrays
from controller.modbus.poll_groups import PollGroup
from controller.plant.model import Plant, Rack
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable, compile_table
from controller.runtime.alarm_conditions import AlarmConditions
from controller.runtime.publish import Publisher
from controller.runtime.rack_samples import RackSampler


@dataclass(frozen=True, slots=True)
class Tables:
    """What is derived from the plant once."""

    plant: Plant
    arrays: PlantArrays
    layout: Layout
    protection: ProtectionTable
    estimator: EstimatorConfig
    alarms: AlarmTable
    map_version: int


@dataclass(slots=True)
class State:
    """Everything that one scan leaves to the next; owned and changed by the scan alone."""

    image: Image
    latch: Latch
    invalid: InvalidValues
    protection: ProtectionState
    estimator: EstimatorState
    estimate: Estimate | None
    control: ControlState
    alarms: Alarms
    conditions: AlarmConditions
    sampler: RackSampler
    publisher: Publisher
    alarm_counts: AlarmCounts | None = None
    scan_count: int = 0
    last_ns: int = 0

    @property
    def outputs(self) -> OutputImage:
        """What is asked of the field."""
        return self.control.outputs


def tables_of(plant: Plant, map_version: int) -> Tables:
    """Derive a plant's tables."""
    return Tables(
        plant=plant,
        arrays=plant_arrays(plant),
        layout=image_layout(plant),
        protection=compile_table(plant),
        estimator=estimator_config(
            [_rack_spec(r) for r in plant.racks], plant.control.soc_source, power_period_s=ACCOUNT_PERIOD_NS * 1e-9
        ),
        alarms=AlarmTable(plant),
        map_version=map_version,
    )


def image_layout(plant: Plant) -> Layout:
    """Return the layout of the published image: all quantities, then the alarm list. Readers derive the same."""
    return plant_layout(plant, alarm_fields(plant))


def first_state(tables: Tables, groups: Sequence[PollGroup], now_ns: int) -> State:
    """Return the state before the first scan: nothing read, nothing asked, nothing latched."""
    image = Image(tables.layout)
    return State(
        image=image,
        latch=Latch(tables.plant, groups, image),
        invalid=InvalidValues(tables.plant, image),
        protection=ProtectionState(tables.protection),
        estimator=initial(tables.estimator, now_ns),
        estimate=None,
        control=control_state(tables.plant, tables.arrays),
        alarms=new_alarms(tables.alarms, image.arrays),
        conditions=AlarmConditions(tables.alarms, tables.protection),
        sampler=RackSampler(image, tables.arrays.pcs_bus, len(tables.plant.buses)),
        publisher=Publisher(image),
    )


def _rack_spec(rack: Rack) -> RackSpec:
    battery = rack.battery
    return RackSpec(
        cell=battery.cell,
        capacity_ah=battery.capacity_ah,
        cells_in_series=battery.cells_in_series,
        charge_current_max_a=battery.charge_current_max_a,
        discharge_current_max_a=battery.discharge_current_max_a,
        temperature_sensors=battery.temperatures,
        bus=rack.bus,
    )
