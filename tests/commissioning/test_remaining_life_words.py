"""What `bess estimate` says of the remaining life: insufficient data, or an interval, never one number."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from controller.commissioning.estimation_summary import summary
from controller.commissioning.offline_estimation import EstimatedRecording, finding_row
from controller.commissioning.recording_checks import BadSamples
from controller.estimation import Finding, FindingKind, RackSpec, Severity, estimator_config
from controller.estimation.offline import OfflineResult, Recording, estimate_recording
from controller.plant.cell_loader import packaged_cell_type


def _result() -> OfflineResult:
    rows = 40
    config = estimator_config([RackSpec(packaged_cell_type("generic_280_lfp"), 280.0, 1, 140.0, 140.0)])
    warm = np.full((rows, 1), 25.0)
    return estimate_recording(
        config, Recording(np.arange(float(rows)), np.full(rows, 10.0), np.full((rows, 1), 3.3), warm)
    )


def _said(result: OfflineResult, *, as_json: bool = False) -> str:
    return summary(
        EstimatedRecording(result, BadSamples(40, MappingProxyType({}), (), MappingProxyType({}))), as_json=as_json
    )


def test_a_recording_does_not_earn_a_remaining_life():
    result = _result()
    said = json.loads(_said(result, as_json=True))

    assert said["remaining_life_quality"] == "insufficient data"
    assert said["remaining_life_low_days"] is None
    assert said["remaining_life_high_days"] is None
    assert "remaining life: insufficient data" in _said(result)


def test_an_earned_one_is_an_interval():
    result = _result()
    last = replace(result.last, remaining_days_low=np.array([700.2]), remaining_days_high=np.array([2400.0]))
    result = replace(result, last=last)
    said = json.loads(_said(result, as_json=True))

    assert (said["remaining_life_low_days"], said["remaining_life_high_days"]) == (700.2, 2400.0)
    assert said["remaining_life_quality"] == "good"
    assert "remaining life 700 .. 2400 days" in _said(result)


def test_a_finding_says_when_the_data_do_not_tell_the_days_to_its_limit():
    known = Finding(10**9, 0, 3, FindingKind.SELF_DISCHARGE, Severity.WARNING, "", 60.0, "ohm", "", 20.0, 40.0)
    assert finding_row(known, 0.0)["days_to_limit_low"] == 20.0
    assert "days_to_limit" not in finding_row(known, 0.0)
    open_ended = replace(known, days_low=float("nan"), days_high=float("nan"))
    assert finding_row(open_ended, 0.0)["days_to_limit"] == "insufficient data"
    never = replace(known, days_low=float("inf"), days_high=float("inf"))
    assert not {"days_to_limit", "days_to_limit_low"} & set(finding_row(never, 0.0))
