"""One mistake that many checks stumble over: told once, where it was made; what follows from it is counted, not shown.

A wrong number of cells, a cell of another chemistry or a preset for another chemistry contradicts half of the site. Who
reads ten such messages mends nine right numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from controller.plant.checks.batteries import (
    BATTERY_CHECKS,
    batteries_of_racks,
    bms_trips_are_possible,
    currents_fit_cells,
    energy_is_credible,
    energy_of_cells_wh,
    nominal_voltage_v,
    windows_are_inside_cells,
)
from controller.plant.checks.chains import CHAIN_CHECKS
from controller.plant.checks.context import CheckContext
from controller.plant.checks.converters import CONVERTER_CHECKS
from controller.plant.checks.effects import EFFECT_CHECKS
from controller.plant.checks.feeding import FEEDING_CHECKS
from controller.plant.checks.links import writes_are_in_time
from controller.plant.checks.missing_values import MISSING_CHECKS
from controller.plant.checks.pace import PACE_CHECKS
from controller.plant.checks.protection import (
    PROTECTION_CHECKS,
    chains_have_rows,
    directions_fit_limits,
    only_names_what_there_is,
    own_rows_watch_something,
    rows_are_graded,
)
from controller.plant.checks.ratings import RATING_CHECKS, RATINGS_OF_RACKS
from controller.plant.checks.readings import GRID_READING_CHECKS, READING_CHECKS
from controller.plant.checks.resolution import RESOLUTION_CHECKS
from controller.plant.checks.schedule import SCHEDULE_CHECKS
from controller.plant.checks.silence import SILENCE_CHECKS
from controller.plant.checks.trip_limits import trips_look_at_the_worst
from controller.plant.checks.trips import TRIP_CHECKS
from controller.plant.figures import counted, number, quantity, span
from controller.plant.messages import Message, Place, error
from controller.plant.model import BatteryType, Pcs
from controller.plant.site_files import LIBRARY, library_names
from controller.plant.units import UNITS
from controller.plant.yaml_tree import Items, Text, read_document

Check = Callable[[CheckContext], Iterator[Message]]
Found = tuple[Check, Message]

_PRESETS = {"lfp": {"lfp"}, "nmc": {"nmc", "nca", "lco", "lmo"}, "lto": {"lto"}, "vrla": {"lead_acid"}}
"""For which chemistries the presets of the library are made, by the first word of their names."""
_OF_ROWS = (*PROTECTION_CHECKS, *FEEDING_CHECKS, *TRIP_CHECKS, *EFFECT_CHECKS, *CHAIN_CHECKS)
_FOLLOWS_CELLS = frozenset((*BATTERY_CHECKS, *RATINGS_OF_RACKS, *READING_CHECKS, *_OF_ROWS))

ALIKE_RATIO = 0.08
"""Cells of one chemistry have about one nominal voltage: LFP 3.2 to 3.3 V, NMC 3.6 to 3.75 V."""

OTHER_SIZE = 10.0
RATES_PER_H = (0.01, 20.0)
"""Of a rack's capacity an hour: what its current may be."""
OTHER_POWER = 3.0

_FOLLOWS_WINDOWS = _FOLLOWS_CELLS | frozenset((*RESOLUTION_CHECKS, *MISSING_CHECKS))

_FOLLOWS_POWER = frozenset(
    (*RATING_CHECKS, *CONVERTER_CHECKS, *GRID_READING_CHECKS, *RESOLUTION_CHECKS, *SCHEDULE_CHECKS)
)
_FOLLOWS_ONLY = (own_rows_watch_something, chains_have_rows, rows_are_graded)


@dataclass(frozen=True, slots=True)
class Cause:
    """A mistake with consequences: who finds it, and whether another finding may follow from it."""

    find: Check
    explains: Callable[[Found], bool]


def without_consequences(context: CheckContext, found: Sequence[Found]) -> list[Message]:
    """Return the findings with every cause in the place of what follows from it; the first cause that is one counts."""
    for cause in CAUSES:
        told = one_a_place(cause.find(context))
        if told:
            others = [each for each in found if each[0] is not cause.find]
            kept = [message for check, message in others if not cause.explains((check, message))]
            return [*_with_count(told, len(others) - len(kept)), *kept]
    return [message for _, message in found]


def one_a_place(messages: Iterator[Message]) -> list[Message]:
    """Return of each place its first message: hundreds that are wrong in one place are told once."""
    first: dict[Place, Message] = {}
    for message in messages:
        first.setdefault(message.place, message)
    return list(first.values())


