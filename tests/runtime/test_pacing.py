"""The scan's pace: the grid holds, missed points are skipped and counted, percentiles bracket the truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.pacing import Lateness, Pace


def test_a_scan_in_time_moves_one_period() -> None:
    pace = Pace(period_ns=100, next_ns=1_000)
    pace.begin(1_003)

    assert pace.finish(1_050) == 0
    assert pace.next_ns == 1_100


def test_an_overrun_skips_missed_points_and_counts_them() -> None:
    pace = Pace(period_ns=100, next_ns=1_000)

    assert pace.finish(1_350) == 3
    assert pace.next_ns == 1_400
    assert pace.overruns == 3


def test_a_scan_that_ends_on_the_next_deadline_has_missed_it() -> None:
    pace = Pace(period_ns=100, next_ns=1_000)
    pace.finish(1_100)

    assert pace.next_ns == 1_200


@given(st.lists(st.floats(2e-6, 900.0), min_size=1, max_size=50), st.sampled_from([0.5, 0.99, 0.999]))
def test_a_percentile_is_never_below_the_truth_and_at_most_a_bin_above(durations: list[float], share: float) -> None:
    lateness = Lateness()
    for duration_s in durations:
        lateness.add(duration_s)
    ordered = sorted(durations)
    truth = next(d for i, d in enumerate(ordered, start=1) if i >= share * len(ordered))

    assert truth * 0.999999 <= lateness.percentile_s(share) <= truth * 1.2590


def test_no_duration_gives_zero() -> None:
    assert Lateness().percentile_s(0.99) == 0.0


def test_what_is_long_ago_is_forgotten() -> None:
    lateness = Lateness(half=10)
    for duration_s in [1.0] * 20 + [0.001] * 20:
        lateness.add(duration_s)

    assert lateness.percentile_s(0.999) < 0.0013
    assert lateness.longest_s == 1.0
