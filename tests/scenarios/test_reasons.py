"""What an operator is told of power that is not there: the cause, and the equipment that it is about."""

from __future__ import annotations

import pytest

from controller.control.limits.reasons import NOWHERE, LimitReason, cause_of, limit_reason_text
from controller.plant.signals import Owner
from tests.scenarios.conftest import MW, PlantRig

PCS01, PCS02 = "Plant.Block01.PCS01.LimitReasonText", "Plant.Block02.PCS02.LimitReasonText"
WELL = "power rating of a converter (PCS01)"


def test_a_lost_limit_names_its_rack_and_is_an_alarm(running: PlantRig) -> None:
    """The BMS's limit reads "not implemented": its converter went to zero, and nothing said why."""
    running.hold(0.6 * MW, 6.0)
    assert running.value(PCS01) == WELL
    running.fault("sentinel B01-R03 DischargeCurrentLimit")
    running.hold(0.6 * MW, 10.0)
    assert running.number("Plant.Block01.PCS01.ActivePower") == pytest.approx(0.0, abs=5.0)
    assert running.value(PCS01) == "limits or SOC of a rack unknown for too long (B01-R03)"
    assert running.alarms() == {"B01-R03 rack_limits_lost", "BANK01 device_values_invalid"}
    running.hold(1.2 * MW, 6.0)
    assert running.value("Plant.LimitReasonText") == "limits or SOC of a rack unknown for too long (B01-R03)"
    running.fault("clear")
    running.hold(0.6 * MW, 6.0)
    assert running.value(PCS01) == WELL
    running.hold(0.6 * MW, 12.0)
    assert running.alarms() == set()


def test_limits_that_are_only_on_their_way_are_no_alarm(running: PlantRig) -> None:
    running.local.restart(silence_s=1.0)
    seen: set[str] = set()
    running.run(6.0, lambda: seen.update(running.alarms()))
    assert not any("rack_limits_lost" in alarm for alarm in seen)


def test_a_lost_bank_is_lost_data_and_no_matter_of_the_converter_s_window(running: PlantRig) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault("no_read BANK01")
    said: set[object] = set()
    running.run(20.0, lambda: said.add(running.value(PCS01)))
    assert said == {
        WELL,
        "voltage of a DC bus unknown: data of its racks lost (B01-R01)",
        "data of a DC bus's equipment lost for too long (B01-R01)",
    }


def test_a_rack_that_is_lost_at_zero_power_is_no_protection_of_its_bus(running: PlantRig) -> None:
    running.fault("silent B02-R03")
    said: set[object] = set()
    running.run(20.0, lambda: said.add(running.value(PCS02)))
    assert said == {
        "power rating of a converter (PCS02)",
        "data of a DC bus's equipment lost: no increase (B02-R03)",
        "data of a DC bus's equipment lost for too long (B02-R03)",
    }


def test_a_lost_chain_is_named_as_such(running: PlantRig) -> None:
    running.fault("silent IO01")
    running.run(12.0)
    assert running.value(PCS01) == "a hard-wired chain of a DC bus unknown for too long (DC01)"


def test_a_lost_converter_is_the_reason_from_the_first_moment(running: PlantRig) -> None:
    """While its power was only assumed, "nothing limits" was said, and the plant gave half of what was asked."""
    running.hold(1.2 * MW, 8.0)
    running.fault("silent PCS01")
    for _ in range(60):
        running.hold(1.2 * MW, 0.25)
        short = running.number("Plant.ActivePower") < 0.9 * running.number("Plant.ActivePowerSetpoint")
        assert not short or running.value("Plant.LimitReasonText") == "data of a converter lost (PCS01)"
    assert running.value(PCS01) == "data of a converter lost (PCS01)"


def test_a_cause_names_what_it_is_about_where_that_is_known() -> None:
    names = {Owner.RACK: ("R1", "R2"), Owner.BUS: ("DC1",), Owner.PCS: ("P1",)}
    for reason in LimitReason:
        nowhere = limit_reason_text(cause_of(reason, NOWHERE), names)
        assert nowhere == limit_reason_text(reason)
        assert limit_reason_text(cause_of(reason, 2), names) == nowhere, "an index of another site"
    assert limit_reason_text(cause_of(LimitReason.BMS_CURRENT_LIMIT, 1), names) == "current limit of a BMS (R2)"
    assert limit_reason_text(cause_of(LimitReason.BUS_PROTECTION, 0), names) == "protection of a DC bus (DC1)"
    assert limit_reason_text(cause_of(LimitReason.PCS_RATING, 0), names) == "power rating of a converter (P1)"
    assert limit_reason_text(cause_of(LimitReason.RAMP, 0), names) == "on the ramp to the set-point"
    assert limit_reason_text(cause_of(999, 0), names) == "reason 999"


@pytest.mark.parametrize(("fault", "name"), [("ignore PCS02", "PCS02"), ("ignore PCS01", "PCS01")])
def test_the_reason_names_the_converter_that_does_not_follow(running: PlantRig, fault: str, name: str) -> None:
    running.hold(1.2 * MW, 8.0)
    running.fault(fault)
    running.hold(1.2 * MW, 2.0)
    running.hold(0.4 * MW, 2.5)
    for _ in range(6):
        running.hold(0.4 * MW, 0.5)
        assert running.value("Plant.LimitReason") in {LimitReason.PCS_NOT_FOLLOWING, LimitReason.PCS_DATA_LOST}
        assert f"({name})" in str(running.value("Plant.LimitReasonText"))