def _with_count(told: list[Message], folded: int) -> list[Message]:
    if not folded:
        return told
    rest = f"{counted(folded, 'finding')} that may follow from it {'is' if folded == 1 else 'are'} not shown"
    return [replace(told[0], hint="; ".join(filter(None, (told[0].hint, rest)))), *told[1:]]


# -------------------------------------------------------------------------------------------------------- windows' ends


def ends_are_in_order(context: CheckContext) -> Iterator[Message]:
    """A window's lower end lies below its upper end: of each rack type, and of each group of converters."""
    for name in batteries_of_racks(context):
        window = context.site.batteries[name].window
        low, high = context.at("batteries", name, "window", "min"), context.at("batteries", name, "window", "max")
        if window.min >= window.max:
            message = f"window.min ({window.min:g} V) is not below window.max ({window.max:g} V)"
            yield error(low, message, see_also=[high])
    told: set[Place] = set()
    for pcs in context.plant.pcs:
        low, high = context.place("pcs", pcs.index, "dc", "min"), context.place("pcs", pcs.index, "dc", "max")
        if pcs.dc_voltage_min_v >= pcs.dc_voltage_max_v and low not in told:
            told.add(low)
            yield error(low, f"dc.min of {pcs.name} is not below its dc.max", see_also=[high])


def bms_trips_are_in_order(context: CheckContext) -> Iterator[Message]:
    """The BMS trips above what it trips below: where the two are exchanged, each of them contradicts all rows."""
    for name, battery in batteries_of_racks(context).items():
        limits = {trip.row: trip.limit for trip in battery.bms_trips}
        for high, low, unit in _TRIPS_IN_ORDER:
            if high in limits and low in limits and limits[high] <= limits[low]:
                place, also = (context.at("batteries", name, "bms_trips", row, "limit") for row in (high, low))
                message = f"bms_trips.{high} ({quantity(limits[high], unit)}) is not above bms_trips.{low}"
                message += f" ({quantity(limits[low], unit)})"
                yield error(place, message, "the high one above the low one", "are the two exchanged?", [also])


_TRIPS_IN_ORDER = (
    ("cell_voltage_high", "cell_voltage_low", "V"),
    ("cell_temperature_high", "cell_temperature_low", "degC"),
)


# ------------------------------------------------------------------------------------------------------ cells in series


def series_fits_the_rest(context: CheckContext) -> Iterator[Message]:
    """Where energy and the converters agree on a number of cells, the number that is written is the wrong one."""
    for name, battery in batteries_of_racks(context).items():
        cell_wh = battery.capacity_ah * nominal_voltage_v(battery.cell)
        meant = round(battery.energy_wh / cell_wh)
        pcs = _converters_of(context, name)
        if energy_is_credible(battery) or not pcs or _fits(context, name, pcs, battery.cells_in_series):
            continue
        if _fits(context, name, pcs, meant):
            message = f"{counted(battery.cells_in_series, 'cell')} in series of {name} do not fit the rest: its energy"
            message += f" of {quantity(battery.energy_wh, 'Wh')} and the DC window of {pcs[0].name}"
            message += f" ({span(pcs[0].dc_voltage_min_v, pcs[0].dc_voltage_max_v, 'V')})"
            message += f" are those of about {number(meant, 2)}"
            place, also = context.at("batteries", name, "cells", "series"), context.at("batteries", name, "energy")
            yield error(place, message, f"about {number(meant, 2)} cells", see_also=[also])


def capacity_fits_the_rest(context: CheckContext) -> Iterator[Message]:
    """Where energy and currents agree on a capacity of another size (mAh for Ah), the one that is written is wrong."""
    for name, battery in batteries_of_racks(context).items():
        meant_ah = battery.energy_wh / (battery.cells_in_series * nominal_voltage_v(battery.cell))
        rates = [battery.discharge_current_max_a / ah for ah in (battery.capacity_ah, meant_ah)]
        apart = max(meant_ah / battery.capacity_ah, battery.capacity_ah / meant_ah)
        if apart > OTHER_SIZE and not RATES_PER_H[0] <= rates[0] <= RATES_PER_H[1] and rates[1] <= RATES_PER_H[1]:
            energy, current = quantity(battery.energy_wh, "Wh"), quantity(battery.discharge_current_max_a, "A")
            message = f"the capacity of {name}, {quantity(battery.capacity_ah, 'Ah')}, does not fit the rest: {energy}"
            message += f" in {battery.cells_in_series} cells, and {current}, are those of {quantity(meant_ah, 'Ah', 2)}"
            place = context.at("batteries", name, "capacity")
            yield error(place, message, f"about {quantity(meant_ah, 'Ah', 2)}")


