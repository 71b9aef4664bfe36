"""Is a rack type possible: cells, windows, currents, energy, and what its BMS does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import normpath

from controller.plant.cell_types import CellType
from controller.plant.checks.context import CheckContext
from controller.plant.figures import quantity, span
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import BatteryType, BmsTrip
from controller.plant.units import Dimension, parse_quantity
from controller.plant.yaml_tree import Document

ENERGY_TOLERANCE = 0.10
SIZE_APART = 1.3
"""Cells of one make come in sizes: beyond this it is another number of them."""
LEAST_OF_CELLS, MOST_OF_CELLS = 0.25, 6.0


def batteries_of_racks(context: CheckContext) -> dict[str, BatteryType]:
    """Return the battery types that racks are of, in the order of the site file."""
    used = {battery.name: battery for battery in context.plant.battery_types}
    return {name: used[name] for name in context.site.batteries if name in used}


def unused_batteries(context: CheckContext) -> Iterator[Message]:
    """A rack type that no rack is of is probably a misspelt reference elsewhere."""
    used = batteries_of_racks(context)
    for name in context.site.batteries:
        if name not in used:
            place = context.document.place_of(("batteries", name), key=True)
            yield warning(place, f"no rack is of battery '{name}'", "a group under racks with this battery")


def modules_divide_cells(context: CheckContext) -> Iterator[Message]:
    """Cells are numbered through equal modules."""
    for name, battery in batteries_of_racks(context).items():
        if battery.cells_in_series % battery.modules:
            message = f"{battery.cells_in_series} cells can't be spread evenly over {battery.modules} modules"
            yield error(context.at("batteries", name, "cells", "modules"), message, "cells a multiple of modules")


def windows_are_inside_cells(context: CheckContext) -> Iterator[Message]:
    """A window lies inside what the cell's maker allows; `causes` tells of one whose ends are exchanged."""
    for name, battery in batteries_of_racks(context).items():
        window, limits = context.site.batteries[name].window, battery.cell.limits
        low, high = context.at("batteries", name, "window", "min"), context.at("batteries", name, "window", "max")
        if window.min >= window.max:
            continue
        if window.max > limits.voltage_max_v + 1e-9:
            message = f"window.max ({window.max:g} V) is above what cell {battery.cell.name} bears"
            also = _of_own_cell(context, name, "voltage_max")
            yield error(high, message, f"at most {limits.voltage_max_v:g} V", see_also=also)
        if window.min < limits.voltage_min_v - 1e-9:
            message = f"window.min ({window.min:g} V) is below what cell {battery.cell.name} bears"
            also = _of_own_cell(context, name, "voltage_min")
            yield error(low, message, f"at least {limits.voltage_min_v:g} V", see_also=also)


def own_cell_file(context: CheckContext, battery: str) -> Document | None:
    """Return the cell file of a battery where the site brings it; the library's is nobody's to mend."""
    document = context.files.documents.get(normpath(context.site.batteries[battery].cell))
    return None if document is None or document.file.startswith("library/") else document


def _of_own_cell(context: CheckContext, battery: str, limit: str) -> list[Place]:
    document = own_cell_file(context, battery)
    return [] if document is None else [document.place_of(("limits", limit))]


def currents_fit_cells(context: CheckContext) -> Iterator[Message]:
    """The rack's continuous currents are within the cells' own; `causes` tells it, for much follows from it."""
    for name, battery in batteries_of_racks(context).items():
        limits, parallel = battery.cell.limits, battery.cells_in_parallel
        for key, rack_a, cell_a in (
            ("charge", battery.charge_current_max_a, limits.charge_current_max_a),
            ("discharge", battery.discharge_current_max_a, limits.discharge_current_max_a),
        ):
            if rack_a > cell_a * parallel * 1.001:
                message = f"{key} current ({rack_a:g} A) is above what {parallel} x cell {battery.cell.name} bears"
                yield error(context.at("batteries", name, "current", key), message, f"at most {cell_a * parallel:g} A")


def energy_fits_cells(context: CheckContext) -> Iterator[Message]:
    """Ah times volts make the energy that is written."""
    for name, battery in batteries_of_racks(context).items():
        if not energy_is_credible(battery):
            expected_wh = energy_of_cells_wh(battery)
            message = f"energy is {quantity(battery.energy_wh, 'Wh')}, but {battery.capacity_ah:g} Ah"
            message += f" in {battery.cells_in_series} cells make about {quantity(expected_wh, 'Wh', 2)}"
            yield error(context.at("batteries", name, "energy"), message, "energy, capacity and cells that fit")


