"""What the kernel says of UTC is passed on, and nothing is made up where it says nothing."""

from __future__ import annotations

import ctypes

import pytest

from controller.runtime import clock
from controller.runtime.clock import TimeQuality, time_quality


class Kernel:
    """adjtimex by hand."""

    def __init__(self, status: int, answer: int = 0) -> None:
        self._status, self._answer = status, answer

    def adjtimex(self, timex: ctypes.Array[ctypes.c_char]) -> int:
        assert timex.raw[:4] == bytes(4)  # modes 0: nothing is set
        ctypes.c_int.from_buffer(timex, 40).value = self._status
        return self._answer


@pytest.mark.parametrize(
    ("kernel", "quality"),
    [
        (Kernel(0x0001), TimeQuality.SYNCHRONISED),
        (Kernel(0x2001), TimeQuality.SYNCHRONISED),
        (Kernel(0x0040, 5), TimeQuality.NOT_SYNCHRONISED),
        (Kernel(0, -1), TimeQuality.UNKNOWN),
        (None, TimeQuality.UNKNOWN),
    ],
)
def test_the_kernels_word_is_the_quality(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel | None, quality: TimeQuality
) -> None:
    monkeypatch.setattr(clock, "_LIBC", kernel)

    assert time_quality() is quality


def test_this_machine_answers() -> None:
    assert time_quality() in set(TimeQuality)
