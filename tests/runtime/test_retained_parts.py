"""What one life of control leaves to the next, through the file: counters go on where they stood."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from controller.control.commands import Action
from controller.control.limits.poi import Limit
from controller.estimation import Warranty
from controller.plant.model import Plant
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.retained import NUMBER, load, mark_behind, save
from controller.runtime.retained_parts import (
    DECIDED,
    ENDED,
    HOLDS_AFTER_LOSS,
    UNREADABLE,
    decided_parts,
    died,
    learned_parts,
    load_parts,
    number_of,
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


@dataclass
class Kept:
    """Both files and the spare copy of a plant, and what the next start makes of them."""

    local: LocalPlant
    folder: Path
    number: int = 0

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.folder / "retained", self.folder / "learned", self.folder / "spare"

    def parts(self, limit_w: float) -> dict[str, bytes]:
        """A further decision: another limit."""
        self.number += 1
        state = self.local.state
        state.control.export_limits.set("utility", Limit(limit_w))
        parts = decided_parts(self.local.tables, state, self.local.clock.mono_ns())
        return parts | {NUMBER: str(self.number).encode()}

    def keep(self, path: Path, parts: dict[str, bytes]) -> None:
        save(path, parts, utc_ns=self.local.clock.utc_ns())

    def learn(self) -> None:
        learned = learned_parts(self.local.tables, self.local.state)
        self.keep(self.files[1], learned | {DECIDED: str(self.number).encode()})

    def started(self) -> tuple[float, str, str, int]:
        """Return limit, holder of the fast stop, problem and number of the next start."""
        state, parts = first_state(self.local.tables, (), 5), load_parts(*self.files)
        taken = take_over(self.local.tables, state, parts, 5, self.local.clock.utc_ns())
        plant = state.control.plant
        assert plant.auto_start_done is bool(plant.fast_stop), "held, it is not started by itself after a reset"
        return state.control.export_limits.lowest_w, plant.fast_stop, taken.problem, number_of(parts)


@pytest.fixture
def kept(worked: LocalPlant, tmp_path: Path) -> Kept:
    return Kept(worked, tmp_path)


def test_the_newer_of_disk_and_memory_is_believed(kept: Kept) -> None:
    decided, _, spare = kept.files
    kept.keep(decided, kept.parts(2 * MW))
    kept.learn()
    assert kept.started() == (2 * MW, "", "", 1)
    kept.keep(spare, kept.parts(1 * MW))
    mark_behind(decided)
    assert kept.started() == (1 * MW, "", "", 2), "the disk was full"
    kept.keep(decided, kept.parts(0.5 * MW))
    assert kept.started() == (0.5 * MW, "", "", 3), "the memory was"


def test_what_is_readable_but_older_than_what_was_decided_holds_the_plant(kept: Kept) -> None:
    decided, _, _ = kept.files
    kept.keep(decided, kept.parts(2 * MW))
    kept.learn()
    mark_behind(decided)
    limit_w, holder, problem, _ = kept.started()
    assert (limit_w, holder) == (2 * MW, HOLDS_AFTER_LOSS), "what is known is still taken over"
    assert "older than what was decided" in problem

    old = kept.parts(2 * MW)
    kept.parts(1 * MW)
    kept.learn()  # this save succeeded, or somebody has put an old file back
    kept.keep(decided, old)
    limit_w, holder, problem, number = kept.started()
    assert (limit_w, holder, number) == (2 * MW, HOLDS_AFTER_LOSS, 3)
    assert "1 saves are missing" in problem


def test_a_broken_file_is_told_and_the_copy_in_memory_is_used(kept: Kept) -> None:
    decided, _, spare = kept.files
    kept.learn()
    kept.keep(spare, kept.parts(1 * MW))
    decided.write_bytes(b"torn")
    limit_w, holder, problem, _ = kept.started()
    assert (limit_w, holder, "set aside" in problem) == (1 * MW, "", True)


def test_what_the_estimates_could_not_be_saved_for_holds_nothing(kept: Kept) -> None:
    kept.keep(kept.files[0], kept.parts(2 * MW))
    kept.learn()
    mark_behind(kept.files[1])
    assert kept.started() == (2 * MW, "", "", 1)


def test_a_control_that_was_not_stopped_has_died() -> None:
    assert not died({}), "the first start of all"
    assert died({"control": b""})
    assert not died({"control": b"", ENDED: b"stopped"})
