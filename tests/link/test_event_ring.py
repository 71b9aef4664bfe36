from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.link.event_ring import EVENT, EventReader, EventWriter, no_events, user_number

RECORDS = 8


def ring(first: int = 1) -> tuple[EventWriter, EventReader]:
    records = np.zeros(RECORDS * EVENT.itemsize, np.uint8)
    head = memoryview(bytearray(8)).cast("Q")
    return EventWriter(records, head, first), EventReader(records, head, first)


def events(*codes: int) -> np.ndarray:
    made = np.zeros(len(codes), EVENT)
    made["code"] = codes
    made["cell"] = -1
    return made


def test_events_come_in_order_with_their_numbers() -> None:
    writer, reader = ring(first=100)
    assert writer.append(events(7, 8)) == 100
    assert writer.append(events(9)) == 102
    batch = reader.read(0)
    assert list(batch.records["number"]) == [100, 101, 102]
    assert list(batch.records["code"]) == [7, 8, 9]
    assert (batch.next_number, batch.lost, batch.restarted) == (103, 0, False)
    assert len(reader.read(batch.next_number).records) == 0


def test_a_gap_is_counted() -> None:
    writer, reader = ring()
    writer.append(events(0))
    cursor = reader.read(0).next_number
    for code in range(RECORDS + 3):
        writer.append(events(code))
    batch = reader.read(cursor)
    assert list(batch.records["code"]) == list(range(3, RECORDS + 3))
    assert batch.lost == 3


def test_more_events_than_places_at_once() -> None:
    writer, reader = ring()
    cursor = reader.read(0).next_number
    assert writer.append(events(*range(20))) == 1
    batch = reader.read(cursor)
    assert list(batch.records["code"]) == list(range(12, 20))
    assert batch.lost == 12


@pytest.mark.parametrize("cursor", [99, 2**63, 10**30, -1])
def test_cursor_of_another_start_begins_anew(cursor: int) -> None:
    writer, reader = ring(first=100)
    writer.append(events(1))
    batch = reader.read(cursor)
    assert batch.restarted
    assert list(batch.records["number"]) == [100]
    assert batch.lost == 0


def test_reader_between_any_two_stores_never_sees_a_torn_event() -> None:
    writer, reader = ring()
    writer.append(events(*range(RECORDS)))
    for written, _ in enumerate(writer.stores(events(*range(100, 105))), start=1):
        batch = reader.read(1)
        overwritten = min(written, 5)
        if batch.next_number == RECORDS + 1:  # head not yet moved
            assert list(batch.records["code"]) == list(range(overwritten, RECORDS))
        else:
            assert list(batch.records["code"]) == [*range(5, RECORDS), *range(100, 105)]
        assert len(batch.records) + batch.lost == batch.next_number - 1


def test_half_written_record_is_dropped() -> None:
    writer, reader = ring()
    writer.append(events(1, 2, 3))
    writer._ring["value"][2] = 5.0  # number right, contents not
    batch = reader.read(0)
    assert list(batch.records["code"]) == [1, 3]
    assert batch.lost == 1


@given(sizes=st.lists(st.integers(0, 20), max_size=20), reads=st.lists(st.booleans(), min_size=20, max_size=20))
def test_every_event_is_delivered_once_or_counted(sizes, reads) -> None:
    writer, reader = ring(first=5)
    cursor, delivered, lost = 5, 0, 0
    for size, reads_now in zip(sizes, reads, strict=False):
        writer.append(events(*range(size)))
        if reads_now:
            batch = reader.read(cursor)
            numbers = list(batch.records["number"])
            assert numbers == sorted(set(numbers))
            assert all(cursor <= number < batch.next_number for number in numbers)
            cursor, delivered, lost = batch.next_number, delivered + len(numbers), lost + batch.lost
            assert delivered + lost == cursor - 5


def test_users_are_told_apart_and_the_controller_is_none() -> None:
    assert user_number("") == 0
    assert len({user_number(user) for user in ("ann", "bob", "Ann", "")}) == 4


def test_no_ring_keeps_the_cursor() -> None:
    batch = no_events(42)
    assert (len(batch.records), batch.next_number, batch.lost) == (0, 42, 0)
