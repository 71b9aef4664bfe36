"""Quality of a value: how far it may be believed, and how age takes belief away.

Rule: a value is as good as its source said, until it grows old. Older than 1.5 of its data periods it is uncertain,
older than 3 it is lost. Age is judged at every read, by whoever reads, so nothing that stands still can stay good.
Worse qualities have higher numbers: the quality of a computed value is the maximum over its inputs.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere


class Quality(IntEnum):
    """Quality codes as stored (u1)."""

    GOOD = 0
    SUBSTITUTED = 1  # forced by a person; visible as such on every face
    UNCERTAIN = 2  # older than it should be
    NO_COMMUNICATION = 3  # lost: older than three periods, or the link is down
    DEVICE_FAILURE = 4  # sentinel, NaN, out of its possible range, wrong frame
    NEVER_READ = 5  # waiting for the first value
    ABSENT = 6  # no such equipment (padding of ragged arrays, signal not served)


WORST_USABLE = Quality.UNCERTAIN
"""Up to this quality a value may be computed with; protection and limits take GOOD and UNCERTAIN ones."""

_WORST_USABLE = np.uint8(WORST_USABLE)  # comparing arrays with an enum costs five times as much


def usable(quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """True where a value may be computed with."""
    return quality <= _WORST_USABLE


def judge(
    quality: NDArray[np.uint8],
    time_ns: NDArray[np.int64],
    now_ns: int,
    uncertain_after_ns: NDArray[np.int64],
    bad_after_ns: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return the quality that a value has *now*: its own, or worse by age.

    All arrays broadcast together; times are monotonic nanoseconds. Never improves a quality.
    """
    age_ns = now_ns - time_ns
    late = age_ns > uncertain_after_ns
    if not anywhere(late):
        return quality
    aged = late.astype(np.uint8) * np.uint8(Quality.UNCERTAIN)
    aged[age_ns > bad_after_ns] = Quality.NO_COMMUNICATION
    worse: NDArray[np.uint8] = np.maximum(quality, aged)
    return worse


def of_all(members: NDArray[np.bool_], quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the quality [G] of what needs all members [G, n] of its group, as a sum does: the worst of them."""
    of_members = np.where(members, quality, np.uint8(Quality.GOOD))
    worst: NDArray[np.uint8] = of_members.max(axis=1, initial=np.uint8(Quality.GOOD))
    return worst


def of_known(members: NDArray[np.bool_], quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the quality [G] of what is taken over those members [G, n] that are known, as a count or a mean is.

    All usable: the worst of them. Some: UNCERTAIN. None: the best of the bad ones. A group without members is good.
    """
    known = members & usable(quality)
    worst = of_all(known, quality)
    best = np.where(members, quality, np.uint8(Quality.ABSENT)).min(axis=1, initial=np.uint8(Quality.ABSENT))
    some = np.where((known != members).any(axis=1), np.maximum(worst, _WORST_USABLE), worst)
    result: NDArray[np.uint8] = np.where(members.any(axis=1) & ~known.any(axis=1), best, some)
    return result
