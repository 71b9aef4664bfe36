"""Scaled values are the doubles nearest to what a person would write, and go back to the raw number they came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.scaling import IDENTITY, joined, scaling

scales = st.sampled_from([1.0, 0.1, 0.01, 0.001, 1e-5, 10.0, 100.0, 0.5, 0.25, 2.5, 1 / 3, 3600.0, 0.0625])
offsets = st.sampled_from([0.0, -40.0, -273.15, 1000.0, 0.5])
factors = st.sampled_from([(1.0, 0.0), (0.001, 0.0), (1000.0, 0.0), (0.01, 0.0), (5 / 9, -160 / 9), (1.0, -273.15)])


@given(st.integers(0, 65_535))
def test_millivolts_are_the_doubles_that_a_person_types(raw: int) -> None:
    values = scaling(0.001).value(np.array([raw]))
    assert values[0] == float(f"{raw // 1000}.{raw % 1000:03d}")


@given(st.integers(-32_768, 32_767))
def test_tenths_with_an_offset_are_exact_too(raw: int) -> None:
    sign, tenths = "-" if raw < 400 else "", abs(raw - 400)
    assert scaling(0.1, -40.0).value(np.array([raw]))[0] == float(f"{sign}{tenths // 10}.{tenths % 10}")


@given(scales, offsets, factors, st.sampled_from([1, -1]), st.integers(-(2**31), 2**32 - 1))
def test_raw_numbers_come_back(scale: float, offset: float, unit: tuple[float, float], sign: int, raw: int) -> None:
    made = scaling(scale, offset, *unit, sign)
    values = made.value(np.array([raw]))
    assert values[0] == pytest.approx(sign * ((raw * scale + offset) * unit[0] + unit[1]), rel=1e-12, abs=1e-9)
    assert np.rint(made.raw(values))[0] == raw


@given(scales, offsets, st.integers(-10, 10), st.integers(-32_768, 65_535))
def test_a_scale_factor_multiplies_the_raw_number(scale: float, offset: float, exponent: int, raw: int) -> None:
    made = scaling(scale, offset).shifted(np.array([exponent]))
    assert made.value(np.array([raw]))[0] == pytest.approx(raw * 10.0**exponent * scale + offset, rel=1e-12, abs=1e-9)


def test_joined_scalings_keep_to_their_own_elements() -> None:
    both = joined([(scaling(0.1), 2), (scaling(0.001, 1.0), 1)])
    assert both.value(np.array([[10, 20, 3000], [1, 2, 500]])).tolist() == [[1.0, 2.0, 4.0], [0.1, 0.2, 1.5]]


def test_joined_scalings_that_agree_stay_one_number() -> None:
    assert joined([(scaling(0.1), 2), (scaling(0.1), 5)]) == scaling(0.1)
    assert joined([(IDENTITY, 3)]) == IDENTITY


def test_single_precision_is_asked_for() -> None:
    values = scaling(0.001).value(np.array([3650], np.uint16), np.float32)
    assert values.dtype == np.float32
    assert values[0] == np.float32(3.65)


@pytest.mark.parametrize(("scale", "factor"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_scale_of_zero_is_no_scale(scale: float, factor: float) -> None:
    with pytest.raises(ValueError, match="the scale is 0"):
        scaling(scale, unit_factor=factor)
