"""Between which values a signal works: of any plant, and of what this site has installed.

The other checks of registers measure with it: a step that is coarse against it, a "no value" that lies inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.checks.context import CheckContext
from controller.plant.device_types import DeviceType
from controller.plant.model import BatteryType, Pcs, Plant
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


@dataclass(frozen=True, slots=True)
class Working:
    """What a signal reaches at this site, in base units; `of`: whose it is, in the site file's name."""

    device_type: DeviceType
    signal: str
    low: float
    high: float
    of: str


def working_ranges(context: CheckContext) -> Iterator[Working]:
    """Yield what the equipment of this site reaches, once for each kind of device and of equipment."""
    seen: set[tuple[int, str, float, float]] = set()
    for device in context.plant.devices:
        for binding in device.bindings:
            for signal, low, high, of in _of(context.plant, binding.owner, binding.equipment):
                key = (id(device.type), signal, low, high)
                if key not in seen and device.type.point(signal) is not None:
                    seen.add(key)
                    yield Working(device.type, signal, low, high, of)


def _of(plant: Plant, owner: Owner, equipment: int) -> Iterator[tuple[str, float, float, str]]:
    match owner:
        case Owner.RACK:
            battery = plant.racks[equipment].battery
            yield from ((name, low, high, battery.name) for name, low, high in battery_reaches(battery))
        case Owner.PCS:
            pcs = plant.pcs[equipment]
            yield from ((name, low, high, pcs.name) for name, low, high in _pcs_reaches(pcs))
        case Owner.METER:
            meter = plant.meters[equipment]
            yield "meter.voltage", *_band(meter.voltage_v), meter.name
            if equipment == plant.poi.meter:
                yield "meter.active_power", -plant.poi.import_limit_w, plant.poi.export_limit_w, meter.name
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
    return (
        ("pcs.active_power", -pcs.power_w, pcs.power_w),
        ("pcs.active_power_setpoint", -pcs.power_w, pcs.power_w),
        ("pcs.dc_voltage", pcs.dc_voltage_min_v, pcs.dc_voltage_max_v),
        ("pcs.dc_current", -pcs.dc_current_max_a, pcs.dc_current_max_a),
        ("pcs.ac_voltage", *_band(pcs.ac_voltage_v)),
    )


def _band(nominal_v: float) -> tuple[float, float]:
    return nominal_v * (1 - VOLTAGE_BAND_RATIO), nominal_v * (1 + VOLTAGE_BAND_RATIO)
