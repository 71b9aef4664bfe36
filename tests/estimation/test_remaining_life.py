"""Remaining life: nothing until it is earned, then an interval that holds for every way in which cells fade."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from controller.estimation.remaining_life import (
    LEAST_YEARS,
    LifeHistoryError,
    RemainingLife,
    follow_life,
    from_bytes,
    initial_life,
    remaining_life,
    to_bytes,
)

DAY_S = 86400.0
YEAR_DAYS = 365.25
END = 0.80
SIGMA = 0.01
RACKS = 20
Fade = Callable[[float], float]


def knee(years: float) -> float:
    """A straight fade that doubles after 88 %."""
    straight = 1.0 - 0.02 * years
    return straight if straight > 0.88 else 0.88 - 0.04 * (years - 6.0)


FADES: dict[str, tuple[Fade, float]] = {
    "straight": (lambda years: 1.0 - 0.025 * years, 8.0),
    "square root": (lambda years: 1.0 - 0.045 * years**0.5, (0.2 / 0.045) ** 2),
    "knee": (knee, 8.0),
}


def lived(fade: Fade, years: float, seed: int, pairs_a_day: float = 0.5) -> list[tuple[float, RemainingLife]]:
    """Return what is said each ten days; readings are off by what lasts and by what comes anew each month."""
    rng = np.random.default_rng(seed)
    lasting = 0.7 * SIGMA * rng.standard_normal(RACKS)
    history, said, ratio = initial_life(RACKS), [], np.ones(RACKS)
    sigma = np.full(RACKS, SIGMA)
    for day in range(0, int(years * YEAR_DAYS), 10):
        if day % 30 == 0:
            ratio = fade(day / YEAR_DAYS) + lasting + 0.7 * SIGMA * rng.standard_normal(RACKS)
        pairs = np.full(RACKS, int(day * pairs_a_day), dtype=np.int64)
        history = follow_life(history, ratio, sigma, pairs, 10 * DAY_S)
        said.append((day / YEAR_DAYS, remaining_life(history, ratio, sigma, np.full(RACKS, END))))
    return said


@pytest.mark.parametrize("name", FADES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_once_earned_the_interval_holds_the_truth(name: str, seed: int):
    fade, ends_at = FADES[name]
    inside, earned, widths = 0, 0, []
    for years, life in lived(fade, 0.95 * ends_at, seed):
        left_days = (ends_at - years) * YEAR_DAYS
        known = life.earned
        earned += int(known.sum())
        inside += int(((life.low_days <= left_days) & (left_days <= life.high_days))[known].sum())
        widths += list((life.high_days - life.low_days)[known] / left_days)
    assert earned > 1000
    assert inside >= 0.95 * earned
    assert np.median(widths) < 8.0  # an interval, not a shrug


@pytest.mark.parametrize("name", FADES)
def test_nothing_is_said_in_the_first_year(name: str):
    assert not any(life.earned.any() for years, life in lived(FADES[name][0], LEAST_YEARS, 4) if years < LEAST_YEARS)


def test_a_rack_that_does_not_fade_hardly_ever_earns_one():
    claims = [life.earned.mean() for _, life in lived(lambda _: 0.97, 5.0, 5)]
    assert np.mean(claims) < 0.05


@pytest.mark.parametrize("pairs_a_day", [0.0, 1.0 / 300.0])
def test_without_swings_time_alone_earns_nothing(pairs_a_day: float):
    said = lived(FADES["straight"][0], 4.0, 6, pairs_a_day)
    assert not any(life.earned.any() for _, life in said)


@pytest.mark.parametrize(("fade_a_year", "earned_by_years"), [(0.02, 1.2), (0.01, 1.8)])
def test_a_plain_fade_is_earned_in_time(fade_a_year: float, earned_by_years: float):
    earned = [
        life.earned.mean() for years, life in lived(lambda y: 1.0 - fade_a_year * y, 2.5, 8) if years >= earned_by_years
    ]
    assert earned[0] >= 0.5
    assert earned[-1] == 1.0


def test_what_is_not_known_is_no_number_in_either_bound():
    life = lived(FADES["straight"][0], 0.5, 7)[-1][1]
    assert np.isnan(life.low_days).all()
    assert np.isnan(life.high_days).all()


def test_a_history_goes_on_by_rack_name_over_restarts_and_absences():
    history = initial_life(2)
    for day in range(0, 400, 10):
        history = follow_life(
            history, np.array([1.0, 0.9]), np.full(2, 0.01), np.full(2, day, dtype=np.int64), 10 * DAY_S
        )
    later = from_bytes(to_bytes(history, ["A", "B"]), ["B", "new"], 90 * DAY_S)
    assert later.weight.tolist() == [history.weight[1], 0.0]
    assert later.years[0] == pytest.approx(history.years[1] + 90 / YEAR_DAYS)
    after = follow_life(later, np.array([0.9, 1.0]), np.full(2, 0.01), np.full(2, 20, dtype=np.int64), 10 * DAY_S)
    assert (after.weight > later.weight).all()  # an estimator that started anew counts its pairs from none
    with pytest.raises(LifeHistoryError, match="history of capacities"):
        from_bytes(b"[]\n", ["A"], 0.0)
