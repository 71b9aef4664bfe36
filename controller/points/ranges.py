"""What values a point can sensibly take, in face units: for gauges, for EURange, and as bounds of what may be written.

Rule: derived from ratings, with head-room for measurements (a measured value may exceed a rating; a written one not).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.image.quantities import POWER_HORIZONS, QUANTITIES
from controller.plant.model import Plant
from controller.plant.signals import Owner

HEADROOM_RATIO = 1.2
CYCLES_OF_A_LIFE = 20_000
_OF_A_CELL = {"cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min"}
_METER_REGISTERS = {"plant.energy_out", "plant.energy_in", "meter.energy_out", "meter.energy_in"}
_DAY_S = 86_400.0
_LIFE_DAYS = 40 * 365.25
_LIFE_S = _LIFE_DAYS * _DAY_S
_GAIN_ERRORS = {f"rack.current_gain_error{part}" for part in ("", "_low", "_high")}
_HEALTH = {name for name in QUANTITIES if name.startswith("rack.soh_")}
"""A cell may be better than its type's, and its upper bound more so."""
_RESISTANCE_HEALTH = {name for name in _HEALTH if name.startswith("rack.soh_resistance")}
"""Of the resistance far more so: a third of the type's is the least that is possible (`estimation.mean_resistance`)."""
_POWERS = {f"rack.{way}_power_{horizon}" for way in ("discharge", "charge") for horizon in POWER_HORIZONS}
_COUNTERS = {
    f"rack.{name}" for name in ("charge_out", "charge_in", "energy_out", "energy_in", "full_cycles", "full_cycles_bms")
} | {name for name in QUANTITIES if name.startswith("rack.time_at_") or name == "rack.uncounted_time"}
LIFETIME_COUNTERS = frozenset(_METER_REGISTERS | _COUNTERS)
"""What only grows, for years: 24 bits of mantissa would no longer see an hour's part of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Lowest and highest value."""

    low: float
    high: float


_OF_DTYPE = {"<u4": Span(0.0, 4_294_967_295.0), "<i4": Span(0.0, 65_534.0), "u1": Span(0.0, 1.0)}
"""What counts, codes and yes/no can be."""


def span(plant: Plant, owner: Owner, index: int, quantity: str, unit: str, action: str) -> Span:
    """Return the span of a point of this equipment and unit; for writable points what may be written."""
    if written := _written(plant, action):
        return written
    if quantity in _COUNTERS:
        return _life(plant, index, unit)
    if of_quantity := _OF_QUANTITY.get(quantity):
        return of_quantity(plant, owner, index)
    return _OF_DTYPE.get(QUANTITIES[quantity].dtype) or _SPANS[unit](plant, owner, index)


def _life(plant: Plant, index: int, unit: str) -> Span:
    """Return the span of a counter of a rack: what a life of many cycles brings together."""
    battery = plant.racks[index].battery
    energy_kwh = battery.capacity_ah * battery.voltage_max_v * 1e-3
    of_a_cycle = {"Ah": battery.capacity_ah, "kWh": energy_kwh, "": 1.0, "s": _LIFE_S / CYCLES_OF_A_LIFE}
    return Span(0.0, of_a_cycle[unit] * CYCLES_OF_A_LIFE)


def _written(plant: Plant, action: str) -> Span | None:
    poi = plant.poi
    match action:
        case "set_active_power":
            return Span(-poi.import_limit_w * 1e-6, poi.export_limit_w * 1e-6)
        case "set_reactive_power":
            return Span(-poi.apparent_va * 1e-6, poi.apparent_va * 1e-6)
        case "set_export_limit":
            return Span(0.0, poi.export_limit_w * 1e-6)
        case "set_import_limit":
            return Span(0.0, poi.import_limit_w * 1e-6)
        case "scada_heartbeat":
            return Span(0.0, 65_535.0)  # a counter of 16 bits takes each of its values, the wire's "no value" too
        case _:
            return None


