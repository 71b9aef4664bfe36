"""`bess bench` answers in the form that the contract states; its figures are not tested."""

from __future__ import annotations

import re

import yaml

from controller.plant.site_files import LIBRARY
from controller.runtime.bench.faults import bench_faults
from controller.runtime.bench.offline import bench_validation
from controller.runtime.bench.result import at_most


def test_a_row_says_whether_its_goal_is_met():
    assert at_most("scan", 1.0, "ms", 2.0, {"empty": 0.5}) == {
        "name": "scan", "value": 1.0, "unit": "ms", "goal": 2.0, "met": True, "beside": {"empty": 0.5},
    }  # fmt: skip
    assert at_most("scan", 3.0, "ms", 2.0, {})["met"] is False
    assert at_most("scan", 3.0, "ms", None, {})["met"] is True


def test_validation_is_measured_beside_its_libraries():
    (row,) = bench_validation(24)

    assert row["value"] > row["beside"]["libraries_alone_s"] > 0.0


def test_a_row_of_the_fault_matrix_passes_fails_or_says_why_not():
    elsewhere, passed, missing = bench_faults(only=["F25", "F37", "F46"])["rows"]

    assert (passed["id"], passed["result"]) == ("F37", "pass")
    assert 0.0 < passed["reaction_s"] <= passed["deadline_s"]
    assert (missing["result"], missing["reason"]) == ("not applicable yet", "no redundancy yet")
    assert elsewhere["result"] == "not run here"


def test_the_fault_matrix_is_whole_and_names_tests_that_are_there(repository):
    rows = yaml.safe_load((LIBRARY / "fault_matrix.yaml").read_text(encoding="utf-8"))["rows"]

    assert [row["id"] for row in rows] == [f"F{n:02}" for n in range(1, 54)]
    for row in rows:
        assert ("why" in row) != ("within" in row)
        for named in re.findall(r"tests/[\w/]+\.py", row.get("why", "")):
            assert (repository / named).exists(), named
