"""Is a cell possible: voltages that rise with the charge, resistances and heat of the size that its capacity makes.

Rule: what a slip of a unit, an order or a column makes of a cell file lies far outside of every cell that is built; the
bounds here are wide enough for all chemistries, from 2 Ah cells to 12 V blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from controller.plant.cell_types import CellType, Row, Table
from controller.plant.figures import number, quantity, span
from controller.plant.messages import Message, error
from controller.plant.yaml_tree import Document, Loc

DIP_RATIO = 0.08
"""How far, of a branch's whole span, a voltage may fall from one SOC to the next: joints of fitted pieces do."""
FULL_FROM_RATIO = 0.9
"""Of the SOC: a cell that rests at its full voltage with less was not full."""
TAPER_LEAST_PER_H = 0.002
FLAT_V_PER_SOC = 0.1
"""1 mV a percent: where a voltage rises less, the error of any sensor is more than a tenth of the charge."""
_SOC_STEP_RATIO = 0.05
OCV_OF_LIMITS_RATIO = (0.5, 1.1)
VOLTAGE_MAX_OF_FULL_RATIO = 1.16
DROP_RATIO = (0.001, 1.0)
"""What a current of 1 C makes of the voltage over a resistance: 1 % to 30 % in cells that are built."""
ENTROPY_PER_VOLT = 1e-3
HEAT_J_PER_K_WH = (0.5, 60.0)
CORE_OF_HEAT_RATIO = 0.2
CURRENT_PER_H = (0.01, 100.0)
"""Of the capacity an hour: trickle charges are slower, cells for pulses give half of the upper end."""
HYSTERESIS_PER_SOC = (1.0, 1000.0)
PAIR_S = (0.01, 36_000.0)
"""Quicker is a series resistance to every sample, slower a part of the open-circuit voltage."""
TABLE_DEGC = (-60.0, 90.0)
VOLTAGE_MAX_V = {"lfp": 3.8, "nmc": 4.5, "nca": 4.4, "lco": 4.5, "lmo": 4.4, "lto": 3.0}
"""Above these no cell of the chemistry is charged: its cathode or its electrolyte decays (makers state less)."""
COLDEST_CHARGE_DEGC = -20.0
"""On graphite, lithium plates instead of going in: makers mostly forbid to charge below 0 degC, none allows this."""
_ON_GRAPHITE = ("lfp", "nmc", "nca", "lco", "lmo")


def cell_is_possible(cell: CellType, document: Document) -> Iterator[Message]:
    """Yield what no cell is like, at the places of its file."""
    yield from _temperatures(cell, document)
    yield from _branches(cell, document)
    yield from _dynamics(cell, document)
    resistances, currents = list(_resistances(cell, document)), list(_currents(cell, document))
    sizes = list(_sizes(cell, document))
    capacity = _capacity(cell, document) if resistances and sizes else None
    yield from (capacity,) if capacity is not None else (*resistances, *currents, *sizes)
    yield from _anchors(cell, document)
    yield from _chemistry(cell, document)


def _chemistry(cell: CellType, document: Document) -> Iterator[Message]:
    """No cell is charged higher or colder than its chemistry bears."""
    limits, name = cell.limits, cell.chemistry.upper()
    most_v, coldest_degc = VOLTAGE_MAX_V.get(cell.chemistry), limits.charge_temperature_min_degc
    if most_v is not None and limits.voltage_max_v > most_v:
        message = f"limits.voltage_max is {quantity(limits.voltage_max_v, 'V')}: no {name} cell is charged so high"
        hint = "its data sheet's charging voltage; or is it a cell of another chemistry?"
        yield error(document.place_of(("limits", "voltage_max")), message, f"at most {quantity(most_v, 'V')}", hint)
    if cell.chemistry in _ON_GRAPHITE and coldest_degc < COLDEST_CHARGE_DEGC:
        message = f"limits.charge_temperature_min is {quantity(coldest_degc, 'degC')}: lithium plates in {name} cells"
        message += " that are charged so cold"
        place = document.place_of(("limits", "charge_temperature_min"))
        expected = f"its data sheet's, mostly 0 degC, at least {quantity(COLDEST_CHARGE_DEGC, 'degC')}"
        yield error(place, message, expected)


