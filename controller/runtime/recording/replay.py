"""`bess replay`: a recording through the whole controller again, in fake time, each scan held against the recorded one.

Rule: the controller starts from the retained state that the recorded run started from, gets the same raw blocks, fates
of requests, system conditions and commands at the same times, and must come to the same requests, replies, events and
computed values, bit for bit. The first thing that differs is named. A site that has changed since may be replayed, as
long as its devices are read alike: what differs then is what the change would have done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.commissioning.frozen_maps import frozen_file, frozen_map
from controller.image.data_periods import data_periods
from controller.link.sealed_site import site_hash
from controller.link.simulated_addresses import addresses_in, moved
from controller.modbus.poll_groups import PollGroup, poll_groups
from controller.plant.signals import Owner
from controller.plant.site_loader import SiteError, load_site
from controller.points.addresses import flat_map
from controller.points.point_list import Point, point_list
from controller.runtime.event_rows import equipment_name, journal_rows
from controller.runtime.recording.recorded_scan import (
    ComparedValues,
    RecordedScan,
    journal_text,
    put_states,
    reply_text,
    request_numbers,
    requests_of,
    rows_from,
    unpack_conditions,
)
from controller.runtime.recording.recorder import MOVED_LINKS, shape_of
from controller.runtime.recording.recording_file import RecordingError, RecordingReader
from controller.runtime.retained_parts import take_over
from controller.runtime.scan import ScanResult, scan
from controller.runtime.scan_state import State, Tables, first_state, tables_of
from controller.runtime.series import EventRow, Series, as_event, is_trip, timed_events
from controller.scada.readings import PointReader

SHOWN_EVENTS = 40


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay first leaves the recording."""

    scan: int
    time_s: float
    quantity: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"scan {self.scan} ({self.time_s:.3f} s): {self.quantity} was {self.recorded}, replayed it is "
            f"{self.replayed}"
        )


