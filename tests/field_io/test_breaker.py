"""A dead unit is asked rarely, a living one always."""

from __future__ import annotations

from controller.field_io.breaker import Breaker

_MS = 1_000_000


def test_one_silence_is_no_death() -> None:
    breaker = Breaker(timeout_ns=300 * _MS)
    breaker.was_silent(0)

    assert breaker.may_ask(0)


def test_two_silences_rest_the_unit_for_twenty_timeouts() -> None:
    breaker = Breaker(timeout_ns=300 * _MS)
    breaker.was_silent(0)
    breaker.was_silent(500 * _MS)

    assert not breaker.may_ask(6_499 * _MS)
    assert breaker.may_ask(6_500 * _MS)


def test_an_answer_closes_it() -> None:
    breaker = Breaker(timeout_ns=300 * _MS)
    breaker.was_silent(0)
    breaker.was_silent(0)
    breaker.answered()

    assert breaker.may_ask(1)
    assert not breaker.is_open