def _temperatures(cell: CellType, document: Document) -> Iterator[Message]:
    axes = (("ocv", cell.ocv.temperature_degc), ("impedance", cell.impedance.temperature_degc))
    for name, axis in axes:
        wrong = next((k for k, degc in enumerate(axis) if not TABLE_DEGC[0] <= degc <= TABLE_DEGC[1]), None)
        if wrong is not None:
            place = document.place_of((name, "temperature", "values", wrong))
            hint = "are these kelvins? 298 K are 25 degC" if axis[wrong] > 200 else ""
            message = f"{name}.temperature has {quantity(axis[wrong], 'degC')}"
            yield error(place, message, span(*TABLE_DEGC, "degC"), hint)


def _branches(cell: CellType, document: Document) -> Iterator[Message]:
    """Both branches rise from empty to full inside of the cell's limits, the one after charging above the other."""
    limits = cell.limits
    low_v = OCV_OF_LIMITS_RATIO[0] * limits.voltage_min_v
    high_v = OCV_OF_LIMITS_RATIO[1] * limits.voltage_max_v
    wrong: list[Message] = []
    for name, table in (("charge", cell.ocv.charge_v), ("discharge", cell.ocv.discharge_v)):
        unit = _unit_of_table(name, table, (low_v, high_v), document)
        wrong += unit
        for row, values in enumerate(() if unit else table):
            wrong += _branch(("ocv", name, "values", row), values, (low_v, high_v), document)
    yield from wrong[:3]
    mean_v = [sum(map(sum, table)) for table in (cell.ocv.charge_v, cell.ocv.discharge_v)]
    if not wrong and mean_v[0] < mean_v[1]:
        place = document.place_of(("ocv", "charge"), key=True)
        message = "ocv.charge lies below ocv.discharge: a cell rests higher after it was charged"
        yield error(place, message, "the two tables the other way round")


def _unit_of_table(name: str, table: Table, bounds_v: tuple[float, float], document: Document) -> list[Message]:
    """Return what is wrong where every voltage of a table is a thousand (a million) times too large or too small."""
    factor = next(
        (f for f in (1e-3, 1e3, 1e-6) if all(bounds_v[0] <= f * v <= bounds_v[1] for row in table for v in row)), 0.0
    )
    if not factor or any(bounds_v[0] <= v <= bounds_v[1] for row in table for v in row):
        return []
    least_v, most_v = min(map(min, table)), max(map(max, table))
    loc = ("ocv", name, "unit")
    meant = {"V": {1e-3: "mV"}, "mV": {1e3: "V"}, "kV": {1e-3: "V", 1e-6: "mV"}}.get(document.text_at(loc), {})
    hint = f"did you mean 'unit: {meant[factor]}'?" if factor in meant else ""
    message = f"ocv.{name} goes from {span(least_v, most_v, 'V')}: no voltages of this cell"
    return [error(document.place_of(loc), message, span(*bounds_v, "V"), hint)]


def _branch(loc: Loc, values: Row, bounds_v: tuple[float, float], document: Document) -> Iterator[Message]:
    if values[0] > values[-1]:
        message = f"the voltage falls from {quantity(values[0], 'V')} to {quantity(values[-1], 'V')} over this row"
        yield error(document.place_of(loc), message, "voltages from an empty to a full cell, as the SOC has them")
        return
    outside = next((k for k, v in enumerate(values) if not bounds_v[0] <= v <= bounds_v[1]), None)
    if outside is not None:
        message = f"an open-circuit voltage of {quantity(values[outside], 'V')} is no voltage of this cell"
        place = document.place_of((*loc, outside))
        yield error(place, message, span(*bounds_v, "V"), "look at the unit of the table, V or mV")
        return
    most_v = DIP_RATIO * (max(values) - min(values))
    for position, (before_v, after_v) in enumerate(pairwise(values), start=1):
        if before_v - after_v > most_v:
            message = (
                f"the voltage falls from {quantity(before_v, 'V')} to {quantity(after_v, 'V')} while the SOC rises"
            )
            yield error(document.place_of((*loc, position)), message, "a voltage that rises with the SOC")
            return


