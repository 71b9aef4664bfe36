"""One scan as it is recorded: everything that went in, and what came out, so that a replay can be held against it.

In: the time, rows of raw blocks that had arrived since the last scan, what became of requests, conditions of the
system, commands. Out: requests, withheld heartbeats, replies, events as the journal has them, and the computed values
of plant, blocks, buses and converters with their qualities. Only what changed is kept; numbers bit for bit.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from controller.alarms.system_alarms import SystemAlarm
from controller.control.commands import Action, Command, Reply
from controller.image.image import Image
from controller.image.layout import Layout
from controller.image.outputs import OutputImage
from controller.image.quantities import COMPUTED, Section
from controller.modbus.raw_blocks import RawBlocks, RawGroup
from controller.plant.signals import Owner
from controller.runtime.journal import JournalRow
from controller.runtime.publish import PACE_QUANTITIES
from controller.runtime.retained import pack, unpack

Bytes = NDArray[np.uint8]
SystemConditions = Mapping[SystemAlarm, NDArray[np.bool_]]
"""What runtime says of the system's own alarms before a scan: an input of the scan like any other."""

_TIMES = struct.Struct("<Qqq")  # scan count, monotonic, UTC
_ROWS = struct.Struct("<HI")  # group, number of rows
_COMPARED = {Owner.PLANT, Owner.BLOCK, Owner.BUS, Owner.PCS}


class RowsTaken(NamedTuple):
    """Rows of one group of raw blocks: which, and what they were at the scan."""

    group: int
    rows: NDArray[np.uint32]
    arrivals: NDArray[np.uint32]
    time_ns: NDArray[np.int64]
    state: Bytes
    data: Bytes

    def to_bytes(self) -> bytes:
        """Return them as bytes, self-delimiting but for the width of a row."""
        arrays = (self.rows, self.arrivals, self.time_ns, self.state, self.data)
        return _ROWS.pack(self.group, len(self.rows)) + b"".join(a.tobytes() for a in arrays)

    def put(self, raw: RawBlocks) -> None:
        """Bring them back."""
        group, rows = raw[self.group], self.rows
        group.data[rows], group.state[rows] = self.data, self.state
        group.time_ns[rows], group.arrivals[rows] = self.time_ns, self.arrivals


class FieldTape:
    """Takes from raw blocks the rows that have arrived since the last time."""

    def __init__(self, raw: RawBlocks) -> None:
        """Begin with nothing seen."""
        self._raw = raw
        self._seen = [np.zeros_like(group.arrivals) for group in raw]

    def take(self, *, whole: bool = False) -> list[RowsTaken]:
        """Return copies of the rows that arrived; `whole`: of all that ever did."""
        taken = []
        for number, (group, seen) in enumerate(zip(self._raw, self._seen, strict=True)):
            before = np.uint32(0) if whole else seen
            rows = np.flatnonzero(group.arrivals != before).astype(np.uint32)
            if rows.size:
                taken.append(_rows_of(number, group, rows))
                seen[:] = group.arrivals
        return taken


def _rows_of(number: int, group: RawGroup, rows: NDArray[np.uint32]) -> RowsTaken:
    return RowsTaken(number, rows, group.arrivals[rows], group.time_ns[rows], group.state[rows], group.data[rows])


def rows_from(data: bytes, raw: RawBlocks) -> list[RowsTaken]:
    """Return what `RowsTaken.to_bytes` made, one after the other."""
    taken, at = [], 0
    while at < len(data):
        number, count = _ROWS.unpack_from(data, at)
        at += _ROWS.size
        width = raw[number].data.shape[1]
        arrays: list[NDArray[Any]] = []
        for dtype, each in (("<u4", 1), ("<u4", 1), ("<i8", 1), ("u1", 1), ("u1", width)):
            arrays.append(np.frombuffer(data, dtype, count * each, at))
            at += arrays[-1].nbytes
        rows, arrivals, time_ns, state, row_data = arrays
        taken.append(RowsTaken(number, rows, arrivals, time_ns, state, row_data.reshape(count, width)))
    return taken


