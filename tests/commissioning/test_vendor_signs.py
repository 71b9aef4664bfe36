"""Which direction makers' point lists count as positive, in their own words."""

from __future__ import annotations

import pytest

from controller.commissioning.vendor_signs import sign_of
from controller.plant.signals import SIGNALS

CHARGE = (
    "charge +, discharge -", "Positive: charge, negative: discharge", "charge(+) discharge(-)",
    "+ charge / - discharge",
    "positive value means charging", "+ is charging", "charging positive", "Charge/discharge current, + charging",
    ">0 charge, <0 discharge", "Charge = + / Discharge = -", "(+) charge (-) discharge", "discharge is negative",
    "positive: battery is charging", "charge +, discharge \u2212", "Rack current · No.: 2 · Remark: + = charging",
)  # fmt: skip
DISCHARGE = (
    "negative = charge", "positive is discharging", "Discharge: +; Charge: -", "- = charge", "Negative value: charging",
    "current (positive when discharging)", "charging current is negative", "dis-charge positive", "neg. = charge",
    "+: Discharge -: Charge", "discharging (positive), charging (negative)", "I>0 discharge",
)  # fmt: skip
NEITHER = (
    "Rack current", "battery charge - discharge current", "charge-discharge current", "+/- charge", "-400..400 A",
    "+ charge, + discharge", "charge current limit (positive)", "charging -> positive",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [*((text, "charge_positive") for text in CHARGE), *((text, "discharge_positive") for text in DISCHARGE),
     *((text, None) for text in NEITHER)],
)  # fmt: skip
def test_a_direction_and_a_side_that_stand_together_are_a_sign(text: str, expected: str | None) -> None:
    assert sign_of(text, SIGNALS["rack.current"]) == expected


@pytest.mark.parametrize(
    ("text", "signal", "expected"),
    [
        ("import positive", "meter.active_power", "import_positive"),
        ("positive = export to grid", "meter.active_power", "export_positive"),
        ("- = from grid", "meter.active_power", "export_positive"),
        ("+ inductive, - capacitive", "pcs.reactive_power", "absorbed_positive"),
        ("+ charge", "pcs.reactive_power", None),
        ("charge positive", "rack.voltage", None),
    ],
)
def test_words_of_the_grid_and_of_reactive_power(text: str, signal: str, expected: str | None) -> None:
    assert sign_of(text, SIGNALS[signal]) == expected
