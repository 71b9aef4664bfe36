"""What a rack may carry: the smallest of everything known, and nothing once a limit has been unknown for too long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.control.derating import derating_lines
from controller.control.limits.reasons import LimitReason
from controller.control.relations import relations_of
from controller.image.plant_arrays import plant_arrays
from controller.image.quality import Quality
from controller.plant.protection_rows import (
    Action,
    Direction,
    Graded,
    Level,
    ProtectionRow,
    Qualifier,
    Reduction,
    ResetClass,
)
from controller.plant.signals import Owner


def allowed(rig, rack: int) -> tuple[float, float]:
    racks = rig.result.racks
    return float(racks.charge_current_allowed_a[rack]), float(racks.discharge_current_allowed_a[rack])


def test_the_rating_and_the_bms_limit_whichever_is_lower(running):
    running.field.limit_a[:, 3] = 500.0, 90.0
    running.scan()
    assert allowed(running, 3) == (140.0, 90.0)
    assert running.result.racks.limit_reason[3] == LimitReason.BMS_CURRENT_LIMIT
    assert running.result.racks.limit_reason[4] == LimitReason.RACK_CURRENT_RATING


def test_a_negative_bms_limit_is_zero_allowed(running):
    running.field.limit_a[:, 3] = -20.0
    running.scan()
    assert allowed(running, 3) == (0.0, 0.0)


@pytest.mark.parametrize(("soc", "expected"), [(0.05, (140.0, 0.0)), (0.055, (140.0, 100.0)), (0.95, (0.0, 200.0))])
def test_the_soc_window_tapers_to_nothing_at_its_edges(running, soc, expected):
    running.field.soc[3] = soc
    running.scan()
    assert allowed(running, 3) == pytest.approx(expected, abs=1e-6)


def test_without_an_estimate_the_bms_soc_counts(running):
    running.estimate_quality = Quality.DEVICE_FAILURE
    running.field.soc[3] = 0.05
    running.scan()
    assert allowed(running, 3) == pytest.approx((140.0, 0.0))


def test_a_lost_limit_keeps_its_value_for_its_grace_time_and_is_then_zero(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.field.silent.add(("rack", 3))
    running.run(4)
    assert allowed(running, 3) == (140.0, 200.0)
    assert running.result.plant.active_power_in_effect_w == 1e6
    running.run(3)
    assert allowed(running, 3) == (0.0, 0.0)
    assert running.result.racks.limit_reason[3] == LimitReason.RACK_LIMITS_LOST
    assert running.result.conditions["rack.limits_lost"][3]
    assert running.result.pcs.active_power_command_w[0] == 0.0, "its bus goes to zero"
    assert running.result.pcs.active_power_command_w[1] > 0.0, "and the other takes over"
    assert running.result.plant.racks_connected == 24, "lost data opens nothing"


def test_while_limits_are_stale_the_bus_may_not_rise_but_may_fall(running):
    running.setpoint(5e5, timeout_s=600.0)
    running.run(6)
    before_w = running.field.pcs_w.copy()
    running.field.silent.add(("rack", 3))
    running.setpoint(2e6, timeout_s=600.0)
    assert running.field.pcs_w[0] <= before_w[0]
    assert running.field.pcs_w[1] > before_w[1]
    running.setpoint(1e5, timeout_s=600.0)
    assert running.field.pcs_w[0] < before_w[0]


def test_an_unknown_soc_is_a_lost_limit(running):
    running.field.soc_known = False
    running.run(8)
    assert allowed(running, 3) == (0.0, 0.0)


def test_never_read_is_nothing_allowed(rig):
    rig.field.silent.add(("rack", 3))
    rig.scan()
    assert allowed(rig, 3) == (0.0, 0.0)


def test_protection_inhibits_a_direction(running):
    running.protection.inhibit_charge[3] = True
    running.scan()
    assert allowed(running, 3) == (0.0, 200.0)
    running.protection.rack_trip[3] = True
    running.scan()
    assert allowed(running, 3) == (0.0, 0.0)
    assert running.result.racks.limit_reason[3] == LimitReason.RACK_PROTECTION


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rack.cell_voltage_max", 3.525, (70.0, 200.0)),
        ("rack.cell_voltage_min", 2.95, (140.0, 100.0)),
        ("rack.cell_temperature_max", 39.0, (70.0, 200.0)),
        ("rack.cell_temperature_max", 47.5, (0.0, 100.0)),
        ("rack.cell_temperature_min", 6.5, (70.0, 200.0)),
    ],
)
def test_near_its_limits_a_rack_is_derated_in_the_direction_that_hurts(running, name, value, expected):
    running.field.cells[name][3] = value
    running.scan()
    assert allowed(running, 3) == pytest.approx(expected, abs=1e-6)


def _row(direction: Direction, limits: tuple[float, float], action: Action) -> ProtectionRow:
    levels = (Graded(Level.WARNING, limits[0], 1.0, Action.ANNUNCIATE), Graded(Level.ALARM, limits[1], 1.0, action))
    return ProtectionRow(
        "row", Owner.RACK, "cell.voltage", direction, Reduction.HIGHEST, levels, 0.0, 1.0, ResetClass.AUTO
    )


def test_of_several_rows_the_one_that_ends_first_derates():
    rows = [
        _row(Direction.HIGH, (3.5, 3.6), Action.INHIBIT_CHARGE),
        _row(Direction.HIGH, (3.4, 3.5), Action.ANNUNCIATE),
    ]
    for ordered in (rows, rows[::-1]):
        lines = derating_lines(ordered, 0.0, 1.0)
        assert (3.45 * lines.slope + lines.intercept)[1, 0, 0] == pytest.approx(0.5)
        assert (3.45 * lines.slope + lines.intercept)[1, 1, 0] == 1.0


def test_rows_of_other_kinds_derate_nothing(demo_plant):
    spread = [r for r in demo_plant.protection if r.reduction is Reduction.SPREAD]
    assert spread
    lines = derating_lines(spread, 0.0, 1.0)
    assert np.all(lines.slope[1:] == 0.0)
    assert Qualifier.CHARGING in {r.qualifier for r in demo_plant.protection}


def test_each_rack_is_eased_by_the_rows_of_its_own_battery(demo_plant):
    """A row of another chemistry must not derate a battery that it is not about."""
    high = next(r for r in demo_plant.protection if r.name == "cell_voltage_high")
    earlier = replace(high, name="other", only=("other",), levels=tuple(replace(g, limit=3.0) for g in high.levels))
    battery = replace(demo_plant.racks[0].battery, name="other")
    racks = tuple(replace(r, battery=battery) if r.block == 1 else r for r in demo_plant.racks)
    plant = replace(demo_plant, racks=racks, protection=(*demo_plant.protection, _eased(earlier)))
    arrays = plant_arrays(plant)
    found, alone = relations_of(plant, arrays), relations_of(demo_plant, arrays)
    assert np.array_equal(found.derating_slope[:, :, :12], alone.derating_slope[:, :, :12])
    assert not np.array_equal(found.derating_slope[:, :, 12:], alone.derating_slope[:, :, 12:])


def _eased(row):
    """Levels a little apart, as derating needs them."""
    return replace(row, levels=tuple(replace(g, limit=3.0 + 0.05 * g.level) for g in row.levels))
