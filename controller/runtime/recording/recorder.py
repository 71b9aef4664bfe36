"""`run --record`: takes from each scan what a replay needs, and hands it to one writer thread.

Rule: the scan never waits. It copies what arrived, no more; packing, compressing and writing are the thread's. The
queue is bounded: a scan that finds it full, or that could not be written, is lost, counted, an alarm, and the next one
is recorded whole, so that what follows can be read. The file is written about once a second.
"""

from __future__ import annotations

import contextlib
import json
import platform
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from controller import __version__
from controller.control.commands import Command
from controller.modbus.raw_blocks import RawBlocks
from controller.runtime.journal import JournalRow
from controller.runtime.recording.recorded_scan import (
    ComparedValues,
    FieldTape,
    RecordedScan,
    SystemConditions,
    journal_text,
    pack_conditions,
    reply_text,
    requests_of,
    states_of,
)
from controller.runtime.recording.recording_file import RecordingWriter, RecordKind
from controller.runtime.scan import ScanResult
from controller.runtime.scan_state import State, Tables

QUEUE_SCANS = 128
RECORD_NS = 1_000_000_000
IDLE_S = 1.0
MOVED_LINKS = "run/addresses.json"
"""The part that says where a simulated plant's links were: alarms name them."""


class Recorder:
    """Records the scans of one run of control."""

    def __init__(
        self,
        path: Path,
        tables: Tables,
        state: State,
        raw: RawBlocks,
        begin: Mapping[str, Any],
        parts: Mapping[str, bytes],
    ) -> None:
        """Make the file; `begin`: what the header says of the run, `parts`: what it starts from. Raises OSError."""
        self.path = path
        self._state = state
        self._tape, self._compared = FieldTape(raw), ComparedValues(tables.layout)
        self._writer = RecordingWriter(path, {**begin, **shape_of(tables, state, raw)}, parts)
        self._queue: queue.Queue[RecordedScan | None] = queue.Queue(QUEUE_SCANS)
        self._now = RecordedScan(0, 0)
        self._last = RecordedScan(0, 0, states=states_of(state.outputs))
        self._dropped, self._unwritten, self._answered_for = 0, 0, 0
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many scans are not in the file."""
        return self._dropped + self._unwritten

    def inputs(self, now_ns: int, commands: Sequence[Command], conditions: SystemConditions) -> None:
        """Take what the scan that now begins works on."""
        whole, self._answered_for = self.lost > self._answered_for, self.lost
        if whole:
            self._last = RecordedScan(0, 0)
        states, packed = states_of(self._state.outputs), pack_conditions(conditions)
        self._now = RecordedScan(
            self._state.scan_count + 1,
            now_ns,
            rows=self._tape.take(whole=whole),
            states=_if_new(states, self._last.states),
            conditions=_if_new(packed, self._last.conditions),
            commands=tuple(commands),
        )
        self._last.conditions = packed

    def asked(self, result: ScanResult) -> None:
        """Take what the scan asks of the field, before anybody writes it."""
        scan, last, outputs = self._now, self._last, self._state.outputs
        requests, withheld = requests_of(outputs), bytes(result.withhold_heartbeat)
        scan.requests, scan.withheld = _if_new(requests, last.requests), _if_new(withheld, last.withheld)
        last.requests, last.withheld, last.states = requests, withheld, states_of(outputs)

    def outcome(self, result: ScanResult, events: Sequence[JournalRow], utc_ns: int) -> None:
        """Take what the scan came to, and hand everything to the writer."""
        scan = self._now
        scan.utc_ns = utc_ns
        scan.events = journal_text(events) if events else ""
        scan.replies = reply_text(result.replies) if result.replies else ""
        scan.compared = self._compared.take(self._state.image)
        try:
            self._queue.put_nowait(scan)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is queued, end the file."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=5.0)
        self._thread.join(timeout=10.0)

    def _write_all(self) -> None:
        waiting: list[RecordedScan] = []
        while True:
            try:
                scan = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                self._write(waiting)
                continue
            if scan is None:
                break
            waiting.append(scan)
            if scan.now_ns - waiting[0].now_ns >= RECORD_NS:
                self._write(waiting)
        self._write(waiting)
        with contextlib.suppress(OSError):
            self._writer.write(RecordKind.END, {"lost": json.dumps(self.lost).encode()})
        self._writer.close()

    def _write(self, waiting: list[RecordedScan]) -> None:
        if not waiting:
            return
        try:
            self._writer.write(RecordKind.SCANS, {str(scan.count): scan.to_bytes() for scan in waiting})
        except OSError:
            self._unwritten += len(waiting)
        waiting.clear()


def header_of(tables: Tables, site_file: str, site_hash: bytes, mono_ns: int, utc_ns: int) -> dict[str, Any]:
    """Return what a recording says of where and when it was made."""
    return {
        "release": __version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "site_id": tables.plant.site_id,
        "site_file": site_file,
        "site_hash": site_hash.hex(),
        "map_version": tables.map_version,
        "scan_period_s": tables.plant.control.scan_period_s,
        "started_mono_ns": mono_ns,
        "started_utc_ns": utc_ns,
    }


def shape_of(tables: Tables, state: State, raw: RawBlocks) -> dict[str, Any]:
    """Return how the parts of each scan are to be cut: a plant fits a recording if all of this is the same."""
    names = [device.name for device in tables.plant.devices]
    return {
        "groups": [
            {
                "device_type": group.device_type.name,
                "block": group.block,
                "devices": [names[device] for device in group.devices],
                "spans": [[span.function, span.address, span.count, span.offset_bytes] for span in group.spans],
            }
            for group in raw
        ],
        "requests": [[name, len(requests.value)] for name, requests in state.outputs.requests.items()],
        "compared": [[f.name, f.dtype, list(f.shape)] for f in ComparedValues(tables.layout).fields],
    }


def _if_new(now: bytes, before: bytes) -> bytes:
    return b"" if now == before else now
