"""Numbers as people read them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.figures import counted, number, quantity, span


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.25e6, "ohm", "1.25 Mohm"), (1.25, "ohm", "1.25 ohm"), (0.06, "ohm", "60 mohm"), (96e-6, "ohm", "96 uohm"),
        (1500.0, "V", "1500 V"), (12470.0, "V", "12.47 kV"), (0.08, "V", "80 mV"), (6.554e-7, "V", "0.6554 uV"),
        (-0.0, "A", "0 A"), (6553.5, "A", "6554 A"), (2.4e6, "W", "2.4 MW"), (91_800.0, "W", "91.8 kW"),
        (999_999.0, "W", "1 MW"), (-5e6, "W", "-5 MW"), (55.0, "degC", "55 degC"), (0.0, "%", "0 %"), (2.0, "", "2"),
        (math.nan, "V", "not known V"), (math.inf, "s", "infinite s"),
    ],
)  # fmt: skip
def test_a_quantity_is_said_as_people_say_it(value, unit, text):
    assert quantity(value, unit) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_number_has_no_exponent_and_is_never_minus_zero(value):
    text = number(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?", text)
    assert text != "-0"
    assert float(text) == float(f"{value:.4g}")


def test_both_ends_of_a_span_share_a_unit_where_they_can():
    assert span(-0.0, 6553.5, "A") == "0 to 6554 A"
    assert span(672, 876, "V") == "672 to 876 V"
    assert span(0.08, 3.65, "V") == "80 mV to 3.65 V"
    assert span(-2.4e6, 2.4e6, "W") == "-2.4 to 2.4 MW"


def test_one_is_no_plural():
    assert [counted(1, "rack"), counted(2, "rack"), counted(0, "bus", "buses")] == ["1 rack", "2 racks", "0 buses"]
