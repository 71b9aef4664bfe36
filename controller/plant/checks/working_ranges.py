"""Between which values a signal works: of any plant, and of what this site has installed.

The other checks of registers measure with it: a step that is coarse against it, a "no value" that lies inside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.checks.context import CheckContext
from controller.plant.device_types import DeviceType
from controller.plant.messages import Place
from controller.plant.model import BatteryType, Meter, Pcs, Plant, Poi
from controller.plant.signals import Owner

USUAL: dict[str, tuple[float, float]] = {
    "rack.soc": (0.0, 1.0),
    "rack.soh": (0.5, 1.0),
    "rack.current": (0.0, 0.0),
    "rack.charge_current_limit": (0.0, 0.0),
    "rack.discharge_current_limit": (0.0, 0.0),
    "rack.cell_temperature_max": (-20.0, 60.0),
    "rack.cell_temperature_min": (-20.0, 60.0),
    "cell.temperature": (-20.0, 60.0),
    "pcs.active_power": (0.0, 0.0),
    "pcs.reactive_power": (0.0, 0.0),
    "pcs.dc_current": (0.0, 0.0),
    "pcs.frequency": (45.0, 65.0),
    "pcs.temperature": (-20.0, 90.0),
    "pcs.discharge_power_limit": (0.0, 0.0),
    "pcs.charge_power_limit": (0.0, 0.0),
    "pcs.watchdog_timeout": (0.0, 60.0),
    "meter.active_power": (0.0, 0.0),
    "meter.reactive_power": (0.0, 0.0),
    "meter.apparent_power": (0.0, 0.0),
    "meter.current": (0.0, 0.0),
    "meter.frequency": (45.0, 65.0),
}
"""What every plant reaches, in base units: one number where no more is known before the ratings are."""

VOLTAGE_BAND_RATIO = 0.10
"""EN 50160, 4.2.2: 95 % of the grid's ten-minute means are within this of the nominal voltage."""
FREQUENCY_LOW_RATIO, FREQUENCY_HIGH_RATIO = 0.95, 1.03
"""Regulation (EU) 2016/631, article 13: a plant stays connected, and in service, from 47.5 to 51.5 Hz."""


@dataclass(frozen=True, slots=True)
class Working:
    """What a signal reaches at this site, in base units; `of`: whose it is, in the site file's name; `place`: there."""

    device_type: DeviceType
    signal: str
    low: float
    high: float
    of: str
    owner: Owner
    place: Place


def working_ranges(context: CheckContext) -> Iterator[Working]:
    """Yield what the equipment of this site reaches, once for each kind of device and of equipment."""
    seen: set[tuple[int, str, float, float]] = set()
    for device in context.plant.devices:
        for binding in device.bindings:
            for signal, low, high, of in _of(context.plant, binding.owner, binding.equipment):
                key = (id(device.type), signal, low, high)
                if key not in seen and device.type.point(signal) is not None:
                    seen.add(key)
                    place = _place(context, binding.owner, binding.equipment)
                    yield Working(device.type, signal, low, high, of, binding.owner, place)


def _place(context: CheckContext, owner: Owner, equipment: int) -> Place:
    """Return where the site states what an equipment is rated for."""
    match owner:
        case Owner.RACK:
            name = context.plant.racks[equipment].battery.name
            return context.document.place_of(("batteries", name), key=True)
        case Owner.PCS:
            return context.place("pcs", equipment, "rating")
        case _:
            return context.place("meters", equipment)


def _of(plant: Plant, owner: Owner, equipment: int) -> Iterator[tuple[str, float, float, str]]:
    match owner:
        case Owner.RACK:
            battery = plant.racks[equipment].battery
            yield from ((name, low, high, battery.name) for name, low, high in battery_reaches(battery))
        case Owner.PCS:
            pcs = plant.pcs[equipment]
            reaches = (*_pcs_reaches(pcs), ("pcs.frequency", *_frequencies(plant.poi)))
            yield from ((name, low, high, pcs.name) for name, low, high in reaches)
        case Owner.METER:
            meter = plant.meters[equipment]
            yield from ((name, low, high, meter.name) for name, low, high in _meter_reaches(meter, plant.poi))
        case _:
            return


def battery_reaches(battery: BatteryType) -> tuple[tuple[str, float, float], ...]:
    """Return what a rack reaches in operation, by signal."""
    window = (battery.voltage_min_v / battery.cells_in_series, battery.voltage_max_v / battery.cells_in_series)
    return (
        ("rack.voltage", battery.voltage_min_v, battery.voltage_max_v),
        ("rack.current", -battery.charge_current_max_a, battery.discharge_current_max_a),
        ("cell.voltage", *window),
        ("rack.cell_voltage_max", *window),
        ("rack.cell_voltage_min", *window),
    )


def _pcs_reaches(pcs: Pcs) -> tuple[tuple[str, float, float], ...]:
    reactive_var = _beside(pcs.power_w, pcs.apparent_va)
    return (
        ("pcs.active_power", -pcs.power_w, pcs.power_w),
        ("pcs.active_power_setpoint", -pcs.power_w, pcs.power_w),
        ("pcs.reactive_power", -reactive_var, reactive_var),
        ("pcs.reactive_power_setpoint", -reactive_var, reactive_var),
        ("pcs.discharge_power_limit", 0.0, pcs.power_w),
        ("pcs.charge_power_limit", 0.0, pcs.power_w),
        ("pcs.dc_voltage", pcs.dc_voltage_min_v, pcs.dc_voltage_max_v),
        ("pcs.dc_current", -pcs.dc_current_max_a, pcs.dc_current_max_a),
        ("pcs.ac_voltage", *_band(pcs.ac_voltage_v)),
    )


def _meter_reaches(meter: Meter, poi: Poi) -> Iterator[tuple[str, float, float]]:
    """Yield what any meter reads, and of one at the POI what the whole plant makes and takes."""
    yield "meter.voltage", *_band(meter.voltage_v)
    yield "meter.frequency", *_frequencies(poi)
    if meter.is_at_poi:
        reactive_var = _beside(poi.power_w, poi.apparent_va)
        yield "meter.active_power", -poi.import_limit_w, poi.export_limit_w
        yield "meter.reactive_power", -reactive_var, reactive_var
        yield "meter.apparent_power", 0.0, poi.apparent_va
        yield "meter.current", 0.0, poi.apparent_va / (math.sqrt(3.0) * meter.voltage_v)


def _beside(power_w: float, apparent_va: float) -> float:
    """Return the reactive power that is left at full active power."""
    return math.sqrt(max(apparent_va**2 - power_w**2, 0.0))


def _band(nominal_v: float) -> tuple[float, float]:
    return nominal_v * (1 - VOLTAGE_BAND_RATIO), nominal_v * (1 + VOLTAGE_BAND_RATIO)


def _frequencies(poi: Poi) -> tuple[float, float]:
    return poi.frequency_hz * FREQUENCY_LOW_RATIO, poi.frequency_hz * FREQUENCY_HIGH_RATIO