def power_fits_the_converter(context: CheckContext) -> Iterator[Message]:
    """Where a converter's MVA and its DC current agree on another power, the power that is written is the wrong one."""
    for pcs in context.plant.pcs:
        racks = (context.plant.racks[k] for k in context.plant.buses[pcs.bus].racks)
        lowest_v = min((rack.battery.voltage_min_v for rack in racks), default=0.0)
        makes_w = (pcs.apparent_va, pcs.dc_current_max_a * lowest_v * pcs.efficiency_ratio)
        ratios = [each_w / pcs.power_w for each_w in makes_w]
        if max(ratios) < 1 / OTHER_POWER or min(ratios) > OTHER_POWER:
            message = (
                f"{pcs.name} is said to have {quantity(pcs.power_w, 'W')}, but its {quantity(makes_w[0], 'VA')} and"
            )
            message += f" its {quantity(pcs.dc_current_max_a, 'A')} at {quantity(lowest_v, 'V')} are those of about"
            message += f" {quantity(min(makes_w), 'W', 2)}"
            place, also = (context.place("pcs", pcs.index, "rating", key) for key in ("power", "apparent"))
            yield error(place, message, f"about {quantity(min(makes_w), 'W', 2)}", see_also=[also])


def _converters_of(context: CheckContext, battery: str) -> list[Pcs]:
    plant = context.plant
    buses = {rack.bus for rack in plant.racks if rack.battery.name == battery}
    return [pcs for pcs in plant.pcs if pcs.bus in buses]


def _fits(context: CheckContext, battery: str, converters: list[Pcs], series: int) -> bool:
    """Tell whether so many cells stay within the DC window of every converter."""
    window = context.site.batteries[battery].window
    return all(
        pcs.dc_voltage_min_v <= series * window.min and series * window.max <= pcs.dc_voltage_max_v
        for pcs in converters
    )


# ------------------------------------------------------------------------------------------------------------ chemistry


def cell_fits_the_rack(context: CheckContext) -> Iterator[Message]:
    """Where two of window, energy and preset contradict the cell, the cell is the wrong one."""
    for name, battery in batteries_of_racks(context).items():
        evidence = list(_against_cell(context, battery))
        if len(evidence) > 1:
            message = f"cell {battery.cell.name} does not fit the racks of {name}: {'; '.join(evidence)}"
            meant_v = _voltage_of_energy_v(battery)
            others = ", ".join(name for name in library_names("cells") if _has_voltage(name, meant_v))
            library = f", or one of the library ({others})" if others else ""
            expected = f"a cell of about {number(meant_v, 2)} V: a file of its own{library}"
            yield error(context.at("batteries", name, "cell"), message, expected)


def _against_cell(context: CheckContext, battery: BatteryType) -> Iterator[str]:
    window, limits = context.site.batteries[battery.name].window, battery.cell.limits
    if window.max > limits.voltage_max_v + 1e-9 or window.min < limits.voltage_min_v - 1e-9:
        bears = span(limits.voltage_min_v, limits.voltage_max_v, "V")
        yield f"the window is {span(window.min, window.max, 'V')}, the cell bears {bears}"
    if not energy_is_credible(battery):
        has = quantity(nominal_voltage_v(battery.cell), "V", 3)
        yield f"the energy makes {quantity(_voltage_of_energy_v(battery), 'V', 3)} a cell, the cell has {has}"
    preset = _preset(context)
    if preset is not None and not _is_for(preset[0], battery):
        yield f"the preset is {preset[0]}, the cell is {_spoken(battery.cell.chemistry)}"


