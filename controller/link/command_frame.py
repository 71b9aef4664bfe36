"""Commands and replies as frames on a stream: a length (u4, big-endian) and that many bytes of JSON, at most 64 kB.

What comes out of here is exactly typed; nothing is repaired on the way.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.control.commands import Action, Command, Refusal, Reply

FRAME_MAX_BYTES = 64 * 1024
_LENGTH = struct.Struct("!I")

_Name = Annotated[str, Field(max_length=200)]
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Text = Annotated[str, Field(max_length=4000)]


class FrameError(Exception):
    """What came is no frame, or no command or reply; the text says why."""


class _CommandFrame(BaseModel):
    """A command's JSON: exact types, finite numbers, bounded texts, no other keys."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=64)]
    face: _Name
    user: _Name
    role: _Name
    action: Action
    target: _Name
    value: float | _Integer | _Text | bool | None
    issued_mono_ns: Annotated[int, Field(ge=0, lt=2**63)]
    timeout_s: float | None = None
    fallback: float | None = None


class _ReplyFrame(BaseModel):
    """A reply's JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: Annotated[str, Field(max_length=64)]
    accepted: bool
    refusal: Annotated[Refusal, Field(strict=False)]
    text: str
    sequence: Annotated[int, Field(ge=0, lt=2**63)]


class FrameSplitter:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        """Start at a frame's first byte."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next whole frame's JSON, None until more arrives.

        Raises:
            FrameError: The length is 0 or too large; where the next frame begins is lost for good.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        if not 0 < size <= FRAME_MAX_BYTES:
            raise FrameError(f"a frame of {size} bytes; 1 to {FRAME_MAX_BYTES} expected")
        end = _LENGTH.size + size
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return frame


def command_frame(command: Command) -> bytes:
    """Return a command as a frame.

    Raises:
        FrameError: It is too long, or not finite.
    """
    return _framed(dataclasses.asdict(command))


def reply_frame(reply: Reply) -> bytes:
    """Return a reply as a frame; one whose text does not fit is a programmer's error."""
    return _framed(dataclasses.asdict(reply))


def command_of(frame: bytes) -> Command:
    """Return the command of a frame's JSON; raise FrameError if it is none."""
    try:
        fields = _CommandFrame.model_validate_json(frame)
    except ValidationError as error:
        raise FrameError(_first_error("command", error)) from error
    return Command(**dict(fields))


def reply_of(frame: bytes) -> Reply:
    """Return the reply of a frame's JSON; raise FrameError if it is none."""
    try:
        fields = _ReplyFrame.model_validate_json(frame)
    except ValidationError as error:
        raise FrameError(_first_error("reply", error)) from error
    return Reply(**dict(fields))


def _framed(fields: dict[str, object]) -> bytes:
    try:
        body = json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as error:  # also UnicodeEncodeError: a lone surrogate
        raise FrameError(f"not expressible as JSON: {error}") from error
    if len(body) > FRAME_MAX_BYTES:
        raise FrameError(f"{len(body)} bytes of JSON; at most {FRAME_MAX_BYTES} expected")
    return _LENGTH.pack(len(body)) + body


def _first_error(what: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"not a {what}: {f'{place}: ' if place else ''}{first['msg']}"
