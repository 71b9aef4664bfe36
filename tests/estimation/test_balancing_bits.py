"""Leaks beside a balancer: where the BMS tells what it bleeds, smaller ones count; where not, the finding says so."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import RackSample, RackSpec, anomalies, estimate, estimator_config, initial
from controller.estimation.anomalies import AnomalyState
from controller.estimation.cell_filter import CellState, initial_cells
from controller.estimation.finding_evidence import Evidence, finding_of
from controller.estimation.findings import Row
from controller.plant.cell_loader import packaged_cell_type

CELLS, BALANCING_A = 8, 0.1
CONFIG = estimator_config(
    [RackSpec(packaged_cell_type("generic_280_lfp"), 280.0, CELLS, 140.0, 140.0, balancing_a=BALANCING_A)] * 2
)


def sample(at_s: int, balancing: np.ndarray | None, told: np.ndarray | None) -> RackSample:
    time, yes, cells = np.full(2, at_s * 10**9), np.ones(2, dtype=bool), np.full((2, CELLS), 3.295, dtype=np.float32)
    return RackSample(
        source_time_ns=time,
        valid=yes,
        current_a=np.zeros(2),
        voltage_v=cells.sum(axis=1).astype(np.float64),
        soc_bms_ratio=np.full(2, np.nan),
        contactor_open=~yes,
        bms_alarm_free=yes,
        cell_time_ns=time,
        cell_voltage_v=cells,
        cell_valid=np.ones_like(cells, dtype=bool),
        cell_temperature_degc=np.full((2, 1), 25.0, dtype=np.float32),
        temperature_valid=np.ones((2, 1), dtype=bool),
        balancing=balancing,
        balancing_told=told,
    )


def run(monkeypatch: pytest.MonkeyPatch, balancing: np.ndarray | None, told: np.ndarray | None):
    """Return the evidence of the last look, and the cells' SOC differences after two hours."""
    seen: list[Evidence] = []
    real = anomalies.look

    def look(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int) -> AnomalyState:
        seen.append(evidence)
        return real(was, cells, evidence, now_ns)

    with monkeypatch.context() as patched:
        patched.setattr(anomalies, "look", look)
        state = initial(CONFIG, 0, 0.5, 0.01)
        for at_s in range(10, 7300, 10):
            estimate(CONFIG, state, sample(at_s, balancing, told), at_s * 10**9)
    return seen[-1], state.groups[0].cells.states[0]


def test_each_rack_is_judged_by_what_its_own_bms_tells(monkeypatch: pytest.MonkeyPatch):
    bits = np.zeros((2, CELLS), dtype=bool)
    bits[0, 3] = True
    evidence, _ = run(monkeypatch, bits, np.array([True, False]))
    assert evidence.balancing_told.tolist() == [True, False]
    assert evidence.balancing_unknown_a == pytest.approx([0.3 * BALANCING_A, BALANCING_A])


def test_without_bits_the_whole_balancer_is_unknown(monkeypatch: pytest.MonkeyPatch):
    evidence, soc = run(monkeypatch, None, None)
    assert evidence.balancing_unknown_a == pytest.approx([BALANCING_A] * 2)
    assert np.allclose(soc, soc[0, 0])


def test_what_is_known_to_be_bled_is_taken_off_that_cell_alone(monkeypatch: pytest.MonkeyPatch):
    bits = np.zeros((2, CELLS), dtype=bool)
    bits[0, 3] = True
    _, soc = run(monkeypatch, bits, None)
    others = np.delete(soc[0], 3)
    assert soc[0, 3] < others.min() - 0.2 * BALANCING_A * 2.0 / 280.0
    assert np.allclose(soc[1], soc[1, 0])


@pytest.mark.parametrize(
    ("told", "words"),
    [(True, "what the BMS says it bled taken off"), (False, "no balancing bits: leaks under 100 mA")],
)
def test_a_leak_s_evidence_says_what_the_balancer_leaves_open(words: str, *, told: bool):
    one = np.ones(1)
    evidence = Evidence(0, 280.0 * one, 3.3 * one, 5e-4 * one, 1.4 * one, BALANCING_A * one, np.array([told]))
    found = finding_of(Row.LEAK, 0, 2, 0.02, 0.001, initial_cells(1, CELLS), evidence, 1)
    assert words in found.evidence
    assert "233 mA" in found.evidence
