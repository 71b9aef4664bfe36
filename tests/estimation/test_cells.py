"""Cells against their rack: faults named for what they are, healthy cells left alone, all of it kept over a restart."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import (
    EstimatorConfig,
    EstimatorState,
    FindingKind,
    RackSpec,
    estimate,
    estimator_config,
    from_bytes,
    initial,
    to_bytes,
)
from controller.estimation.thermal import core_per_surface
from controller.estimation.warm_cells import warmth
from controller.plant.cell_loader import packaged_cell_type
from tests.estimation.synthetic_pack import CellFault, Pack, PackSpec, arbitrage, regulation

CELL = packaged_cell_type("generic_280_lfp")


def watched(spec: PackSpec) -> tuple[EstimatorConfig, EstimatorState]:
    """Return the estimator's state after a pack's days."""
    rack = RackSpec(CELL, 280.0, spec.cells, 140.0, 140.0, temperature_sensors=spec.cells, balancing_a=spec.balancer_a)
    config = estimator_config([rack] * spec.racks)
    state = initial(config, 0)
    for sample in Pack(spec).steps():
        estimate(config, state, sample, int(sample.source_time_ns[0]))
    return config, state


@pytest.fixture(scope="module")
def troubled() -> tuple[EstimatorConfig, EstimatorState]:
    faults = (
        CellFault("capacity", 0, 7, -0.08),
        CellFault("stuck", 0, 11, 0.0, 1.80, 2.3),
        CellFault("leak", 0, 23, 4.0, 0.8),
        CellFault("warm_sensor", 0, 31, 6.0, 0.5),
        CellFault("hot", 0, 40, 0.8, 0.5),
    )
    return watched(PackSpec(CELL, cells=48, days=3.3, seed=21, profile=arbitrage, faults=faults))


def test_each_fault_gets_its_name(troubled: tuple[EstimatorConfig, EstimatorState]):
    found = {(f.cell, f.kind) for f in troubled[1].findings}
    assert (7, FindingKind.LOW_CAPACITY) in found
    assert (11, FindingKind.SENSOR_STUCK) in found
    assert (23, FindingKind.INTERNAL_SHORT) in found or (23, FindingKind.IMBALANCE) in found
    assert (31, FindingKind.SENSOR_OFFSET) in found
    assert (40, FindingKind.THERMAL) in found
    assert {cell for cell, _ in found} == {7, 11, 23, 31, 40}


def test_a_hot_cell_is_judged_by_its_core(troubled: tuple[EstimatorConfig, EstimatorState]):
    config, state = troubled
    hot = next(f for f in state.findings if f.kind is FindingKind.THERMAL)
    surface_k = warmth(state.groups[0].anomalies.warmth)[1][0, 40]
    assert core_per_surface(config)[0] == pytest.approx(1.0 + 0.35 / 0.8)
    assert hot.size > 3.0
    assert hot.size < 1.5 * core_per_surface(config)[0] * surface_k
    assert "core" in hot.evidence


def test_a_finding_says_how_it_is_known(troubled: tuple[EstimatorConfig, EstimatorState]):
    stuck = next(f for f in troubled[1].findings if f.kind is FindingKind.SENSOR_STUCK)
    assert stuck.sensor == "voltage"
    assert "to the last digit" in stuck.evidence
    assert stuck.size > 10.0
    assert stuck.size_unit == "mV"


def test_a_restart_keeps_what_was_learnt_and_found(troubled: tuple[EstimatorConfig, EstimatorState]):
    config, state = troubled
    later = from_bytes(to_bytes(state), config, now_ns=5_000_000_000, away_s=3600.0)
    before, after = state.groups[0], later.groups[0]
    assert np.array_equal(before.cells.states, after.cells.states)
    assert [f.kind for f in later.findings] == [f.kind for f in state.findings]
    assert np.all(after.cells.covariance[:, 0, 0] > before.cells.covariance[:, 0, 0])
    assert len(after.anomalies.hours.at_ns) == len(before.anomalies.hours.at_ns)
    age_ns = int(state.time_ns[0]) - before.anomalies.hours.at_ns[-1]
    assert 5_000_000_000 - after.anomalies.hours.at_ns[-1] == pytest.approx(age_ns + 3600 * 10**9, abs=10**9)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("profile", "degc", "seed"),
    [
        (arbitrage, 15.0, 31),
        (regulation, 30.0, 32),
        (arbitrage, 25.0, 33),
        (regulation, 10.0, 34),
        (arbitrage, 35.0, 35),
    ],
)
def test_a_fortnight_of_healthy_cells_raises_nothing(profile, degc: float, seed: int):
    spec = PackSpec(CELL, racks=2, cells=240, days=14.0, seed=seed, profile=profile, ambient_degc=degc)
    assert watched(spec)[1].findings == ()


@pytest.mark.nightly
@pytest.mark.parametrize(("seed", "seen"), [(41, True), (42, False)])
def test_balancing_is_not_taken_for_leaks(seed: int, *, seen: bool):
    spec = PackSpec(
        CELL,
        cells=240,
        days=14.0,
        seed=seed,
        profile=arbitrage,
        balancer_a=0.08,
        balancer_seen=seen,
        window=(0.1, 1.01),
    )
    assert watched(spec)[1].findings == ()


@pytest.mark.nightly
def test_leaks_are_found_in_time():
    faults = (CellFault("leak", 0, 10, 30.0, 4.3), CellFault("leak", 0, 50, 150.0, 1.0))
    state = watched(PackSpec(CELL, cells=240, days=8.0, seed=51, profile=arbitrage, faults=faults))[1]
    days = {f.cell: f.first_raised_ns / 86400e9 for f in state.findings}
    assert days[10] < 5.3
    assert set(days) == {10, 50}
    assert days[50] < 8.0


@pytest.mark.nightly
def test_growth_of_a_cell_s_resistance_is_found_in_time():
    faults = (CellFault("growth", 0, 60, 0.10, 4.3),)
    state = watched(PackSpec(CELL, cells=240, days=6.5, seed=61, profile=regulation, faults=faults))[1]
    days = {f.cell: f.first_raised_ns / 86400e9 for f in state.findings if f.kind is FindingKind.RESISTANCE_GROWTH}
    assert set(days) == {60}
    assert days[60] < 6.3
