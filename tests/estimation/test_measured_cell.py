"""The estimator on a measured cell, at a temperature that its type was not fitted at, with every sensor error added.

Two pieces of one real test (tests/data/README.md); what is asserted are the goals of docs/estimation.md, in SOC points.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from controller.plant.cell_loader import packaged_cell_type
from tests.estimation.accuracy import BIAS_V, GAIN, OFFSET_PER_H, SIGNS, Score, Try, run, score
from tests.estimation.records import Record, disturbed, lfp_extract

DATA = Path(__file__).parents[1] / "data" / "lfp_a123_5degc.parquet"
HINTS = {"from full": (-0.2, None), "to the low knee": (0.2, None)}


@cache
def scores(piece: str) -> dict[str, Score]:
    """Return the scores of a piece: each hint with the sensors' errors of both signs, all in one run."""
    record = lfp_extract(DATA, piece)
    start = float(record.soc_true_ratio[0])
    tries = [
        Try(piece, f"{wrong} {signs[0]:+d}", seen(record, signs), None if wrong is None else start + wrong)
        for wrong in HINTS[piece]
        for signs in SIGNS
    ]
    series = run(tries, packaged_cell_type(record.cell))
    return {one.name: score(one, *(values[k] for values in series)) for k, one in enumerate(tries)}


def seen(record: Record, signs: tuple[int, int, int]) -> Record:
    gain, offset, bias = signs
    return disturbed(record, 1.0 + gain * GAIN, offset * OFFSET_PER_H, bias * BIAS_V)


@pytest.mark.parametrize("name", ["-0.2 +1", "-0.2 -1", "None +1", "None -1"])
def test_from_full_a_real_cell_is_followed_within_the_goal(name: str) -> None:
    one = scores("from full")[name]
    assert one.rmse <= 0.6
    assert one.largest <= 1.5
    assert one.inside >= 0.93
    assert one.width <= 3.0  # a full charge is an anchor


@pytest.mark.parametrize("name", ["0.2 +1", "0.2 -1", "None +1", "None -1"])
def test_told_wrong_or_nothing_a_low_knee_ties_a_real_cell_down(name: str) -> None:
    one = scores("to the low knee")[name]
    assert one.anchor_h < 1.0
    assert one.anchored_rmse <= 2.0
    assert one.anchored_largest <= 2.5
    assert one.inside >= 0.93
    assert one.anchored_width <= 3.0