def _has_voltage(name: str, wanted_v: float) -> bool:
    """Tell whether a cell of the library has about this voltage, half full at the middle of its temperatures."""
    document, _ = read_document(name, (LIBRARY / "cells" / f"{name}.yaml").read_bytes())
    rows = document.node_at((*_OCV, "values"))
    middle = rows.values[len(rows.values) // 2] if isinstance(rows, Items) else None
    values = [node.value for node in middle.values if isinstance(node, Text)] if isinstance(middle, Items) else []
    cell_v = float(values[len(values) // 2]) * UNITS[document.text_at((*_OCV, "unit"))].factor
    return abs(cell_v - wanted_v) <= ALIKE_RATIO * wanted_v


_OCV = ("ocv", "discharge")


def _voltage_of_energy_v(battery: BatteryType) -> float:
    return battery.energy_wh / energy_of_cells_wh(battery) * nominal_voltage_v(battery.cell)


def preset_fits_cells(context: CheckContext) -> Iterator[Message]:
    """A preset's voltages are those of its chemistry: of another one they trip at rest, or never."""
    preset, batteries = _preset(context), batteries_of_racks(context)
    if preset is None or any(_is_for(preset[0], battery) for battery in batteries.values()):
        return
    name, battery = next(iter(batteries.items()))
    right = next(
        (base for base in library_names("protections") if battery.cell.chemistry in _PRESETS[_family(base)]), ""
    )
    if right:
        message = (
            f"preset {preset[0]} is for another chemistry: the cells of {name} are {_spoken(battery.cell.chemistry)}"
        )
        expected, cell = f"base: {right}", battery.cell
        if _looks_made_for(preset[0], nominal_voltage_v(cell)):
            volts = quantity(nominal_voltage_v(cell), "V", 3)
            expected = (
                f"chemistry: {_family(preset[0])} in the file of cell {cell.name}, as its {volts} say; or {expected}"
            )
        yield error(preset[1], message, expected, see_also=[context.at("batteries", name, "cell")])


def _looks_made_for(preset: str, cell_v: float) -> bool:
    """Tell whether a cell has the voltage of the library's cells for which a preset is made."""
    return any(name.split("_")[-1] == _family(preset) and _has_voltage(name, cell_v) for name in library_names("cells"))


def _preset(context: CheckContext) -> tuple[str, Place] | None:
    """Return the preset that the site's protection file is based on, and where that is written."""
    for file, document in context.files.documents.items():
        base = document.text_at(("base",))
        if base and not file.startswith("library/") and document.text_at(("schema",)).startswith("protections/"):
            return base, document.place_of(("base",))
    return None


def _family(preset: str) -> str:
    return preset.partition("-")[0]


def _is_for(preset: str, battery: BatteryType) -> bool:
    """Tell whether a preset is for a battery's chemistry; of a chemistry without a preset any may be meant."""
    known = {chemistry for chemistries in _PRESETS.values() for chemistry in chemistries}
    return battery.cell.chemistry not in known or battery.cell.chemistry in _PRESETS.get(_family(preset), known)


def _spoken(chemistry: str) -> str:
    return chemistry.upper() if len(chemistry) == 3 else chemistry.replace("_", " ")


# ---------------------------------------------------------------------------------------------------- what follows what


def _of_cells(found: Found) -> bool:
    return found[0] in _FOLLOWS_CELLS


def _of_preset(found: Found) -> bool:
    check, message = found
    places = (message.place, *message.see_also)
    return check in _OF_ROWS and any(p.file.startswith("library/") for p in places)


def _of_currents(found: Found) -> bool:
    """What speaks of currents and was measured by those of the rack."""
    return found[0] in _FOLLOWS_WINDOWS and re.search(r"current|\bA\b", found[1].message) is not None


CAUSES = (
    Cause(ends_are_in_order, lambda found: found[0] in _FOLLOWS_WINDOWS),
    Cause(bms_trips_are_in_order, lambda found: found[0] in (rows_are_graded, bms_trips_are_possible)),
    Cause(capacity_fits_the_rest, _of_cells),
    Cause(series_fits_the_rest, _of_cells),
    Cause(cell_fits_the_rack, _of_cells),
    Cause(preset_fits_cells, _of_preset),
    Cause(currents_fit_cells, _of_currents),
    Cause(windows_are_inside_cells, lambda found: found[0] in _FOLLOWS_WINDOWS),
    Cause(power_fits_the_converter, lambda found: found[0] in _FOLLOWS_POWER),
    Cause(bms_trips_are_possible, lambda found: found[0] is rows_are_graded),
    Cause(writes_are_in_time, lambda found: found[0] in (*PACE_CHECKS, *SILENCE_CHECKS)),
    Cause(only_names_what_there_is, lambda found: found[0] in _FOLLOWS_ONLY),
    Cause(directions_fit_limits, lambda found: found[0] in _OF_ROWS),
    Cause(trips_look_at_the_worst, lambda found: found[0] is rows_are_graded),
)
