"""Welds are told from samples of state and current that are taken at different moments, at any period."""

from __future__ import annotations

import numpy as np
import pytest

from controller.control.open_racks import OpenRacks, Sampled
from controller.plant.signals import ContactorState

MS = 1_000_000
OPENS_MS = 10_000
PERIODS_MS = [(50, 100, 100), (250, 1000, 1000), (250, 1000, 2000), (1000, 1000, 1000), (1000, 250, 5000)]


def watched(periods_ms: tuple[int, int, int], offset_ms: int, *, welded: bool) -> OpenRacks:
    """Rack 0 trips at 10 s, rack 1 goes on; the current is sampled `offset_ms` apart from the state."""
    scan_ms, current_ms, state_ms = periods_ms
    racks, tripped = OpenRacks(np.array([0, 0])), np.array([True, False])
    for now_ms in range(2000, 30_000, scan_ms):
        state_at = now_ms - now_ms % state_ms
        current_at = now_ms - (now_ms - offset_ms) % current_ms
        state = ContactorState.OPEN if state_at >= OPENS_MS else ContactorState.CLOSED
        flows = welded or current_at < OPENS_MS
        contactor = Sampled(np.array([state, ContactorState.CLOSED], np.int32), np.full(2, state_at * MS))
        flowing = Sampled(np.array([flows, True]), np.full(2, current_at * MS))
        racks.watch(contactor, flowing, tripped & (now_ms >= OPENS_MS))
    return racks


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("periods_ms", PERIODS_MS, ids=str)
def test_a_rack_that_opens_is_no_weld_at_any_phase_of_its_polls(periods_ms: tuple[int, int, int], offset: int) -> None:
    racks = watched(periods_ms, offset * periods_ms[1] // 8, welded=False)
    assert not racks.welded.any()
    assert not racks.stuck.any()


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("periods_ms", PERIODS_MS, ids=str)
def test_a_weld_is_found_at_any_phase_of_its_polls(periods_ms: tuple[int, int, int], offset: int) -> None:
    racks = watched(periods_ms, offset * periods_ms[1] // 8, welded=True)
    assert racks.welded.tolist() == racks.stuck.tolist() == [True, False]


def test_one_report_of_open_is_not_believed_against_current() -> None:
    racks, tripped = OpenRacks(np.array([0])), np.array([True])
    reported = np.full(1, 1000 * MS)
    for state, at_ms in [(ContactorState.CLOSED, 500), *((ContactorState.OPEN, 1000 + 250 * n) for n in range(20))]:
        contactor = Sampled(np.array([state], np.int32), np.minimum(reported, at_ms * MS))
        racks.watch(contactor, Sampled(np.array([True]), np.full(1, at_ms * MS)), tripped)
    assert not racks.welded.any()
