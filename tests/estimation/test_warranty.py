"""Warranty counters: what flowed is counted once, what is not known never, and no restart takes anything back."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.estimation import EstimatorState, RackSample, RackSpec, estimate, estimator_config, initial
from controller.estimation.warranty import (
    SOC_EDGES,
    Warranty,
    WarrantyError,
    folded,
    from_bytes,
    initial_meter,
    initial_warranty,
    metered,
    to_bytes,
)
from controller.plant.cell_loader import packaged_cell_type

CELLS, AMPERE_HOURS = 4, 280.0
CONFIG = estimator_config([RackSpec(packaged_cell_type("generic_280_lfp"), AMPERE_HOURS, CELLS, 140.0, 140.0)])


def sample(at_s: int, current_a: float, soc_bms: float = np.nan) -> RackSample:
    time, yes = np.array([at_s * 10**9]), np.ones(1, dtype=bool)
    cells = np.full((1, CELLS), 3.3 - 0.0002 * current_a, dtype=np.float32)
    return RackSample(
        source_time_ns=time,
        valid=yes,
        current_a=np.array([current_a]),
        voltage_v=np.array([13.2]),
        soc_bms_ratio=np.array([soc_bms]),
        contactor_open=~yes,
        bms_alarm_free=yes,
        cell_time_ns=time,
        cell_voltage_v=cells,
        cell_valid=np.ones_like(cells, dtype=bool),
        cell_temperature_degc=np.full((1, 1), 27.0, dtype=np.float32),
        temperature_valid=np.ones((1, 1), dtype=bool),
    )


def run(state: EstimatorState, samples) -> Warranty:
    for at_s, one in samples:
        estimate(CONFIG, state, one, at_s * 10**9)
    return state.warranty


def test_charge_energy_and_cycles_are_what_flowed():
    state = initial(CONFIG, 0, 0.6, 0.01)
    counted = run(state, ((s, sample(s, 100.0 if s <= 1800 else -50.0)) for s in range(1, 3601)))
    assert counted.out_ah[0] == pytest.approx(50.0, rel=1e-3)
    assert counted.in_ah[0] == pytest.approx(25.0, rel=1e-3)
    assert counted.out_wh[0] == pytest.approx(50.0 * 13.2, rel=1e-3)
    assert counted.in_wh[0] == pytest.approx(25.0 * 13.2, rel=1e-3)
    assert counted.cycles[0] == pytest.approx(75.0 / (2.0 * AMPERE_HOURS), rel=1e-3)
    assert counted.uncounted_s[0] <= 1.0  # the first sample has none before it
    assert counted.temperature_s[3, 0] == pytest.approx(3600.0, abs=20.0)  # 27 degC
    assert counted.soc_s[:, 0].sum() <= 3600.0
    assert counted.soc_s[2:4, 0].sum() == counted.soc_s[:, 0].sum()


def test_bad_data_count_nothing_and_their_time_is_told():
    state = initial(CONFIG, 0, 0.6, 0.01)
    before = run(state, ((s, sample(s, 100.0)) for s in range(1, 601)))
    bad = ((s, replace(sample(s, 100.0), valid=np.zeros(1, dtype=bool))) for s in range(601, 1201))
    while_bad = run(state, bad)
    after = run(state, ((s, sample(s, 100.0)) for s in range(1201, 1801)))
    assert while_bad.out_ah[0] - before.out_ah[0] <= 100.0 * 10.0 / 3600.0
    assert while_bad.uncounted_s[0] == pytest.approx(600.0, abs=12.0)
    assert while_bad.soc_s.sum() - before.soc_s.sum() <= 10.0
    assert after.out_ah[0] == pytest.approx(100.0 * 1200.0 / 3600.0, rel=0.01)
    assert after.uncounted_s[0] == pytest.approx(601.0, abs=12.0)


@pytest.mark.parametrize("wrong", [{"current_a": np.array([np.nan])}, {"current_a": np.array([9e9])},
                                   {"voltage_v": np.array([np.nan])}])  # fmt: skip
def test_no_number_ever_spoils_a_counter(wrong: dict[str, np.ndarray]):
    state = initial(CONFIG, 0, 0.6, 0.01)
    run(state, ((s, sample(s, 100.0)) for s in range(1, 101)))
    counted = run(state, ((s, replace(sample(s, 100.0), **wrong)) for s in range(101, 201)))
    assert counted.out_ah[0] == pytest.approx(100.0 * 100.0 / 3600.0, rel=0.15)
    assert all(np.isfinite(getattr(counted, field.name)).all() for field in fields(Warranty))
    assert counted.uncounted_s[0] == pytest.approx(100.0, abs=15.0)


@given(st.lists(st.tuples(st.floats(-900, 900), st.floats(0, 1500), st.floats(0, 100)), min_size=1, max_size=40))
def test_counters_never_go_backwards(flows: list[tuple[float, float, float]]):
    counters, meter = initial_warranty(1), initial_meter(1, 0)
    for k, (current_a, voltage_v, seconds) in enumerate(flows, start=1):
        meter = metered(meter, np.array([current_a]), np.array([voltage_v]), np.array([seconds]))
        soc = np.array([abs(current_a) / 900.0])
        later, meter = folded(counters, meter, np.array([280.0]), soc, soc, np.array([voltage_v]), k * 10**10)
        for field in fields(Warranty):
            assert (getattr(later, field.name) >= getattr(counters, field.name)).all()
        counters = later


def test_cycles_of_the_bms_leave_out_its_last_digit_and_its_jumps():
    counters, meter = initial_warranty(1), initial_meter(1, 0)
    down = [round(0.80 - 0.01 * k, 2) for k in range(31)]
    stated = [*down, 0.50, 0.505, 0.50, 0.62, 0.62, 0.63, np.nan, 0.64]
    for k, soc in enumerate(stated, start=1):
        no = np.array([np.nan])
        counters, meter = folded(counters, meter, np.array([280.0]), no, np.array([soc]), no, k * 10**10)
    assert counters.bms_cycles[0] == pytest.approx(0.5 * (0.30 + 0.02))
    assert counters.bms_soc_s[:, 0].sum() == pytest.approx(10.0 * (len(stated) - 1))
    assert counters.soc_s.sum() == counters.temperature_s.sum() == 0.0


@pytest.mark.parametrize(("soc", "place"), [(0.0, 0), (0.0999, 0), (0.10, 1), (0.5, 3), (0.9, 5), (1.0, 5)])
def test_an_edge_belongs_to_the_bin_above_it(soc: float, place: int):
    no = np.array([np.nan])
    counters, _ = folded(initial_warranty(1), initial_meter(1, 0), no, np.array([soc]), no, no, 10**10)
    assert np.flatnonzero(counters.soc_s[:, 0]).tolist() == [place]
    assert len(counters.soc_s) == len(SOC_EDGES) + 1


def some(racks: int) -> Warranty:
    rng = np.random.default_rng(3)
    return Warranty(**{f.name: rng.random(getattr(initial_warranty(racks), f.name).shape) for f in fields(Warranty)})


def test_racks_are_found_by_name_in_a_changed_plant():
    saved = some(3)
    read = from_bytes(to_bytes(saved, ["A", "B", "C"]), ["C", "new", "A"], away_s=90.0)
    assert read.out_ah.tolist() == [saved.out_ah[2], 0.0, saved.out_ah[0]]
    assert np.array_equal(read.soc_s[:, [0, 2]], saved.soc_s[:, [2, 0]])
    assert read.uncounted_s == pytest.approx([saved.uncounted_s[2] + 90.0, 0.0, saved.uncounted_s[0] + 90.0])


DAMAGES = {
    "short": lambda data: data[:30],
    "end": lambda data: data[:-9],
    "format": lambda data: data.replace(b'"format": 1', b'"format": 7'),
    "empty": lambda _: b"",
    "other": lambda _: b"[]\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_sound_is_refused(damage):
    with pytest.raises(WarrantyError, match="warranty counters"):
        from_bytes(damage(to_bytes(some(2), ["A", "B"])), ["A", "B"], 0.0)
