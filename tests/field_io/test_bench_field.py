"""The benchmark runs whole, briefly; its figures are nobody's business here."""

from __future__ import annotations

import shutil

import pytest

from controller.field_io import bench_field
from controller.runtime.clock import SystemClock


def test_every_ratio_stands_beside_what_it_was_measured_against(demo_plant, monkeypatch):
    if shutil.which("cc") is None:
        pytest.skip("the device that is asked needs a C compiler (cc)")
    monkeypatch.setattr(bench_field, "ROUNDS", 1)
    monkeypatch.setattr(bench_field, "ROUND_S", 0.1)
    rows = bench_field.bench_field(demo_plant, SystemClock(), connections=3)

    assert [row["name"].split("_beside_")[1] for row in rows] == ["pymodbus", "libmodbus", "libmodbus"]
    for row in rows:
        if "missing" in row["beside"]:
            assert (row["value"], row["met"]) == (None, None)
        else:
            assert row["value"] > 0
            assert row["met"] == (row["value"] <= row["goal"])
            assert min(row["beside"].values()) > 0


def test_without_a_compiler_nothing_is_claimed(demo_plant, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)

    assert {row["met"] for row in bench_field.bench_field(demo_plant, SystemClock())} == {None}
