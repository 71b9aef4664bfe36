"""Whose SOC the plant runs on, through whole scans: both shown, a disagreement is an alarm, both counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.alarms.system_alarms import SystemAlarm
from controller.image.quality import Quality
from controller.plant.model import Plant, SocSource
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.simulator.faults.menu import FaultMenu

RACK, OTHER = 2, 3
OFF = 0.25


def _disagreeing(plant: Plant, source: SocSource) -> LocalPlant:
    """Return a plant whose estimator has found its SOC, and one BMS of which then states a quarter less."""
    local = local_plant(replace(plant, control=replace(plant.control, soc_source=source)), seed=1, scan_period_s=1.0)
    for _ in range(40):
        local.advance(1.0)
    estimator = local.state.estimator  # as after an anchor: bounds within some points of the BMS's SOC
    told = local.state.image["rack.soc"].value.copy()
    estimator.soc_ratio, estimator.soc_low_ratio, estimator.soc_high_ratio = told, told - 0.03, told + 0.03
    assert FaultMenu(local.fake.devices).execute(f"offset B01-R{RACK + 1:02} SoCBms -{100 * OFF:.0f}%") == "ok"
    return local


@pytest.fixture(params=list(SocSource), ids=[source.value for source in SocSource])
def disagreeing(demo_plant: Plant, request: pytest.FixtureRequest) -> tuple[LocalPlant, SocSource]:
    return _disagreeing(demo_plant, request.param), request.param


def _anchored(local: LocalPlant, seconds: int) -> None:
    """Run on, the bounds kept as narrow as after an anchor."""
    narrow = local.state.estimator.soc_ratio.copy()
    for _ in range(seconds):
        state = local.state.estimator
        state.soc_ratio, state.soc_low_ratio, state.soc_high_ratio = narrow, narrow - 0.03, narrow + 0.03
        local.advance(1.0)


def test_the_plant_runs_on_the_source_of_its_site_and_shows_both(disagreeing: tuple[LocalPlant, SocSource]) -> None:
    local, source = disagreeing
    _anchored(local, 90)
    image, alarms = local.state.image, local.tables.alarms
    used, ours, bms = (float(image[f"rack.{name}"].value[RACK]) for name in ("soc_estimate", "soc_estimator", "soc"))

    assert ours - bms == pytest.approx(OFF, abs=0.03)
    assert used == {SocSource.BMS: bms, SocSource.ESTIMATOR: ours, SocSource.LOWER: min(ours, bms)}[source]
    assert image["rack.soc_estimate"].value[OTHER] == pytest.approx(image["rack.soc"].value[OTHER], abs=0.03)
    for name in ("soc_estimate", "soc_estimator", "soc"):
        assert image[f"rack.{name}"].quality[RACK] <= Quality.UNCERTAIN
    disagreement = local.state.alarms.state[alarms.system(SystemAlarm.SOC_DISAGREEMENT).place]
    assert np.flatnonzero(disagreement != 0).tolist() == [RACK]
    jumped = local.state.alarms.state[alarms.system(SystemAlarm.BMS_SOC_JUMPED).place]
    assert jumped[RACK] != 0
    assert ours == pytest.approx(float(local.state.estimator.soc_ratio[RACK]), abs=0.01)  # not followed


def test_the_block_s_soc_follows_the_source(demo_plant: Plant) -> None:
    by_source = {}
    for source in SocSource:
        local = _disagreeing(demo_plant, source)
        _anchored(local, 5)
        by_source[source] = float(local.state.image["block.soc"].value[0])

    racks = sum(rack.block == 0 for rack in demo_plant.racks)
    assert by_source[SocSource.ESTIMATOR] - by_source[SocSource.BMS] == pytest.approx(OFF / racks, abs=0.01)
    assert by_source[SocSource.LOWER] <= min(by_source[SocSource.ESTIMATOR], by_source[SocSource.BMS]) + 1e-9


def test_warranty_counts_time_by_both_socs(disagreeing: tuple[LocalPlant, SocSource]) -> None:
    local, _ = disagreeing
    image = local.state.image
    _anchored(local, 20)
    bins = [(f"rack.time_at_soc_{k}", f"rack.time_at_soc_bms_{k}") for k in range(6)]
    before = np.array([[image[name].value[RACK] for name in pair] for pair in bins])
    _anchored(local, 60)
    grown = np.array([[image[name].value[RACK] for name in pair] for pair in bins]) - before
    ours, bms = (float(image[f"rack.{name}"].value[RACK]) for name in ("soc_estimator", "soc"))

    place = [int(np.searchsorted((0.10, 0.25, 0.50, 0.75, 0.90), soc, side="right")) for soc in (ours, bms)]
    assert place[0] != place[1]
    for column, here in enumerate(place):
        assert grown[here, column] == pytest.approx(60.0, abs=11.0)
        assert np.delete(grown[:, column], here).sum() == 0.0