class ComparedValues:
    """The computed values that are compared: where they lie in the image, side by side in the recording."""

    def __init__(self, layout: Layout) -> None:
        """Find them."""
        names = [q.name for q in COMPUTED if q.owner in _COMPARED and q.name not in PACE_QUANTITIES]
        wanted = {f"{name}.{part}" for name in names for part in ("value", "quality")}
        self.fields = [f for f in layout.fields if f.name in wanted]
        places = [np.arange(layout.offsets[f.name], layout.offsets[f.name] + f.size_bytes) for f in self.fields]
        self._index = np.concatenate(places)

    def take(self, image: Image) -> bytes:
        """Return them as they now are."""
        return image.buffer(Section.RACKS)[self._index].tobytes()

    def numbers(self, data: bytes) -> dict[str, NDArray[Any]]:
        """Return them by field of the image."""
        numbers, at = {}, 0
        for each in self.fields:
            numbers[each.name] = np.frombuffer(data, each.dtype, each.size_bytes // np.dtype(each.dtype).itemsize, at)
            at += each.size_bytes
        return numbers


def states_of(outputs: OutputImage) -> bytes:
    """Return what became of all requests."""
    return b"".join(requests.state.tobytes() for requests in outputs.requests.values())


def put_states(outputs: OutputImage, data: bytes) -> None:
    """Bring it back."""
    at = 0
    for requests in outputs.requests.values():
        requests.state[:] = np.frombuffer(data, np.uint8, len(requests.state), at)
        at += len(requests.state)


def requests_of(outputs: OutputImage) -> bytes:
    """Return value and issue of all requests."""
    return b"".join(r.value.tobytes() + r.issue.tobytes() for r in outputs.requests.values())


def request_numbers(outputs: OutputImage, data: bytes) -> dict[str, NDArray[Any]]:
    """Return them by name; `outputs` tells the sizes."""
    numbers, at = {}, 0
    for name, requests in outputs.requests.items():
        for part, like in (("value", requests.value), ("issue", requests.issue)):
            numbers[f"{name}.{part}"] = np.frombuffer(data, like.dtype, like.size, at)
            at += like.nbytes
    return numbers


def pack_conditions(conditions: SystemConditions) -> bytes:
    """Return conditions as one byte each."""
    return pack({alarm.value: mask.tobytes() for alarm, mask in conditions.items()})


def unpack_conditions(data: bytes) -> SystemConditions:
    """Return what `pack_conditions` made."""
    return {SystemAlarm(name): np.frombuffer(mask, np.bool_) for name, mask in unpack(data).items()}


def journal_text(rows: Iterable[JournalRow]) -> str:
    """Return rows of the journal as JSON: equal texts are equal events."""
    return json.dumps(list(rows), default=_plain)


def reply_text(replies: Iterable[Reply]) -> str:
    """Return replies as JSON."""
    return json.dumps([asdict(reply) for reply in replies], default=_plain)


def _plain(number: Any) -> Any:  # noqa: ANN401 - numpy's scalars
    return number.item()


@dataclass(slots=True)
class RecordedScan:
    """One scan; "" and b"" where there was nothing, or nothing new."""

    count: int
    now_ns: int
    utc_ns: int = 0
    rows: Sequence[RowsTaken] = ()
    states: bytes = b""
    conditions: bytes = b""
    commands: Sequence[Command] = ()
    replies: str = ""
    events: str = ""
    requests: bytes = b""
    withheld: bytes = b""
    compared: bytes = b""
    raw: bytes = field(default=b"", repr=False)  # the rows, as they were read

    def to_bytes(self) -> bytes:
        """Return the scan as bytes."""
        parts = {
            "times": _TIMES.pack(self.count, self.now_ns, self.utc_ns),
            "raw": b"".join(taken.to_bytes() for taken in self.rows),
            "states": self.states,
            "conditions": self.conditions,
            "commands": json.dumps([asdict(c) for c in self.commands]).encode() if self.commands else b"",
            "replies": self.replies.encode(),
            "events": self.events.encode(),
            "requests": self.requests,
            "withheld": self.withheld,
            "compared": self.compared,
        }
        return pack({name: part for name, part in parts.items() if part})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` made; its rows are unpacked by `rows_from`."""
        parts = unpack(data)
        commands = json.loads(parts.get("commands", b"[]"))
        count, now_ns, utc_ns = _TIMES.unpack(parts["times"])
        scan = cls(count, now_ns, utc_ns)
        scan.commands = tuple(Command(**{**c, "action": Action(c["action"])}) for c in commands)
        scan.replies, scan.events = (parts.get(name, b"").decode() for name in ("replies", "events"))
        for name in ("raw", "states", "conditions", "requests", "withheld", "compared"):
            setattr(scan, name, parts.get(name, b""))
        return scan