def _resistances(cell: CellType, document: Document) -> Iterator[Message]:
    """Resistances are above zero, and a current of 1 C makes a drop over them that a cell can have."""
    pairs = enumerate(cell.impedance.pair_ohm)
    tables: list[tuple[Loc, Table, float]] = [(("impedance", "series"), cell.impedance.series_ohm, DROP_RATIO[0])]
    tables += [(("impedance", "pairs", k, "resistance"), table, 0.0) for k, table in pairs]
    for loc, table, least in tables:
        name = ".".join(str(part) for part in loc if isinstance(part, str))
        usual_ohm = sorted(value for row in table for value in row)[len(table) * len(table[0]) // 2]
        drop = usual_ohm * cell.capacity_ah / _middle_v(cell)
        if min(map(min, table)) < 0:
            yield error(document.place_of(loc, key=True), f"{name} has a resistance below zero", "zero or more")
        elif not least <= drop <= DROP_RATIO[1]:
            per_volt = _middle_v(cell) / cell.capacity_ah
            message = (
                f"{name} is mostly {quantity(usual_ohm, 'ohm')}: a current of 1 C ({quantity(cell.capacity_ah, 'A')})"
            )
            message += f" would change the voltage by {number(100 * drop, 2)} %"
            expected = (
                f"{span(DROP_RATIO[0] * per_volt, DROP_RATIO[1] * per_volt, 'ohm', 2)} for {cell.capacity_ah:g} Ah"
            )
            yield error(document.place_of((*loc, "unit")), message, expected, "look at its unit and at the capacity")


def _dynamics(cell: CellType, document: Document) -> Iterator[Message]:
    """What follows a current lags behind it by seconds to hours, and the hysteresis follows within some of the SOC."""
    rate, constants = cell.ocv.hysteresis_per_soc, cell.impedance.pair_time_constant_s
    if not HYSTERESIS_PER_SOC[0] <= rate <= HYSTERESIS_PER_SOC[1]:
        message = f"ocv.hysteresis_rate is {number(rate)}: how fast the hysteresis follows the SOC, no voltage"
        expected = f"{HYSTERESIS_PER_SOC[0]:g} to {HYSTERESIS_PER_SOC[1]:g} a whole SOC, such as 15"
        yield error(document.place_of(("ocv", "hysteresis_rate")), message, expected)
    if not constants:
        message = "impedance.pairs is empty: every cell's voltage lags behind its current"
        place = document.place_of(("impedance", "pairs"), key=True)
        yield error(place, message, "one pair or more", "`bess fit-cell` finds them from pulse tests")
    for k, seconds in enumerate(constants):
        if not PAIR_S[0] <= seconds <= PAIR_S[1]:
            message = f"a pair's time constant is {quantity(seconds, 's')}"
            yield error(document.place_of(("impedance", "pairs", k, "time_constant")), message, span(*PAIR_S, "s"))


def _currents(cell: CellType, document: Document) -> Iterator[Message]:
    """The limits of the current are of the size that the capacity makes."""
    least_a, most_a = (per_h * cell.capacity_ah for per_h in CURRENT_PER_H)
    for name, limit_a in (
        ("charge_current_max", cell.limits.charge_current_max_a),
        ("discharge_current_max", cell.limits.discharge_current_max_a),
    ):
        if not least_a <= limit_a <= most_a:
            rate = number(limit_a / cell.capacity_ah, 3)
            message = f"limits.{name} is {quantity(limit_a, 'A')}, {rate} C for {quantity(cell.capacity_ah, 'Ah')}"
            expected = span(least_a, most_a, "A", 3)
            yield error(document.place_of(("limits", name)), message, expected, "of one cell, in A; or the capacity?")


def _capacity(cell: CellType, document: Document) -> Message | None:
    """Return what is wrong where currents, resistances and heat are all those of one other capacity."""
    series_ohm = sorted(value for row in cell.impedance.series_ohm for value in row)
    middle_v, currents = _middle_v(cell), (cell.limits.charge_current_max_a, cell.limits.discharge_current_max_a)
    heat_j_per_k = cell.heat.core_j_per_k + cell.heat.surface_j_per_k
    for factor in (1e3, 1e-3):
        meant_ah = factor * cell.capacity_ah
        drop = series_ohm[len(series_ohm) // 2] * meant_ah / middle_v
        heat = heat_j_per_k / (meant_ah * middle_v)
        rates = [current_a / meant_ah for current_a in currents]
        fits = HEAT_J_PER_K_WH[0] <= heat <= HEAT_J_PER_K_WH[1] and DROP_RATIO[0] <= drop <= DROP_RATIO[1]
        if fits and all(CURRENT_PER_H[0] <= rate <= CURRENT_PER_H[1] for rate in rates):
            message = (
                f"the capacity is {quantity(cell.capacity_ah, 'Ah')}, but currents, resistances and heat are those of"
            )
            message += f" about {quantity(meant_ah, 'Ah')}"
            return error(document.place_of(("capacity",)), message, f"capacity: {quantity(meant_ah, 'Ah')}")
    return None


def _middle_v(cell: CellType) -> float:
    row = cell.ocv.discharge_v[len(cell.ocv.discharge_v) // 2]
    return row[len(row) // 2]


def _sizes(cell: CellType, document: Document) -> Iterator[Message]:
    """Single numbers are of the size that they have in cells."""
    middle_v, limits = _middle_v(cell), cell.limits
    energy_wh = middle_v * cell.capacity_ah
    window_v = limits.voltage_max_v - limits.voltage_min_v
    full_v, chemistry_v = max(map(max, cell.ocv.charge_v)), VOLTAGE_MAX_V.get(cell.chemistry, math.inf)
    entropy = max(map(abs, cell.ocv.entropy_v_per_k))
    worst_v, best_v = max(map(max, cell.impedance.error_v)), min(map(min, cell.impedance.error_v))
    low_j_per_k, high_j_per_k = (ratio * energy_wh for ratio in HEAT_J_PER_K_WH)
    heat, ageing = cell.heat.core_j_per_k + cell.heat.surface_j_per_k, cell.ageing
    checks: tuple[tuple[Loc, bool, str, str], ...] = (
        (("limits", "voltage_max"),
         limits.voltage_max_v <= VOLTAGE_MAX_OF_FULL_RATIO * full_v or limits.voltage_max_v > chemistry_v,
         f"limits.voltage_max is far above {quantity(full_v, 'V')}, where a full cell rests",
         f"at most {quantity(VOLTAGE_MAX_OF_FULL_RATIO * full_v, 'V')}"),
        (("ocv", "entropy", "unit"), entropy <= ENTROPY_PER_VOLT * middle_v,
         f"ocv.entropy reaches {number(1e3 * entropy)} mV/K", f"at most {number(middle_v)} mV/K: look at its unit"),
        (("impedance", "error", "unit"), best_v > 0 and worst_v <= 0.5 * window_v,
         f"impedance.error goes from {span(best_v, worst_v, 'V')}",
         f"above 0, and at most half of the cell's window, {quantity(0.5 * window_v, 'V')}"),
        (("heat", "core"), low_j_per_k <= heat <= high_j_per_k,
         f"a cell of {number(energy_wh, 3)} Wh is said to hold {number(heat, 3)} J/K in core and surface",
         f"{number(low_j_per_k, 2)} to {number(high_j_per_k, 2)} J/K together"),
        (("heat", "core"), cell.heat.core_j_per_k >= CORE_OF_HEAT_RATIO * heat,
         f"heat.core is {number(cell.heat.core_j_per_k, 3)} J/K of {number(heat, 3)} J/K: the core is most of a cell",
         f"at least {number(CORE_OF_HEAT_RATIO * heat, 3)} J/K"),
        (("coulombic_efficiency",), cell.coulombic_efficiency_ratio >= 0.8,
         "coulombic_efficiency is far below that of any cell", "80 % to 100 %: it is of the charge, not of the energy"),
        (("self_discharge_per_month",), cell.self_discharge_ratio_per_month <= 0.5,
         "self_discharge_per_month would empty the cell in two months", "at most 50 %"),
        (("ageing", "end_of_life"), 0.3 <= ageing.end_of_life_ratio <= 0.95,
         "ageing.end_of_life is the share of its capacity that an old cell still has", "30 % to 95 %, such as 80 %"),
        (("ageing", "fade_per_cycle"), ageing.cycle_fade_ratio <= 0.01,
         "ageing.fade_per_cycle would wear the cell out in a hundred cycles", "at most 1 %"),
        (("sensors", "voltage_step"), cell.sensors.voltage_step_v <= 0.05 * window_v,
         "sensors.voltage_step is too coarse to tell the cell's charge", f"at most {quantity(0.05 * window_v, 'V')}"),
    )  # fmt: skip
    yield from (error(document.place_of(loc), message, expected) for loc, fine, message, expected in checks if not fine)


def _anchors(cell: CellType, document: Document) -> Iterator[Message]:
    """What ties the SOC to the truth lies inside of the cell's limits, the full end above its middle."""
    anchors, limits, middle_v = cell.anchors, cell.limits, _middle_v(cell)
    rests_at = _rests_at(cell, anchors.full_voltage_v)
    if not middle_v < anchors.full_voltage_v <= limits.voltage_max_v * (1 + 1e-9):
        expected = (
            f"above {quantity(middle_v, 'V')} and at most limits.voltage_max, {quantity(limits.voltage_max_v, 'V')}"
        )
        yield error(
            document.place_of(("anchors", "full_voltage")), "no full charge ends at anchors.full_voltage", expected
        )
    elif rests_at < FULL_FROM_RATIO:
        message = f"a cell of {number(100 * rests_at, 2)} % SOC rests at anchors.full_voltage"
        message += f" ({quantity(anchors.full_voltage_v, 'V', 3)}), and would count as full"
        expected = f"the voltage at which its charge ends, at most {quantity(limits.voltage_max_v, 'V')}"
        yield error(document.place_of(("anchors", "full_voltage")), message, expected)
    if anchors.low_voltage_v < limits.voltage_min_v * (1 - 1e-9):
        expected = f"at least limits.voltage_min, {quantity(limits.voltage_min_v, 'V')}"
        yield error(document.place_of(("anchors", "low_voltage")), "anchors.low_voltage is never reached", expected)
    if anchors.full_taper_a >= limits.charge_current_max_a:
        expected = f"below limits.charge_current_max, {quantity(limits.charge_current_max_a, 'A')}"
        message = "at anchors.full_taper every charge would count as full"
        yield error(document.place_of(("anchors", "full_taper")), message, expected)
    least_a = TAPER_LEAST_PER_H * cell.capacity_ah
    if anchors.full_taper_a < least_a:
        message = f"anchors.full_taper is {quantity(anchors.full_taper_a, 'A')}: no charge ends at so little"
        expected = f"at least {quantity(least_a, 'A')}, such as {quantity(0.05 * cell.capacity_ah, 'A')}"
        yield error(document.place_of(("anchors", "full_taper")), message, expected)
    flat = [soc for soc in _flat(cell) if not anchors.forbidden_low_ratio <= soc <= anchors.forbidden_high_ratio]
    if flat:
        message = f"near {number(100 * flat[0], 2)} % SOC the open-circuit voltage rises by less than 1 mV a percent:"
        message += " a rest there would set the SOC by what no sensor can tell"
        every = list(_flat(cell))
        expected = f"forbidden_low and forbidden_high around {span(100 * every[0], 100 * every[-1], '%')}"
        yield error(document.place_of(("anchors", "forbidden_low")), message, expected)


def _rests_at(cell: CellType, voltage_v: float) -> float:
    """Return the least SOC at which a cell rests at a voltage after it was charged, at any temperature of its table."""
    socs = cell.ocv.soc_ratio
    percents = [k / 100 for k in range(101)]
    rests = (next((x for x in percents if _at(socs, row, x) >= voltage_v), 1.0) for row in cell.ocv.charge_v)
    return min(rests, default=1.0)


def _flat(cell: CellType) -> Iterator[float]:
    """Yield the SOCs, 5 % apart, around which the voltage of the middle temperature hardly rises over 10 %."""
    socs, middle = cell.ocv.soc_ratio, len(cell.ocv.temperature_degc) // 2
    rows, step = (cell.ocv.charge_v[middle], cell.ocv.discharge_v[middle]), _SOC_STEP_RATIO
    for k in range(1, round(1 / step)):
        rise_v = sum(_at(socs, row, (k + 1) * step) - _at(socs, row, (k - 1) * step) for row in rows) / 2
        if rise_v < FLAT_V_PER_SOC * 2 * step:
            yield k * step


def _at(socs: Row, row: Row, soc: float) -> float:
    """Return a row's voltage at a SOC, between its two neighbours in proportion."""
    k = max(1, next((k for k, other in enumerate(socs) if other >= soc), len(socs) - 1))
    share = (soc - socs[k - 1]) / (socs[k] - socs[k - 1])
    return row[k - 1] + share * (row[k] - row[k - 1])