def parallel_cells_make_the_capacity(context: CheckContext) -> Iterator[Message]:
    """A cell file of the site is of its own cell: so many in parallel make what the rack holds.

    A cell of the library stands for cells of any size: it is scaled to what each of the rack's would hold.
    """
    for name, battery in batteries_of_racks(context).items():
        document = own_cell_file(context, name)
        if document is None:
            continue
        cell_ah, parallel = parse_quantity(document.text_at(("capacity",)), Dimension.CHARGE), battery.cells_in_parallel
        if isinstance(cell_ah, float) and not 1 / SIZE_APART < battery.capacity_ah / (cell_ah * parallel) < SIZE_APART:
            message = f"{name} is said to hold {quantity(battery.capacity_ah, 'Ah')}, but {parallel} x"
            message += (
                f" {quantity(cell_ah, 'Ah')} of cell {battery.cell.name} make {quantity(cell_ah * parallel, 'Ah')}"
            )
            expected = "capacity, cells.parallel and the cell's capacity that fit"
            each = quantity(battery.capacity_ah / parallel, "Ah")
            hint = f"if the file lends its curves only: each cell counts as {each}"
            place = context.at("batteries", name, "cells", "parallel")
            also = [context.at("batteries", name, "capacity"), document.place_of(("capacity",))]
            yield warning(place, message, expected, hint, also)


def energy_is_credible(battery: BatteryType) -> bool:
    """Tell whether a rack's energy is about what its cells hold."""
    expected_wh = energy_of_cells_wh(battery)
    return abs(battery.energy_wh - expected_wh) <= ENERGY_TOLERANCE * expected_wh


def energy_of_cells_wh(battery: BatteryType) -> float:
    """Return charge times the nominal voltage of all cells."""
    return battery.capacity_ah * battery.cells_in_series * nominal_voltage_v(battery.cell)


def nominal_voltage_v(cell: CellType) -> float:
    """Return a cell's open-circuit voltage at half charge, in the middle of its temperatures."""
    middle, row = len(cell.ocv.soc_ratio) // 2, len(cell.ocv.temperature_degc) // 2
    return (cell.ocv.charge_v[row][middle] + cell.ocv.discharge_v[row][middle]) / 2


def resistance_fits_cells(context: CheckContext) -> Iterator[Message]:
    """A rack resists as its cells do, and a little more for its joints: factors are a slip of milli, micro or ohm."""
    for name, battery in batteries_of_racks(context).items():
        impedance = battery.cell.impedance
        row, middle = nearest_index(impedance.temperature_degc, 25.0), nearest_index(impedance.soc_ratio, 0.5)
        cells_ohm = impedance.series_ohm[row][middle] * battery.cells_in_series / battery.cells_in_parallel
        low, high = cells_ohm * LEAST_OF_CELLS, cells_ohm * MOST_OF_CELLS
        if not low <= battery.resistance_ohm <= high:
            message = f"{name} is said to have {quantity(battery.resistance_ohm, 'ohm')}; its cells alone have about"
            message += f" {quantity(cells_ohm, 'ohm', 3)}"
            expected = f"{span(low, high, 'ohm', 3)} for the whole rack, busbars included"
            yield error(context.at("batteries", name, "resistance"), message, expected)


def nearest_index(values: Sequence[float], wanted: float) -> int:
    """Return which of the values is nearest."""
    return min(range(len(values)), key=lambda k: abs(values[k] - wanted))


def bms_trips_are_possible(context: CheckContext) -> Iterator[Message]:
    """The BMS's own trips lie where the cell is still safe."""
    for name, battery in batteries_of_racks(context).items():
        for trip in battery.bms_trips:
            wrong = _bms_trip_wrong(battery, trip)
            if wrong:
                place = context.at("batteries", name, "bms_trips", trip.row, "limit")
                unit = _bms_trip_range(battery, trip.row)[2]
                yield error(place, f"bms_trips.{trip.row} ({quantity(trip.limit, unit)}) {wrong[0]}", wrong[1])


def _bms_trip_wrong(battery: BatteryType, trip: BmsTrip) -> tuple[str, str] | None:
    low, high, unit = _bms_trip_range(battery, trip.row)
    if low <= trip.limit <= high:
        return None
    return "is far from what the rack bears", f"from {span(low, high, unit)}"


def _bms_trip_range(battery: BatteryType, row: str) -> tuple[float, float, str]:
    """Return between which values a BMS's own trip makes sense for these cells."""
    limits = battery.cell.limits
    middle_v = (limits.voltage_min_v + limits.voltage_max_v) / 2
    hottest = max(limits.charge_temperature_max_degc, limits.discharge_temperature_max_degc)
    coldest = min(limits.charge_temperature_min_degc, limits.discharge_temperature_min_degc)
    return {
        "cell_voltage_high": (middle_v, limits.voltage_max_v * 1.1, "V"),
        "cell_voltage_low": (limits.voltage_min_v * 0.75, middle_v, "V"),
        "cell_temperature_high": (hottest - 25, hottest + 15, "degC"),
        "cell_temperature_low": (coldest - 15, coldest + 25, "degC"),
        "charge_current_high": (battery.charge_current_max_a, 5 * battery.charge_current_max_a, "A"),
        "discharge_current_high": (battery.discharge_current_max_a, 5 * battery.discharge_current_max_a, "A"),
    }[row]


BATTERY_CHECKS = (
    unused_batteries,
    modules_divide_cells,
    windows_are_inside_cells,
    energy_fits_cells,
    parallel_cells_make_the_capacity,
    resistance_fits_cells,
    bms_trips_are_possible,
)