def _plain(_plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(-1.0, 1.0)


def _plant_power(plant: Plant, _owner: Owner, _index: int) -> Span:
    return _both_ways(max(plant.poi.apparent_va, plant.poi.power_w) * 1e-6)


def _plant_energy(plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(0.0, plant.poi.energy_wh * 1e-6 * HEADROOM_RATIO)


def _grid_voltage(plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(0.0, plant.poi.voltage_v * 1e-3 * HEADROOM_RATIO)


def _frequency(plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(plant.poi.frequency_hz - 5.0, plant.poi.frequency_hz + 5.0)


def _equipment_power(plant: Plant, owner: Owner, index: int) -> Span:
    if owner is Owner.PCS:
        return _both_ways(plant.pcs[index].apparent_va * 1e-3)
    battery = plant.racks[index].battery
    return _both_ways(battery.voltage_max_v * battery.discharge_current_max_a * 1e-3)


def _rack_energy(plant: Plant, _owner: Owner, index: int) -> Span:
    battery = plant.racks[index].battery
    return Span(0.0, battery.capacity_ah * battery.voltage_max_v * 1e-3 * HEADROOM_RATIO)


def _current(plant: Plant, owner: Owner, index: int) -> Span:
    if owner is Owner.PCS:
        return _both_ways(plant.pcs[index].dc_current_max_a)
    battery = plant.racks[index].battery
    return _both_ways(max(battery.charge_current_max_a, battery.discharge_current_max_a))


def _voltage(plant: Plant, owner: Owner, index: int) -> Span:
    if owner is Owner.PCS:
        return Span(0.0, plant.pcs[index].dc_voltage_max_v * HEADROOM_RATIO)
    return Span(0.0, plant.racks[index].battery.voltage_max_v * HEADROOM_RATIO)


def _both_ways(rating: float) -> Span:
    return Span(-rating * HEADROOM_RATIO, rating * HEADROOM_RATIO)


def _share(_plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(0.0, 100.0)


def _temperature(_plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(-40.0, 120.0)


def _duration(_plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(0.0, _DAY_S)


def _cell_voltage(plant: Plant, _owner: Owner, index: int) -> Span:
    battery = plant.racks[index].battery
    return Span(0.0, battery.voltage_max_v / battery.cells_in_series * HEADROOM_RATIO)


def _register(plant: Plant, _owner: Owner, _index: int) -> Span:
    return Span(0.0, plant.poi.energy_wh * 1e-6 * CYCLES_OF_A_LIFE)


def _power_one_way(plant: Plant, owner: Owner, index: int) -> Span:
    return Span(0.0, _equipment_power(plant, owner, index).high)


_Rule = Callable[[Plant, Owner, int], Span]
_OF_QUANTITY: dict[str, _Rule] = {
    **dict.fromkeys(_OF_A_CELL, _cell_voltage),
    **dict.fromkeys(_METER_REGISTERS, _register),
    **dict.fromkeys(_POWERS, _power_one_way),
    **dict.fromkeys(_HEALTH, lambda _plant, _owner, _index: Span(0.0, 150.0)),
    **dict.fromkeys(_RESISTANCE_HEALTH, lambda _plant, _owner, _index: Span(0.0, 350.0)),
    **dict.fromkeys(_GAIN_ERRORS, lambda _plant, _owner, _index: Span(-10.0, 10.0)),
    "rack.anchor_age": lambda _plant, _owner, _index: Span(0.0, _LIFE_S),
}
_SPANS: dict[str, _Rule] = {
    "": _plain,
    "d": lambda _plant, _owner, _index: Span(0.0, _LIFE_DAYS),
    "MW": _plant_power,
    "MVAr": _plant_power,
    "MVA": _plant_power,
    "MWh": _plant_energy,
    "kV": _grid_voltage,
    "Hz": _frequency,
    "%": _share,
    "kW": _equipment_power,
    "kvar": _equipment_power,
    "kWh": _rack_energy,
    "A": _current,
    "V": _voltage,
    "degC": _temperature,
    "s": _duration,
}
