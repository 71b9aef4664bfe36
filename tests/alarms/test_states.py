"""The ISA-18.2 state table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.alarms.events import EventKind, kinds_of_change
from controller.alarms.states import ACKNOWLEDGED, TRANSITIONS, UNACKED, AlarmState, Condition, Overlay

S, C, O = AlarmState, Condition, Overlay  # noqa: E741 - a table is read by its columns

ISA_PATHS = [
    ("raise, acknowledge, return", [C.ACTIVE, "ack", C.NORMAL], [S.UNACKED_ACTIVE, S.ACKED_ACTIVE, S.NORMAL]),
    ("raise, return, acknowledge", [C.ACTIVE, C.NORMAL, "ack"], [S.UNACKED_ACTIVE, S.RETURNED_UNACKED, S.NORMAL]),
    ("raise, return, raise again", [C.ACTIVE, C.NORMAL, C.ACTIVE], [1, S.RETURNED_UNACKED, S.UNACKED_ACTIVE]),
    (
        "latch, acknowledge, reset",
        [C.ACTIVE, C.LATCHED, "ack", C.NORMAL],
        [1, S.LATCHED_UNACKED, S.LATCHED_ACKED, S.NORMAL],
    ),
    ("acknowledge, latch, reset", [C.ACTIVE, "ack", C.LATCHED, C.NORMAL], [1, 2, S.LATCHED_ACKED, S.NORMAL]),
    ("latch, reset without acknowledge", [C.ACTIVE, C.LATCHED, C.NORMAL], [1, 4, S.RETURNED_UNACKED]),
    ("latched and acknowledged, raised again", [C.ACTIVE, C.LATCHED, "ack", C.ACTIVE], [1, 4, 5, S.UNACKED_ACTIVE]),
    ("latched at start", [C.LATCHED], [S.LATCHED_UNACKED]),
]


@pytest.mark.parametrize(("name", "steps", "expected"), ISA_PATHS, ids=[p[0] for p in ISA_PATHS])
def test_an_alarm_walks_the_isa_paths(name, steps, expected):
    state = S.NORMAL
    walked = []
    for step in steps:
        state = S(ACKNOWLEDGED[state] if step == "ack" else TRANSITIONS[state, step, O.NONE])
        walked.append(state)
    assert walked == expected


@given(st.sampled_from(S), st.sampled_from(C))
def test_hiding_by_people_wins_over_every_condition(state, condition):
    assert TRANSITIONS[state, condition, O.SHELVED] == S.SHELVED
    assert TRANSITIONS[state, condition, O.OUT_OF_SERVICE] == S.OUT_OF_SERVICE


@given(st.sampled_from(S))
def test_suppression_by_design_hides_only_what_would_stand(state):
    assert TRANSITIONS[state, C.ACTIVE, O.SUPPRESSED] == S.SUPPRESSED
    assert TRANSITIONS[state, C.NORMAL, O.SUPPRESSED] == TRANSITIONS[state, C.NORMAL, O.NONE]


@given(st.sampled_from([S.SHELVED, S.SUPPRESSED, S.OUT_OF_SERVICE]))
def test_what_comes_out_of_hiding_is_new(state):
    assert TRANSITIONS[state, C.ACTIVE, O.NONE] == S.UNACKED_ACTIVE
    assert TRANSITIONS[state, C.LATCHED, O.NONE] == S.LATCHED_UNACKED
    assert TRANSITIONS[state, C.NORMAL, O.NONE] == S.NORMAL


@given(st.sampled_from(S), st.sampled_from(C), st.sampled_from(O))
def test_a_settled_alarm_stays(state, condition, overlay):
    settled = TRANSITIONS[state, condition, overlay]
    assert TRANSITIONS[settled, condition, overlay] == settled


@given(st.sampled_from(S), st.sampled_from(C))
def test_only_an_acknowledge_takes_an_unacknowledged_alarm_off_the_list(state, condition):
    if state in UNACKED:
        assert TRANSITIONS[state, condition, O.NONE] in UNACKED
    assert ACKNOWLEDGED[state] not in UNACKED


@given(st.sampled_from(S), st.sampled_from(S))
def test_every_change_has_a_name(old, new):
    if old != new:
        assert kinds_of_change(old, new)


def test_unshelving_a_standing_alarm_is_two_events():
    assert kinds_of_change(S.SHELVED, S.UNACKED_ACTIVE) == (EventKind.UNSHELVED, EventKind.RAISED)
    assert kinds_of_change(S.SHELVED, S.SUPPRESSED) == (EventKind.UNSHELVED, EventKind.SUPPRESSED)
