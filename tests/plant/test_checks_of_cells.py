"""Cell files with one slip each: an order, a unit, a column; and the library's, which have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from controller.plant.cell_loader import load_cell
from controller.plant.checks.cells import cell_is_possible
from controller.plant.demo_site import demo_site_files
from controller.plant.messages import Message
from controller.plant.site_files import LIBRARY
from controller.plant.yaml_tree import read_document

CELLS = LIBRARY / "cells"


def said(text: str) -> list[Message]:
    document, messages = read_document("own.yaml", text.encode())
    cell, more = load_cell(document)
    assert cell is not None, [*messages, *more]
    return list(cell_is_possible(cell, document))


def put(*way: str | int) -> Callable[[dict[str, Any], object], None]:
    def change(tree: dict[str, Any], value: object) -> None:
        inner: Any = tree
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value(inner[way[-1]]) if callable(value) else value

    return change


def turned(rows: list[list[float]]) -> list[list[float]]:
    return [row[::-1] for row in rows]


def times(factor: float) -> Callable[[list[list[float]]], list[list[float]]]:
    return lambda rows: [[factor * value for value in row] for row in rows]


MISTAKES = [
    (put("ocv", "charge", "values"), turned, "the voltage falls from 3.597 V to 2.362 V over this row"),
    (put("ocv", "discharge", "values"), turned, "the voltage falls from 3.594 V to 2.025 V over this row"),
    (put("ocv", "charge", "unit"), "V", "ocv.charge goes from 2.362 to 3.597 kV: no voltages of this cell"),
    (put("ocv", "charge", "values"), times(0.9), "ocv.charge lies below ocv.discharge"),
    (put("ocv", "charge", "values", 2, 30), 2950, "the voltage falls from"),
    (put("ocv", "temperature", "values"), [268, 278, 288, 298, 308, 318], "ocv.temperature has 268 degC"),
    (put("impedance", "series", "unit"), "ohm", "impedance.series is mostly 513.2 mohm"),
    (put("impedance", "series", "values"), times(-1.0), "impedance.series has a resistance below zero"),
    (put("impedance", "pairs", 0, "resistance", "values"), times(1000.0), "impedance.pairs.resistance is mostly"),
    (put("impedance", "error", "unit"), "V", "impedance.error goes from"),
    (
        put("capacity"),
        "280 mAh",
        "the capacity is 0.28 Ah, but currents, resistances and heat are those of about 280 Ah",
    ),
    (put("limits", "voltage_max"), "4.2 V", "limits.voltage_max is 4.2 V: no LFP cell is charged so high"),
    (put("limits", "voltage_max"), "3.85 V", "limits.voltage_max is 3.85 V: no LFP cell is charged so high"),
    (put("limits", "charge_temperature_min"), "-30 degC", "limits.charge_temperature_min is -30 degC: lithium plates"),
    (put("ocv", "entropy", "unit"), "V/K", "ocv.entropy reaches 300 mV/K"),
    (put("heat", "core"), "4300 kJ/K", "a cell of 922 Wh is said to hold"),
    (put("heat", "core"), "10 J/K", "heat.core is 10 J/K of 1010 J/K"),
    (put("limits", "charge_current_max"), "140 mA", "limits.charge_current_max is 140 mA"),
    (put("ocv", "hysteresis_rate"), 9000, "ocv.hysteresis_rate is 9000"),
    (put("impedance", "pairs", 3, "time_constant"), "2 d", "a pair's time constant is"),
    (put("impedance", "pairs"), [], "impedance.pairs is empty"),
    (put("anchors", "full_voltage"), "4.0 V", "no full charge ends at anchors.full_voltage"),
    (put("anchors", "full_voltage"), "3.31 V", "a cell of 31 % SOC rests at anchors.full_voltage (3.31 V)"),
    (put("anchors", "full_taper"), "14 mA", "anchors.full_taper is 14 mA: no charge ends at so little"),
    (put("anchors", "forbidden_low"), "70 %", "near 45 % SOC the open-circuit voltage rises by less than 1 mV"),
    (put("ocv", "charge", "values", 2, 15), 3150, "the voltage falls from"),
    (put("anchors", "low_voltage"), "2 V", "anchors.low_voltage is never reached"),
    (put("anchors", "full_taper"), "280 A", "at anchors.full_taper every charge would count as full"),
    (put("coulombic_efficiency"), "60 %", "coulombic_efficiency is far below"),
    (put("self_discharge_per_month"), "100 %", "self_discharge_per_month would empty"),
    (put("ageing", "end_of_life"), "5 %", "ageing.end_of_life is the share"),
    (put("ageing", "fade_per_cycle"), "20 %", "ageing.fade_per_cycle would wear"),
    (put("sensors", "voltage_step"), "3 V", "sensors.voltage_step is too coarse"),
]


@pytest.mark.parametrize(("change", "value", "start"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_slip_in_a_cell_file_is_refused_at_its_place(change, value, start):
    tree = yaml.safe_load((CELLS / "generic_280_lfp.yaml").read_text(encoding="utf-8"))
    change(tree, value)
    found = said(yaml.safe_dump(tree, sort_keys=False))
    assert [m for m in found if m.message.startswith(start)], found
    assert all(m.expected and m.place.line > 1 for m in found)


@pytest.mark.parametrize("path", sorted(CELLS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_cells_of_the_library_are_possible(path):
    assert said(path.read_text(encoding="utf-8")) == []


def test_no_cell_gives_five_thousand_ampere_for_three_ampere_hours():
    tree = yaml.safe_load((CELLS / "ncr18650pf_nca.yaml").read_text(encoding="utf-8"))
    tree["limits"]["discharge_current_max"] = "5 kA"
    (found,) = said(yaml.safe_dump(tree, sort_keys=False))
    assert found.message == "limits.discharge_current_max is 5000 A, 1670 C for 2.995 Ah"
    assert found.expected == "29.9 mA to 300 A"


def test_a_full_cell_of_an_unknown_chemistry_rests_near_its_limit():
    tree = yaml.safe_load((CELLS / "generic_280_lfp.yaml").read_text(encoding="utf-8"))
    tree["chemistry"], tree["limits"]["voltage_max"] = "sodium_ion", "4.2 V"
    (found,) = said(yaml.safe_dump(tree, sort_keys=False))
    assert found.message.startswith("limits.voltage_max is far above 3.597 V")


def test_what_has_no_graphite_may_be_charged_cold():
    tree = yaml.safe_load((CELLS / "generic_280_lfp.yaml").read_text(encoding="utf-8"))
    tree["chemistry"], tree["limits"]["charge_temperature_min"] = "sodium_ion", "-30 degC"
    assert said(yaml.safe_dump(tree, sort_keys=False)) == []


@pytest.mark.parametrize(
    ("parallel", "capacity", "warned"), [(1, 280, False), (2, 280, True), (2, 560, False), (1, 306, False)]
)
def test_cells_in_parallel_make_the_capacity_of_the_rack(changed, parallel, capacity, warned):
    """Of the site's own cell; the library's stand for cells of any size."""
    own = (CELLS / "generic_280_lfp.yaml").read_text(encoding="utf-8")
    site = demo_site_files()["site.yaml"].replace("parallel: 1,", f"parallel: {parallel},")
    site = site.replace("capacity: 280 Ah", f"capacity: {capacity} Ah")
    start = f"lfp280 is said to hold {capacity} Ah, but {parallel} x 280 Ah of cell"
    told = changed(site_yaml=site.replace("cell: generic_280_lfp", "cell: own.yaml"), own_yaml=own).messages
    found = [m for m in told if m.message.startswith(start)]
    assert [(m.place.file, m.see_also[1].file) for m in found] == [("site.yaml", "own.yaml")] * warned, told
    assert not [m for m in changed(site_yaml=site).messages if m.message.startswith(start)]


def test_a_wrong_chemistry_is_mended_in_the_cell_file_where_the_voltage_is_right(changed):
    site = demo_site_files()["site.yaml"].replace("cell: generic_280_lfp", "cell: cells/own.yaml")
    text = (CELLS / "generic_280_lfp.yaml").read_text(encoding="utf-8").replace("chemistry: lfp", "chemistry: nmc")
    result = changed(site_yaml=site, cells__own_yaml=text)
    assert [m.expected.partition(" of cell")[0] for m in result.errors] == ["chemistry: lfp in the file"]
