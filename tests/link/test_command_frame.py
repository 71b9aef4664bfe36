from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action, Command, Refusal, Reply
from controller.link.command_frame import (
    FRAME_MAX_BYTES,
    FrameError,
    FrameSplitter,
    command_frame,
    command_of,
    reply_frame,
    reply_of,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COMMANDS = st.builds(
    Command,
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
    face=NAMES,
    user=NAMES,
    role=NAMES,
    action=st.sampled_from(Action),
    target=NAMES,
    value=st.one_of(FINITE, st.integers(-(2**63), 2**63 - 1), NAMES, st.booleans(), st.none()),
    issued_mono_ns=st.integers(0, 2**63 - 1),
    timeout_s=st.one_of(st.none(), FINITE),
    fallback=st.one_of(st.none(), FINITE),
)
REPLIES = st.builds(
    Reply,
    id=st.text(st.characters(exclude_categories=["Cs"]), max_size=64),
    accepted=st.booleans(),
    refusal=st.sampled_from(Refusal),
    text=NAMES,
    sequence=st.integers(0, 2**63 - 1),
)
FIELDS = {
    "id": "a",
    "face": "f",
    "user": "u",
    "role": "r",
    "action": "start",
    "target": "Plant",
    "value": None,
    "issued_mono_ns": 5,
}


def frames_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    splitter, frames = FrameSplitter(), []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for begin, end in itertools.pairwise(edges):
        splitter.feed(stream[begin:end])
        while (frame := splitter.next_frame()) is not None:
            frames.append(frame)
    return frames


@given(commands=st.lists(COMMANDS, max_size=4), cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_commands_survive_any_cutting_of_the_stream(commands, cuts) -> None:
    stream = b"".join(command_frame(command) for command in commands)
    received = [command_of(frame) for frame in frames_of(stream, cuts)]
    assert received == commands
    assert [type(command.value) for command in received] == [type(command.value) for command in commands]


@given(reply=REPLIES)
def test_replies_survive(reply) -> None:
    (frame,) = frames_of(reply_frame(reply), [])
    received = reply_of(frame)
    assert received == reply
    assert isinstance(received.refusal, Refusal)


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_frames_or_an_error(data, cuts) -> None:
    try:
        frames = frames_of(data, cuts)
    except FrameError:
        return
    for frame in frames:
        with pytest.raises(FrameError, match="not a command"):
            command_of(frame)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from([*FIELDS, "timeout_s", "fallback", "other"]), JSON, max_size=3))
def test_any_json_is_an_exact_command_or_an_error(changes) -> None:
    fields = {**FIELDS, **changes}
    try:
        command = command_of(json.dumps(fields).encode())
    except FrameError:
        return
    assert {**FIELDS, "timeout_s": None, "fallback": None, **changes} == command_fields(command)
    for number in (command.value, command.timeout_s, command.fallback):
        assert not isinstance(number, float) or math.isfinite(number)


def command_fields(command: Command) -> dict[str, object]:
    return {name: getattr(command, name) for name in (*FIELDS, "timeout_s", "fallback")}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        "[" * 60_000,
        '{"id":' * 9_000,
        '"\\ud800"',
        json.dumps(FIELDS)[:-1] + ', "value": NaN}',
        json.dumps({**FIELDS, "value": math.inf}),
        json.dumps(FIELDS).replace("null", "1e999"),
        json.dumps(FIELDS).replace("null", "9" * 4000),
        json.dumps({**FIELDS, "value": [1]}),
        json.dumps({**FIELDS, "value": "x" * 4001}),
        json.dumps({**FIELDS, "action": "explode"}),
        json.dumps({**FIELDS, "issued_mono_ns": "5"}),
        json.dumps({**FIELDS, "issued_mono_ns": -1}),
        json.dumps({**FIELDS, "issued_mono_ns": True}),
        json.dumps({**FIELDS, "id": ""}),
        json.dumps({**FIELDS, "id": "x" * 65}),
        json.dumps({**FIELDS, "user": None}),
        json.dumps({**FIELDS, "sudo": True}),
        json.dumps({key: value for key, value in FIELDS.items() if key != "role"}),
    ],
)
def test_malformed_commands_are_errors(body) -> None:
    with pytest.raises(FrameError, match="not a command"):
        command_of(body.encode())


@pytest.mark.parametrize("size", [0, FRAME_MAX_BYTES + 1, 2**32 - 1])
def test_impossible_lengths_are_errors(size) -> None:
    splitter = FrameSplitter()
    splitter.feed(size.to_bytes(4, "big"))
    with pytest.raises(FrameError, match="1 to 65536 expected"):
        splitter.next_frame()


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", "x" * FRAME_MAX_BYTES])
def test_what_json_cannot_say_is_not_sent(command, value) -> None:
    with pytest.raises(FrameError):
        command_frame(command(value=value))


@pytest.mark.parametrize("body", ["", "{}", '{"id":"a","accepted":1,"refusal":0,"text":"","sequence":0}'])
def test_malformed_replies_are_errors(body) -> None:
    with pytest.raises(FrameError, match="not a reply"):
        reply_of(body.encode())
