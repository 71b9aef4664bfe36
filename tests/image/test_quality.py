"""Age takes belief away, at every read, and never gives it back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.image.quality import Quality, judge, usable

_S = 1_000_000_000


def _judged(quality: Quality, age_s: float, uncertain_s: float = 1.5, bad_s: float = 3.0) -> int:
    now_ns = 100 * _S
    return int(
        judge(
            np.array([quality], np.uint8),
            np.array([now_ns - round(age_s * _S)]),
            now_ns,
            np.array([round(uncertain_s * _S)]),
            np.array([round(bad_s * _S)]),
        )[0]
    )


def test_a_value_goes_from_good_over_uncertain_to_lost() -> None:
    assert _judged(Quality.GOOD, 1.0) == Quality.GOOD
    assert _judged(Quality.GOOD, 1.5) == Quality.GOOD
    assert _judged(Quality.GOOD, 1.6) == Quality.UNCERTAIN
    assert _judged(Quality.GOOD, 3.0) == Quality.UNCERTAIN
    assert _judged(Quality.GOOD, 3.1) == Quality.NO_COMMUNICATION


def test_a_fresh_sentinel_stays_a_device_failure() -> None:
    assert _judged(Quality.DEVICE_FAILURE, 0.0) == Quality.DEVICE_FAILURE


@given(st.sampled_from(Quality), st.floats(0, 1e6), st.floats(0, 1e6))
def test_growing_older_never_improves_a_quality(quality: Quality, age_s: float, more_s: float) -> None:
    assert quality <= _judged(quality, age_s) <= _judged(quality, age_s + more_s)


def test_only_good_substituted_and_uncertain_values_are_usable() -> None:
    qualities = np.array(list(Quality), np.uint8)

    assert [Quality(q) for q in qualities[usable(qualities)]] == [
        Quality.GOOD,
        Quality.SUBSTITUTED,
        Quality.UNCERTAIN,
    ]
