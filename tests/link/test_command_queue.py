from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import LIMITS, STOPS, Action, Command, Refusal, Reply
from controller.link.command_queue import NS_PER_S, CommandQueue

NOW_NS = 1_000 * NS_PER_S
PRESENT_LIMIT_W = 10.0


def lowers(command: Command) -> bool:
    return isinstance(command.value, float) and command.value < PRESENT_LIMIT_W


@pytest.fixture
def queue() -> CommandQueue:
    return CommandQueue(lowers, capacity=4)


def done(command: Command, sequence: int = 7) -> Reply:
    return Reply(command.id, accepted=True, refusal=Refusal.NONE, text="", sequence=sequence)


def refusal(reply: Reply | None) -> Refusal:
    assert reply is not None
    assert not reply.accepted
    return reply.refusal


def test_commands_are_taken_once_in_order_of_arrival(queue, command) -> None:
    offered = [command(Action.START), command(), command(Action.STOP)]
    assert [queue.offer(c, NOW_NS) for c in offered] == [None] * 3
    assert len(queue) == 3
    assert queue.take(NOW_NS) == (offered, [])
    assert queue.take(NOW_NS) == ([], [])


def test_start_before_a_stop_does_not_undo_it(queue, command) -> None:
    for action in (Action.STOP, Action.START, Action.STOP):
        queue.offer(command(action), NOW_NS)
    assert [c.action for c in queue.take(NOW_NS).commands] == [Action.START, Action.STOP]


def test_full_is_busy_at_once_and_may_be_tried_again(queue, command) -> None:
    for _ in range(4):
        assert queue.offer(command(), NOW_NS) is None
    late = command()
    assert refusal(queue.offer(late, NOW_NS)) is Refusal.BUSY
    queue.take(NOW_NS)
    assert queue.offer(late, NOW_NS) is None


@pytest.mark.parametrize("action", sorted(STOPS))
def test_stop_is_refused_neither_for_fullness_nor_for_age(queue, command, action) -> None:
    for _ in range(4):
        queue.offer(command(), NOW_NS)
    stop = command(action, issued_mono_ns=0)
    assert queue.offer(stop, NOW_NS) is None
    taken = queue.take(NOW_NS)
    assert taken.commands[-1] == stop
    assert taken.refused == []


@pytest.mark.parametrize("action", sorted(LIMITS))
def test_falling_limit_gets_through_and_a_rising_one_queues_up(queue, command, action) -> None:
    for _ in range(4):
        queue.offer(command(), NOW_NS)
    assert queue.offer(command(action, value=3.0, issued_mono_ns=0), NOW_NS) is None
    assert refusal(queue.offer(command(action, value=30.0), NOW_NS)) is Refusal.BUSY


def test_limits_of_one_source_coalesce_and_those_of_others_stay(queue, command) -> None:
    limits = [
        command(Action.SET_EXPORT_LIMIT, value=5.0),
        command(Action.SET_EXPORT_LIMIT, value=4.0, user="bob"),
        command(Action.SET_IMPORT_LIMIT, value=3.0),
        command(Action.SET_EXPORT_LIMIT, value=20.0),  # a rise, later taken back
        command(Action.SET_EXPORT_LIMIT, value=6.0),
    ]
    for limit in limits:
        queue.offer(limit, NOW_NS)
    assert queue.take(NOW_NS).commands == limits[1:]


def test_coalesced_stops_all_get_the_reply(queue, command) -> None:
    stops = [command(Action.STOP) for _ in range(3)]
    for stop in stops:
        queue.offer(stop, NOW_NS)
    assert queue.take(NOW_NS).commands == [stops[-1]]
    replies = queue.settle(done(stops[-1]), NOW_NS)
    assert replies == [done(stop) for stop in stops]
    assert [queue.offer(stop, NOW_NS) for stop in stops] == replies


def test_stop_of_another_user_or_role_is_one_of_its_own(queue, command) -> None:
    """Control may refuse a viewer's stop; it must not take an operator's with it."""
    stops = [command(Action.STOP), command(Action.STOP, role="viewer"), command(Action.STOP, user="bob")]
    for stop in stops:
        queue.offer(stop, NOW_NS)
    assert queue.take(NOW_NS).commands == stops


@pytest.mark.parametrize("age_s", [5.1, 60.0, -1.1])
def test_old_or_future_commands_are_refused(queue, command, age_s) -> None:
    assert refusal(queue.offer(command(issued_mono_ns=NOW_NS - int(age_s * NS_PER_S)), NOW_NS)) is Refusal.TOO_OLD


