"""What speaks for and against a current: blocks in, doubt and its size out."""

from __future__ import annotations

import numpy as np

from controller.estimation.current_doubt import Change, CurrentDoubt, counted, doubtful_voltage, initial_doubt, judge

OHM = np.array([0.001])
BLOCK_S = np.array([30.0])


def block(misfit_v: float, resistive_v: float, error_v: float = 0.003, bend_v: float = 0.0) -> Change:
    one = np.ones(1)
    return Change(misfit_v * one, resistive_v * one, 0.0 * one, error_v * one, bend_v * one, np.ones(1, dtype=bool))


def after(was: CurrentDoubt, change: Change, far: float = 0.0, residual_v: float = 0.0) -> CurrentDoubt:
    return judge(was, change, np.array([far]), np.array([residual_v]), OHM, BLOCK_S)


FROZEN, REVERSED, FITS, QUIET = block(0.05, 0.0), block(-0.08, 0.04), block(0.002, 0.04), block(0.001, 0.001)


def test_two_changes_that_the_current_does_not_explain_make_it_doubtful() -> None:
    for wrong in (FROZEN, REVERSED):
        once = after(initial_doubt(1), wrong)
        assert once.suspected[0]
        assert not once.doubted[0]
        assert after(once, wrong).doubted[0]


def test_a_change_that_fits_clears_a_single_contradiction() -> None:
    assert not after(after(initial_doubt(1), FROZEN), FITS).suspected[0]


def test_a_voltage_beyond_the_gate_is_enough() -> None:
    assert after(initial_doubt(1), QUIET, far=1.2, residual_v=0.1).doubted[0]


def test_silence_does_not_clear_a_doubt_but_three_fitting_changes_do() -> None:
    doubt = after(initial_doubt(1), QUIET, far=1.2, residual_v=0.1)
    for _ in range(100):
        doubt = after(doubt, QUIET)
    assert doubt.doubted[0]
    twice = after(after(doubt, FITS), FITS)
    assert twice.doubted[0]
    assert not after(twice, FITS).suspected[0]
    assert after(after(twice, FROZEN), FITS).doubted[0]


def test_a_small_change_speaks_neither_way() -> None:
    assert not after(initial_doubt(1), block(0.005, 0.0)).suspected[0]
    assert after(initial_doubt(1), block(0.0, 0.005)).confirmed[0] == 0.0


def test_a_knee_that_the_bounds_reach_moves_the_voltage_without_any_doubt() -> None:
    knee = block(0.05, 0.0, bend_v=0.03)
    assert not after(initial_doubt(1), knee).suspected[0]


def test_an_unknown_current_counts_in_line_since_it_was_last_confirmed() -> None:
    doubt = initial_doubt(1)
    for _ in range(10):
        doubt = after(doubt, QUIET)
    doubt, first = counted(after(doubt, QUIET, far=2.0, residual_v=0.1), np.array([280.0]))
    assert np.isclose(first[0], 100.0 * 11 * 30.0 / 3600.0 / 280.0)
    doubt, second = counted(after(doubt, QUIET), np.array([280.0]))
    assert np.isclose(np.hypot(first, second)[0], 100.0 * 12 * 30.0 / 3600.0 / 280.0)
    assert doubtful_voltage(doubt, OHM, BLOCK_S)[0] > 0.1**2
    assert doubtful_voltage(initial_doubt(1), OHM, BLOCK_S)[0] == 0.0
