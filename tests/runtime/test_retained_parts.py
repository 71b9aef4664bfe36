"""What one life of control leaves to the next, through the file: counters go on where they stood."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from controller.control.commands import Action
from controller.estimation import Warranty
from controller.plant.model import Plant
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.retained import load, save
from controller.runtime.retained_parts import (
    HOLDS_AFTER_LOSS,
    UNREADABLE,
    decided_parts,
    learned_parts,
    load_parts,
    retained_parts,
    take_over,
)
from controller.runtime.scan_state import first_state

MW = 1e6
AWAY_S = 600.0


@pytest.fixture
def worked(demo_plant: Plant) -> LocalPlant:
    """A plant that has discharged for a while."""
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(25):
        local.advance(1.0)
    for _ in range(30):
        local.command(Action.SET_ACTIVE_POWER, value=2 * MW)
        local.advance(1.0)
    return local


def _again(local: LocalPlant, path: Path, drop: str = ""):
    """Return the state that the next life begins with, and what it says of the past one."""
    tables, clock = local.tables, local.clock
    parts = retained_parts(tables, local.state, clock.mono_ns())
    parts.pop(drop, None)
    save(path, parts, utc_ns=clock.utc_ns())
    state = first_state(tables, (), 5)
    return state, take_over(tables, state, load(path), 5, clock.utc_ns() + int(AWAY_S * 1e9))


def test_warranty_counters_outlive_a_restart(worked: LocalPlant, tmp_path: Path) -> None:
    state, taken = _again(worked, tmp_path / "retained")
    before, after = worked.state.estimator.warranty, state.estimator.warranty

    assert taken.problem == ""
    assert (before.out_ah > 0.1).all()
    for field in fields(Warranty):
        away_s = AWAY_S if field.name == "uncounted_s" else 0.0
        assert getattr(after, field.name) == pytest.approx(getattr(before, field.name) + away_s), field.name


def test_warranty_counters_outlive_an_estimate_that_is_refused(worked: LocalPlant, tmp_path: Path) -> None:
    state, taken = _again(worked, tmp_path / "retained", drop="estimator")

    assert "estimator" in taken.problem
    assert np.array_equal(state.estimator.warranty.out_ah, worked.state.estimator.warranty.out_ah)


def test_what_was_retained_before_there_were_counters_starts_them_at_zero(worked: LocalPlant, tmp_path: Path) -> None:
    state, taken = _again(worked, tmp_path / "retained", drop="warranty")

    assert taken.problem == ""
    assert not state.estimator.warranty.out_ah.any()


def test_the_counters_are_points_of_each_rack(worked: LocalPlant) -> None:
    image = worked.state.image
    assert (image["rack.charge_out"].value > 0.1).all()
    assert (image["rack.energy_out"].value > 100.0 * image["rack.charge_out"].value).all()
    assert (image["rack.uncounted_time"].quality == 0).all()
    assert sum(image[f"rack.time_at_temperature_{k}"].value for k in range(6)) == pytest.approx(55.0, abs=12.0)


def test_what_was_decided_outlives_what_was_learned(worked: LocalPlant, tmp_path: Path) -> None:
    decided, learned = tmp_path / "retained", tmp_path / "learned"
    tables, utc_ns = worked.tables, worked.clock.utc_ns()
    save(decided, decided_parts(tables, worked.state, worked.clock.mono_ns()), utc_ns=utc_ns)
    save(learned, learned_parts(tables, worked.state), utc_ns=utc_ns - 60_000_000_000)
    whole = load_parts(decided, learned)
    assert UNREADABLE not in whole
    assert whole["learned_utc_ns"] == str(utc_ns - 60_000_000_000).encode()
    state = first_state(tables, (), 5)
    assert take_over(tables, state, whole, 5, utc_ns).problem == ""
    assert state.estimator.warranty.uncounted_s == pytest.approx(worked.state.estimator.warranty.uncounted_s + 60.0)

    learned.write_bytes(b"torn")
    parts = load_parts(decided, learned)
    assert b"learned" in parts[UNREADABLE]
    assert {"control", "alarms", "protection"} <= parts.keys()


def test_a_fast_stop_holds_the_plant_where_a_stop_a_limit_or_a_lock_out_may_be_lost(
    worked: LocalPlant, tmp_path: Path
) -> None:
    decided, learned = tmp_path / "retained", tmp_path / "learned"
    tables, utc_ns = worked.tables, worked.clock.utc_ns()

    def started() -> tuple[str, str]:
        state = first_state(tables, (), 5)
        taken = take_over(tables, state, load_parts(decided, learned), 5, utc_ns)
        return state.control.plant.fast_stop, taken.problem

    def keep() -> None:
        save(decided, decided_parts(tables, worked.state, worked.clock.mono_ns()), utc_ns=utc_ns)
        save(learned, learned_parts(tables, worked.state), utc_ns=utc_ns)

    assert started() == ("", ""), "the first start of all"
    keep()
    assert started() == ("", "")
    learned.write_bytes(learned.read_bytes()[:120])
    held_by, problem = started()
    assert (held_by, "learned" in problem) == ("", True), "estimates begin anew, nobody decided anything in them"
    keep()
    decided.write_bytes(decided.read_bytes()[:120])
    held_by, problem = started()
    assert (held_by, "retained" in problem) == (HOLDS_AFTER_LOSS, True)
    keep()
    decided.unlink()
    assert started() == (HOLDS_AFTER_LOSS, "it lacks its part 'control'")
