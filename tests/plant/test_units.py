from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.messages import Complaint
from controller.plant.units import EXAMPLES, UNITS, Dimension, Unit, parse_quantity, parse_unit


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("3.65 V", Dimension.VOLTAGE, 3.65),
        ("12.47 kV", Dimension.VOLTAGE, 12470.0),
        ("80 mV", Dimension.VOLTAGE, 0.08),
        ("20 MW/min", Dimension.POWER_RAMP, 20e6 / 60),
        ("2.4 Mvar/s", Dimension.REACTIVE_RAMP, 2.4e6),
        ("5 MVAr", Dimension.REACTIVE_POWER, 5e6),
        ("0.5 mohm", Dimension.RESISTANCE, 0.0005),
        ("25 degC", Dimension.TEMPERATURE, 25.0),
        ("-20degC", Dimension.TEMPERATURE, -20.0),
        ("212 degF", Dimension.TEMPERATURE, 100.0),
        ("10 K", Dimension.TEMPERATURE_DIFFERENCE, 10.0),
        ("10 degC", Dimension.TEMPERATURE_DIFFERENCE, 10.0),
        ("1 K/s", Dimension.TEMPERATURE_RATE, 60.0),
        ("5 %", Dimension.RATIO, 0.05),
        ("1.02 pu", Dimension.RATIO, 1.02),
        ("300 ms", Dimension.TIME, 0.3),
        ("2 h", Dimension.TIME, 7200.0),
        ("280 Ah", Dimension.CHARGE, 280.0),
        ("40 MWh", Dimension.ENERGY, 40e6),
        ("1e3 kWh", Dimension.ENERGY, 1e6),
    ],
)
def test_quantities_are_read_in_base_units(text, dimension, value):
    assert parse_quantity(text, dimension) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "dimension", "message", "hint"),
    [
        ("20 MWh", Dimension.POWER, "is an energy (20 MWh), but a power is required", "did you mean '20 MW'?"),
        ("1", Dimension.TIME, "has no unit", "write the unit: 1 ms, 1 s, 1 min, 1 h, 1 d"),
        ("3,65 V", Dimension.VOLTAGE, "is not a number with a unit ('3,65 V')", "write a point, not a comma: '3.65 V'"),
        ("20 mw", Dimension.POWER, "has an unknown unit 'mw'", "did you mean '20 MW'?"),
        ("20 KV", Dimension.VOLTAGE, "has an unknown unit 'KV'", "did you mean '20 kV'?"),
        ("much", Dimension.POWER, "is not a number with a unit ('much')", ""),
        ("", Dimension.POWER, "is empty", ""),
        ("1e999 W", Dimension.POWER, "is too large a number (1e999 W)", ""),
        ("nan W", Dimension.POWER, "is not a number with a unit ('nan W')", ""),
    ],
)
def test_what_is_no_quantity_is_said_with_its_mending(text, dimension, message, hint):
    complaint = parse_quantity(text, dimension)
    assert isinstance(complaint, Complaint)
    assert (complaint.message, complaint.hint) == (message, hint)
    assert EXAMPLES[dimension] in complaint.expected


@pytest.mark.parametrize("dimension", list(Dimension))
def test_every_dimension_has_an_example_that_reads(dimension):
    assert isinstance(parse_quantity(EXAMPLES[dimension], dimension), float)


def test_units_of_registers():
    assert parse_unit("mV") == Unit("mV", Dimension.VOLTAGE, 1e-3)
    assert isinstance(parse_unit("volt"), Complaint)
    complaint = parse_unit("KW")
    assert isinstance(complaint, Complaint)
    assert complaint.hint == "did you mean 'kW'?"


@given(st.text(max_size=20), st.sampled_from(list(Dimension)))
def test_any_text_is_a_finite_number_or_a_complaint(text, dimension):
    parsed = parse_quantity(text, dimension)
    assert isinstance(parsed, Complaint) or math.isfinite(parsed)


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(UNITS)))
def test_a_written_quantity_reads_back(number, name):
    unit = UNITS[name]
    parsed = parse_quantity(f"{number:.9e} {name}", unit.dimension)
    assert not isinstance(parsed, Complaint)
    assert parsed == pytest.approx(number * unit.factor + unit.offset, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("text", ["\N{FULLWIDTH DIGIT THREE}.65 V", "\N{ARABIC-INDIC DIGIT THREE} V"])
def test_digits_of_other_scripts_are_no_numbers(text):
    complaint = parse_quantity(text, Dimension.VOLTAGE)
    assert isinstance(complaint, Complaint)
    assert complaint.hint.startswith("write the digits 0 to 9: '3")
