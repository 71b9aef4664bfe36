"""The BMS's SOC beside ours: a lasting disagreement and a jump are seen, short ones and counted charge are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.alarms.states import Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.estimation import Estimate, RackSample, RackSpec, SocSource, estimate, estimator_config, initial
from controller.estimation.beside_bms import BesideBms, initial_beside, listen
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.model import Plant
from controller.protection.table import compile_table
from controller.runtime.alarm_conditions import AlarmConditions

SECOND_NS = 10**9
OURS = np.array([0.40]), np.array([0.60])


def heard(stated: list[float], drawn_each: float = 0.0) -> tuple[BesideBms, list[bool], list[bool]]:
    """Return the state after SOCs stated each second, and at which of them it disagreed and had jumped."""
    beside, disagrees, jumped = initial_beside(1, 0), [], []
    for second, soc in enumerate(stated, start=1):
        counted = np.array([drawn_each * second])
        beside = listen(beside, np.array([soc]), counted, *OURS, second * SECOND_NS)
        disagrees.append(bool(beside.disagrees(second * SECOND_NS)[0]))
        jumped.append(bool(beside.jumped(second * SECOND_NS)[0]))
    return beside, disagrees, jumped


@pytest.mark.parametrize("soc", [0.38, 0.62])
def test_outside_the_bounds_for_a_minute_is_a_disagreement(soc: float):
    _, disagrees, _ = heard([0.5] * 10 + [soc] * 70 + [0.5] * 5)
    assert disagrees.index(True) == 10 + 60  # 61 s after it was last inside
    assert not any(disagrees[80:])


@pytest.mark.parametrize("stated", [[0.5] * 99, [0.395] * 99, [0.605] * 99, ([0.62] * 50 + [0.5]) * 2, [np.nan] * 99])
def test_inside_a_point_off_for_less_or_silent_is_none(stated: list[float]):
    assert not any(heard(stated)[1])


def test_a_jump_is_recorded_with_its_size_and_shown_for_a_minute():
    beside, _, jumped = heard([0.50] * 5 + [0.44] * 90)
    assert beside.jump_ratio[0] == pytest.approx(-0.06)
    assert jumped.index(True) == 5
    assert sum(jumped) == 60


def test_charge_that_was_counted_is_no_jump():
    assert not any(heard([0.58 - 0.03 * k for k in range(6)], drawn_each=0.03)[2])
    assert any(heard([0.58 - 0.03 * k for k in range(6)], drawn_each=-0.03)[2])


def test_a_jump_across_a_silence_is_seen_when_the_bms_is_back():
    _, _, jumped = heard([0.50, np.nan, np.nan, 0.56])
    assert jumped == [False, False, False, True]


def _estimate(source: SocSource, bms: float) -> tuple[Estimate, list[Estimate]]:
    config = estimator_config(
        [RackSpec(packaged_cell_type("generic_280_lfp"), 280.0, 4, 140.0, 140.0)], source, power_period_s=1.0
    )
    state, results = initial(config, 0, 0.5, 0.01), []
    yes = np.ones(1, dtype=bool)
    for second in range(1, 100):
        time = np.array([second * SECOND_NS])
        sample = RackSample(
            source_time_ns=time,
            valid=yes,
            current_a=np.zeros(1),
            voltage_v=np.array([13.18]),
            soc_bms_ratio=np.array([bms]),
            contactor_open=~yes,
            bms_alarm_free=yes,
            cell_time_ns=time,
            cell_voltage_v=np.full((1, 4), 3.295, dtype=np.float32),
            cell_valid=np.ones((1, 4), dtype=bool),
            cell_temperature_degc=np.full((1, 1), 25.0, dtype=np.float32),
            temperature_valid=np.ones((1, 1), dtype=bool),
        )
        results.append(estimate(config, state, sample, second * SECOND_NS))
    return results[-1], results


@pytest.mark.parametrize("bms", [0.2, 0.9, np.nan])
def test_the_source_of_the_soc_is_the_site_s_choice(bms: float):
    by_source = {source: _estimate(source, bms)[0] for source in SocSource}
    ours = by_source[SocSource.ESTIMATOR].soc_ratio[0]
    used = {source: float(result.soc_used_ratio[0]) for source, result in by_source.items()}
    stated = ours if np.isnan(bms) else bms
    assert used == {SocSource.BMS: stated, SocSource.ESTIMATOR: ours, SocSource.LOWER: min(ours, stated)}
    assert all(result.soc_ratio[0] == pytest.approx(ours) for result in by_source.values())
    assert abs(ours - 0.5) < 0.1  # the BMS is heard, never followed


def test_a_bms_far_off_becomes_a_disagreement_in_the_estimate():
    _, results = _estimate(SocSource.BMS, 0.9)
    seen = [bool(result.soc_disagrees[0]) for result in results]
    assert not any(seen[:59])
    assert all(seen[62:])


@pytest.mark.parametrize(
    ("alarm", "disagrees"), [(SystemAlarm.SOC_DISAGREEMENT, True), (SystemAlarm.BMS_SOC_JUMPED, False)]
)
def test_each_is_an_alarm_of_its_rack_and_goes_when_it_goes(demo_plant: Plant, alarm: SystemAlarm, *, disagrees: bool):
    table = AlarmTable(demo_plant)
    conditions, group = AlarmConditions(table, compile_table(demo_plant)), table.system(alarm)
    none = np.zeros(len(demo_plant.racks), dtype=bool)
    third = np.arange(len(none)) == 2
    result = replace(_estimate(SocSource.BMS, 0.5)[0], soc_disagrees=none, bms_jumped=none)
    for now_ns, mask in ((1, third), (2, none)):
        seen = replace(result, soc_disagrees=mask) if disagrees else replace(result, bms_jumped=mask)
        conditions.of_estimate(seen, now_ns)
        active = conditions.conditions.state == Condition.ACTIVE
        expected = np.zeros(len(active), dtype=bool)
        expected[group.place] = mask
        assert np.array_equal(active, expected)