@dataclass(slots=True)
class ReplayResult:
    """What came of a replay. `same_site`: not changed since. `unread_bytes`: behind the last whole record.

    `is_damaged`: what can't be read is not the torn end that a killed recorder leaves.
    """

    recorded_by: str
    same_site: bool
    scans: int = 0
    lost_scans: int = 0
    duration_s: float = 0.0
    commands: int = 0
    trips: int = 0
    events: list[dict[str, object]] = field(default_factory=list)
    different_scans: int = 0
    first_difference: Difference | None = None
    closed_cleanly: bool = False
    unread_bytes: int = 0
    is_damaged: bool = False

    @property
    def is_same(self) -> bool:
        """Whether every scan came to what was recorded."""
        return self.different_scans == 0

    def as_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it for people."""
        what = f"{self.commands} commands, {self.trips} trips, {len(self.events)} events"
        lines = [f"{self.scans} scans, {self.duration_s:.1f} s, recorded by release {self.recorded_by}; {what}"]
        lines += [] if self.same_site else ["the site has changed since the recording was made"]
        lines += [f"{self.lost_scans} scans are not in the recording"] if self.lost_scans else []
        lines += [self._end()] if self._end() else []
        lines += [f"{e['time_s']:>10} s  {e['kind']:18} {e['equipment']:12} {e['text']}" for e in self._newest()]
        read = "of what can be read, " if self.is_damaged else ""
        verdict = f"{read}every output, event and computed value as recorded, bit for bit"
        different = f"{self.different_scans} scans differ; first {self.first_difference}"
        return "\n".join([*lines, verdict if self.is_same else different])

    def _end(self) -> str:
        """Say how the recording ends, "" if by a stop."""
        if self.is_damaged:
            where = f"behind {self.duration_s:.1f} s"
            return (
                f"the file is damaged {where}: {self.unread_bytes} bytes are not read, and what they hold not replayed"
            )
        return "" if self.closed_cleanly else f"it ends without a stop ({self.unread_bytes} bytes not readable)"

    def _newest(self) -> list[dict[str, object]]:
        return self.events[-SHOWN_EVENTS:]


def replay_site(site: Path, recording: Path, out: Path | None = None) -> ReplayResult:
    """Replay a recording on a site and return what came of it.

    Raises:
        SiteError: The site can't be loaded.
        RecordingError: The file is no recording of this site's devices.
        OSError: It can't be read.
    """
    loaded = load_site(site)
    if loaded.plant is None:
        raise SiteError(loaded)
    reader = RecordingReader.open(recording)
    files, plant = loaded.sealed(), moved(loaded.plant, addresses_in(reader.parts.get(MOVED_LINKS, b"{}")))
    if (frozen := frozen_file(site)).exists():
        files["maps/frozen.csv"] = frozen.read_bytes()
    same_site = site_hash(files).hex() == reader.header["site_hash"]
    tables = tables_of(plant, flat_map(point_list(plant), frozen_map(site)).version)
    result = ReplayResult(reader.header["release"], same_site)
    _Replay(tables, reader, result, out).run()
    return result


class _Replay:
    """One replay under way."""

    def __init__(self, tables: Tables, reader: RecordingReader, result: ReplayResult, out: Path | None) -> None:
        header, groups = reader.header, poll_groups(tables.plant)
        started_ns: int = header["started_mono_ns"]
        self._reader, self._started_ns = reader, started_ns
        self.tables, self.result = tables, result
        self.state: State = first_state(tables, groups, started_ns)
        self._raw = tuple(group.raw for group in groups)
        _require_fit(self.tables, self.state, groups, header)
        retained = _folder(reader.parts, "retained")
        take_over(self.tables, self.state, retained, started_ns, header["started_utc_ns"])
        self._checks = _Checks(self.tables, self.state)
        self._series = Series(out, point_list(tables.plant))
        self._points = PointReader(data_periods(tables.plant))
        self._conditions: Mapping[Any, NDArray[np.bool_]] = {}

    def run(self) -> None:
        """Replay everything that can be read."""
        for record in self._reader.records():
            for data in record.values():
                self._one(RecordedScan.from_bytes(data))
        self._series.close()
        self.result.unread_bytes = self._reader.unread_bytes
        self.result.closed_cleanly = self._reader.is_closed_cleanly
        self.result.is_damaged = self._reader.is_damaged

    def _one(self, recorded: RecordedScan) -> None:
        self._skip_lost(recorded)
        self._bring_in(recorded)
        scanned = scan(self.tables, self.state, recorded.commands, recorded.now_ns)
        rows = journal_rows(scanned, self.tables.plant, self.tables.alarms, recorded.now_ns, recorded.utc_ns)
        time_s = (recorded.now_ns - self._started_ns) * 1e-9
        found = self._checks.first_difference(recorded, scanned, journal_text(rows) if rows else "")
        self._account(recorded, time_s, list(timed_events(rows, recorded.now_ns, time_s)))
        if found is not None:
            self.result.different_scans += 1
            first = Difference(recorded.count, round(time_s, 3), *found)
            self.result.first_difference = self.result.first_difference or first

    def _skip_lost(self, recorded: RecordedScan) -> None:
        """Scans that the recording lacks leave their number: heartbeats and replies count on."""
        missing = recorded.count - 1 - self.state.scan_count
        self.result.lost_scans += max(missing, 0)
        self.state.scan_count = recorded.count - 1

    def _bring_in(self, recorded: RecordedScan) -> None:
        for taken in rows_from(recorded.raw, self._raw):
            taken.put(self._raw)
        if recorded.states:
            put_states(self.state.outputs, recorded.states)
        if recorded.conditions:
            self._conditions = unpack_conditions(recorded.conditions)
        for alarm, active in self._conditions.items():
            self.state.conditions.hold(alarm, active, recorded.now_ns)

    def _account(self, recorded: RecordedScan, time_s: float, events: list[EventRow]) -> None:
        result = self.result
        result.scans += 1
        result.duration_s = round(time_s, 3)
        result.commands += len(recorded.commands)
        for row in events:
            result.trips += is_trip(row)
            result.events.append(as_event(row))
            self._series.event(row)

        def shown(point: Point) -> object:
            return self._points.read_image(self.state.image, point, recorded.now_ns).value

        self._series.add(round(time_s, 3), shown)


class _Found(NamedTuple):
    """A difference within a scan."""

    quantity: str
    recorded: str
    replayed: str


class _Checks:
    """Holds each scan against the recorded one; what a recorded scan leaves out is as it was before."""

    def __init__(self, tables: Tables, state: State) -> None:
        self._plant, self._state = tables.plant, state
        self._compared = ComparedValues(tables.layout)
        self._requests, self._withheld = b"", b""

    def first_difference(self, recorded: RecordedScan, scanned: ScanResult, events: str) -> _Found | None:
        """Return what differs first, in the order of weight: requests, heartbeats, replies, events, values."""
        self._requests = recorded.requests or self._requests
        self._withheld = recorded.withheld or self._withheld
        outputs, image = self._state.outputs, self._state.image
        requests, compared, withheld = (
            requests_of(outputs),
            self._compared.take(image),
            bytes(scanned.withhold_heartbeat),
        )
        replies = reply_text(scanned.replies) if scanned.replies else ""
        if requests != self._requests:
            return self._numbers(request_numbers(outputs, self._requests), request_numbers(outputs, requests))
        if withheld != self._withheld:
            return _Found("withheld heartbeats", str(list(self._withheld)), str(list(withheld)))
        if replies != recorded.replies:
            return _texts("reply", recorded.replies, replies)
        if events != recorded.events:
            return _texts("event", recorded.events, events)
        if compared != recorded.compared:
            return self._numbers(self._compared.numbers(recorded.compared), self._compared.numbers(compared))
        return None

    def _numbers(self, before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> _Found:
        name, index = next(_differing(before, after))
        owner = Owner(name.split(".", maxsplit=1)[0])
        of = equipment_name(self._plant, owner, index)
        return _Found(f"{name} of {of}", str(before[name][index]), str(after[name][index]))


def _differing(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, int]]:
    """Yield name and index of numbers whose bytes differ."""
    for name, old in before.items():
        width = old.dtype.itemsize
        bytes_before, bytes_after = old.tobytes(), after[name].tobytes()
        for index in range(len(old)):
            place = slice(index * width, (index + 1) * width)
            if bytes_before[place] != bytes_after[place]:
                yield name, index


def _texts(what: str, before: str, after: str) -> _Found:
    """Return the first of two lists of texts that differs."""
    lists = [json.loads(text) if text else [] for text in (before, after)]
    longest = max(map(len, lists))
    old, new = (each + [None] * (longest - len(each)) for each in lists)
    place = next((k for k in range(longest) if not _same(old[k], new[k])), 0)
    return _Found(what, _shown(old[place]), _shown(new[place]))


def _same(a: object, b: object) -> bool:
    return json.dumps(a) == json.dumps(b)


def _shown(item: object) -> str:
    return "none" if item is None else json.dumps(item)


def _folder(parts: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): part for name, part in parts.items() if name.startswith(f"{folder}/")}


def _require_fit(tables: Tables, state: State, groups: tuple[PollGroup, ...], header: Mapping[str, Any]) -> None:
    """Raise RecordingError unless raw blocks and outputs of the recording can be cut as this plant's are."""
    shape = json.loads(json.dumps(shape_of(tables, state, tuple(g.raw for g in groups))))
    for name, mine in shape.items():
        theirs = header.get(name, [])
        if mine != theirs:
            longest = max(len(mine), len(theirs))
            pairs = zip(mine + [None] * (longest - len(mine)), theirs + [None] * (longest - len(theirs)), strict=True)
            here, there = next(pair for pair in pairs if pair[0] != pair[1])
            raise RecordingError(
                f"the recording is of site {header['site_id']} with other {name}: {there}; this site has {here}. "
                "Replay it on the site it was made on (its files are in the recording), or one whose devices are alike"
            )
