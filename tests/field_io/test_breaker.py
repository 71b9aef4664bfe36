"""A dead unit is asked rarely, a living one always, a flapping one is not believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.field_io.breaker import Breaker

_MS = 1_000_000


def _failed(times: int) -> Breaker:
    breaker = Breaker(rest_ns=6_000 * _MS)
    for _ in range(times):
        breaker.failed(500 * _MS)
    return breaker


def test_one_failure_is_no_death():
    breaker = _failed(1)

    assert breaker.may_ask(0)
    assert breaker.is_believed
    assert breaker.is_suspect


def test_two_failures_rest_the_unit():
    breaker = _failed(2)

    assert not breaker.may_ask(6_499 * _MS)
    assert breaker.may_ask(6_500 * _MS)


def test_a_sound_answer_closes_it():
    breaker = _failed(2)
    breaker.answered()

    assert breaker.may_ask(1)
    assert not breaker.is_suspect


def test_an_echo_or_an_exception_does_not_make_it_believed():
    breaker = _failed(2)
    for _ in range(10):
        breaker.answered()

    assert not breaker.is_believed


def test_after_an_outage_of_any_length_it_is_believed_again_at_the_fifth_good_poll():
    breaker = _failed(100)
    believed = []
    for _ in range(6):
        breaker.good_poll()
        believed.append(breaker.is_believed)

    assert believed == [False, False, False, False, True, True]


def test_a_unit_that_fails_after_every_fourth_good_poll_is_never_believed_again():
    breaker = _failed(2)
    for _ in range(50):
        for _ in range(4):
            breaker.good_poll()
            assert not breaker.is_believed
        breaker.failed(0)


@given(st.lists(st.booleans(), max_size=40))
def test_five_good_polls_in_a_row_are_always_enough(history):
    breaker = Breaker(rest_ns=1)
    for is_good in history:
        breaker.good_poll() if is_good else breaker.failed(0)
    for _ in range(5):
        breaker.good_poll()

    assert breaker.is_believed
    assert not breaker.is_suspect
