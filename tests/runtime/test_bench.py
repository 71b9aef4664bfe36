"""`bess bench` answers in the form that the contract states; its figures are not tested."""

from __future__ import annotations

import pytest

from controller.runtime.bench import run_bench
from controller.runtime.bench_offline import bench_validation
from controller.runtime.bench_result import at_most


def test_a_row_says_whether_its_goal_is_met():
    assert at_most("scan", 1.0, "ms", 2.0, {"empty": 0.5}) == {
        "name": "scan", "value": 1.0, "unit": "ms", "goal": 2.0, "met": True, "beside": {"empty": 0.5},
    }  # fmt: skip
    assert at_most("scan", 3.0, "ms", 2.0, {})["met"] is False
    assert at_most("scan", 3.0, "ms", None, {})["met"] is True


def test_validation_is_measured_beside_its_libraries():
    (row,) = bench_validation(24)

    assert row["value"] > row["beside"]["libraries_alone_s"] > 0.0


def test_the_fault_matrix_is_not_claimed():
    with pytest.raises(ValueError, match="not there yet"):
        run_bench(faults=True)