def test_command_that_grew_old_while_the_scan_stood_is_refused(queue, command) -> None:
    old, stop = command(), command(Action.STOP)
    queue.offer(old, NOW_NS)
    queue.offer(stop, NOW_NS)
    taken = queue.take(NOW_NS + 6 * NS_PER_S)
    assert taken.commands == [stop]
    assert [(r.id, r.refusal) for r in taken.refused] == [(old.id, Refusal.TOO_OLD)]
    assert queue.offer(old, NOW_NS + 6 * NS_PER_S) == taken.refused[0]


def test_same_command_within_a_minute_gets_the_same_reply(queue, command) -> None:
    asked = command()
    assert queue.offer(asked, NOW_NS) is None
    assert queue.offer(asked, NOW_NS) is None  # still waiting: joins
    assert queue.take(NOW_NS).commands == [asked]
    assert queue.offer(asked, NOW_NS) is None  # taken, not answered
    assert queue.settle(done(asked), NOW_NS) == [done(asked)]
    assert queue.offer(asked, NOW_NS + 59 * NS_PER_S) == done(asked)
    assert queue.take(NOW_NS).commands == []
    assert refusal(queue.offer(asked, NOW_NS + 60 * NS_PER_S)) is Refusal.TOO_OLD  # forgotten, and judged anew


def test_id_of_another_command_is_refused(queue, command) -> None:
    asked = command()
    queue.offer(asked, NOW_NS)
    assert refusal(queue.offer(replace(asked, value=2.0), NOW_NS)) is Refusal.WRONG_STATE


def test_stop_under_a_used_id_is_carried_out_all_the_same(queue, command) -> None:
    asked = command()
    queue.offer(asked, NOW_NS)
    stop = command(Action.STOP, id=asked.id)
    assert queue.offer(stop, NOW_NS) is None
    first, second = queue.take(NOW_NS).commands
    assert first == asked
    assert second == replace(stop, id=second.id)
    assert second.id != asked.id
    assert queue.settle(done(second, 8), NOW_NS) == [replace(done(second, 8), id=asked.id)]
    assert queue.settle(done(first), NOW_NS) == [done(asked)]
    assert queue.offer(asked, NOW_NS) == done(asked)


def test_memory_is_bounded(command) -> None:
    queue = CommandQueue(lowers, memory_capacity=10)
    for _ in range(10):
        asked = command()
        assert queue.offer(asked, NOW_NS) is None
        queue.take(NOW_NS)
        queue.settle(done(asked), NOW_NS)
    assert refusal(queue.offer(command(), NOW_NS)) is Refusal.BUSY
    for _ in range(10):
        stop = command(Action.STOP)
        assert queue.offer(stop, NOW_NS) is None
        queue.take(NOW_NS)
        queue.settle(done(stop), NOW_NS)
    assert len(queue._known) <= 11
    assert queue.offer(command(), NOW_NS + 61 * NS_PER_S) is not None  # its own age: issued 61 s before
    assert len(queue._known) == 0


def test_reply_to_nothing_is_a_programmers_error(queue, command) -> None:
    with pytest.raises(AssertionError, match="not taken"):
        queue.settle(done(command()), NOW_NS)


MOVES = st.one_of(
    st.tuples(
        st.sampled_from([Action.START, Action.STOP, Action.SET_ACTIVE_POWER, Action.SET_EXPORT_LIMIT]),
        st.integers(0, 12),
        st.sampled_from([1.0, 5.0, 20.0]),
        st.sampled_from(["ann", "bob"]),
    ),
    st.just("scan"),
    st.just("wait"),
)


@given(moves=st.lists(MOVES, max_size=60))
def test_every_question_gets_exactly_one_answer(moves) -> None:
    queue = CommandQueue(lowers, capacity=3)
    now_ns, questions, answers = NOW_NS, 0, 0
    carried_out: list[Command] = []

    def scan() -> int:
        taken = queue.take(now_ns)
        carried_out.extend(taken.commands)
        replies = [*taken.refused, *(r for c in taken.commands for r in queue.settle(done(c), now_ns))]
        return len(replies)

    for move in moves:
        if move == "scan":
            answers += scan()
        elif move == "wait":
            now_ns += NS_PER_S
        else:
            action, number, value, user = move
            command = Command(f"id-{number}", "f", user, "operator", action, "Plant", value, NOW_NS)
            known = queue._known.get(command.id)
            reply = queue.offer(command, now_ns)
            urgent = action is Action.STOP or (action is Action.SET_EXPORT_LIMIT and lowers(command))
            assert not (urgent and reply is not None and not reply.accepted)
            joins = reply is None and known is not None and known.command == command  # shares the answer
            questions += not joins
            answers += reply is not None
    answers += scan()
    assert answers == questions
    assert len(queue) == 0
    assert len({c.id for c in carried_out}) == len(carried_out)  # never twice
