"""A byte stream is cut into the same frames however it arrives, and a broken header is never skipped."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.errors import FrameError
from controller.modbus.mbap import FRAME_BYTES_MAX, Frame, FrameBuffer, frame

frames = st.lists(
    st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=1, max_size=253)), max_size=14
)


def _stream(content: list[Frame]) -> bytes:
    return b"".join(frame(*item) for item in content)


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def _read(segments: list[bytes]) -> tuple[list[Frame], bool]:
    """Return the frames, those before a broken header included, and whether the stream broke."""
    buffer, found = FrameBuffer(), list[Frame]()
    try:
        for segment in segments:
            found.extend(buffer.feed(segment))
    except FrameError:
        return found, True
    assert buffer.pending_bytes == sum(map(len, segments)) - len(_stream(found))
    return found, False


def test_a_frame_is_a_header_and_its_pdu() -> None:
    assert frame(0x1234, 0x11, b"\x03\x00\x6b\x00\x03") == bytes.fromhex("1234 0000 0006 11 03 006b 0003")


@given(frames, st.lists(st.integers(0, 10_000), max_size=20))
def test_cuts_do_not_matter(content: list[Frame], cuts: list[int]) -> None:
    assert _read(_cut(_stream(content), cuts)) == (content, False)


@given(frames)
def test_byte_by_byte_is_the_same(content: list[Frame]) -> None:
    buffer = FrameBuffer()
    found: list[Frame] = []
    for position in range(len(stream := _stream(content))):
        found.extend(buffer.feed(stream[position : position + 1]))
        assert buffer.pending_bytes < FRAME_BYTES_MAX
    assert found == content


@given(frames, st.binary(min_size=7, max_size=300), st.lists(st.integers(0, 10_000), max_size=20))
def test_garbage_behind_good_frames_breaks_the_stream_at_the_same_place(
    content: list[Frame], garbage: bytes, cuts: list[int]
) -> None:
    stream = _stream(content) + b"\x00\x01\x00\x01" + garbage
    assert _read(_cut(stream, cuts)) == (content, True)


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=10))
def test_any_bytes_give_frames_or_a_frame_error(stream: bytes, cuts: list[int]) -> None:
    whole, in_parts = _read([stream]), _read(_cut(stream, cuts))
    assert whole == in_parts
    assert _stream(whole[0]) == stream[: len(_stream(whole[0]))]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("0001 0001 0006 11", "protocol id 1"),
        ("0001 0000 0000 11", "length 0"),
        ("0001 0000 0001 11", "length 1"),
        ("0001 0000 00ff 11", "length 255"),
        ("ffff ffff ffff ff", "protocol id 65535"),
    ],
)
def test_a_broken_header_is_named_and_stays_broken(header: str, text: str) -> None:
    buffer = FrameBuffer()
    with pytest.raises(FrameError, match=text):
        list(buffer.feed(bytes.fromhex(header)))
    with pytest.raises(FrameError, match=text):
        list(buffer.feed(frame(2, 1, b"\x03")))


@pytest.mark.parametrize("size", [1, 253])
def test_the_shortest_and_the_longest_pdu_pass(size: int) -> None:
    assert list(FrameBuffer().feed(frame(0, 255, bytes(size)))) == [(0, 255, bytes(size))]
