"""What the system says about itself, as alarm conditions: links, devices, faces, scans, disk, clock.

Looked at twice a second, not in each scan: none of it decides anything. What is over as soon as it has happened (a
restart, an overrun, a step of the clock) is held for a minute, so that somebody can see it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.alarms.equipment import Axis
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.field_io.link_status import LinkStatus
from controller.image.masks import everywhere
from controller.plant.clock import Clock
from controller.runtime.disk_writer import DiskWriter
from controller.runtime.folders import Folders
from controller.runtime.journal import Journal
from controller.runtime.pacing import Pace
from controller.runtime.recording.recorded_scan import SystemConditions
from controller.runtime.retained import RetainedFile

LOOK_EACH_NS = 500_000_000
HELD_NS = 60_000_000_000
LINKS_MUST_STAND_AFTER_NS = 5_000_000_000
CLOCK_STEP_NS = 500_000_000
DISK_BEHIND_S = 5.0
STORAGE_FULL_RATIO = 0.95
_LONG_AGO_NS = -(1 << 62)


@dataclass(slots=True)
class Disk:
    """The disk's thread and what it writes."""

    writer: DiskWriter
    journal: Journal
    retained: RetainedFile
    learned: RetainedFile
    folder: Path
    used_ratio: float = 0.0

    @classmethod
    def of(cls, folders: Folders, clock: Clock, number: int = 0) -> Disk:
        """Start the thread that writes what a run keeps; `number`: of the newest save of what was decided."""
        writer = DiskWriter(clock)
        retained = RetainedFile(folders.retained, writer, folders.run.retained, number)
        learned = RetainedFile(folders.learned, writer)
        return cls(writer, Journal(folders.journal, writer), retained, learned, folders.state)

    def look(self) -> None:
        """Find out, in the disk's own thread, how full it is."""

        def measure() -> None:
            usage = shutil.disk_usage(self.folder)
            self.used_ratio = usage.used / usage.total if usage.total else 0.0

        self.writer.submit(measure, lambda _done: None)

    def close(self) -> None:
        """Write what waits and end."""
        self.journal.close()
        self.writer.close()


class Past(NamedTuple):
    """What is known of the control before this one: why its state could not be used ("" if it could), how it ended."""

    problem: str = ""
    died: bool = False


@dataclass(slots=True)
class FaceNews:
    """What the supervisor tells of the faces: a line of JSON each time that one starts, is ready or ends."""

    up: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    restarted_ns: dict[str, int] = field(default_factory=dict)

    def hear(self, line: str, now_ns: int) -> None:
        """Take a line: `{"role": "opcua", "ready": true, "starts": 2}`."""
        told: dict[str, Any] = json.loads(line)
        role, again = str(told["role"]), int(told["starts"]) > 1
        if told["ready"]:
            self.up.add(role)
            self.down.discard(role)
        elif again or role in self.up:
            self.down.add(role)
        if again:
            self.restarted_ns[role] = now_ns

    def is_unwell(self, role: str, now_ns: int) -> bool:
        """Whether a face is away, or was within the last minute."""
        return role in self.down or now_ns - self.restarted_ns.get(role, _LONG_AGO_NS) < HELD_NS


def field_lost(silent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all of several devices are silent [1]: then it is what they share, and no matter of each of them."""
    return np.array([len(silent) > 1 and everywhere(silent)])


class SystemWatch:
    """Finds the system's conditions in one run of control."""

    def __init__(self, alarms: AlarmTable, links: Sequence[LinkStatus], pace: Pace, disk: Disk, past: Past) -> None:
        """Begin with nothing known but of the life before."""
        self.faces = FaceNews()
        self._names, self._links, self._pace = alarms.equipment.names, links, pace
        self._disk, self._past = disk, past
        self._found: SystemConditions = {}
        self._next_ns = self._started_ns = self._disk_next_ns = 0
        self._overruns, self._overrun_ns = 0, _LONG_AGO_NS
        self._offset_ns, self._stepped_ns = 0, _LONG_AGO_NS

    def look(self, now_ns: int, utc_ns: int) -> SystemConditions:
        """Return the conditions by alarm, [equipment of its axis]; looked at anew if it is time to."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + LOOK_EACH_NS
            self._started_ns = self._started_ns or now_ns
            unwell = [self.faces.is_unwell(role, now_ns) for role in self._names[Axis.FACE]]
            self._found = {
                **self._of_links(now_ns),
                SystemAlarm.FACE_RESTARTED: np.array(unwell, np.bool_),
                SystemAlarm.CONTROL_RESTARTED: np.array([self._past.died and now_ns - self._started_ns < HELD_NS]),
                **self._of_disk(now_ns),
                **self._of_time(now_ns, utc_ns),
            }
        return self._found

    def _of_links(self, now_ns: int) -> SystemConditions:
        stand = now_ns - self._started_ns > LINKS_MUST_STAND_AFTER_NS
        wrong, lost, refusing = np.zeros((3, len(self._names[Axis.DEVICE])), np.bool_)
        silent = np.zeros_like(lost)
        for link in self._links:
            silent[[u.device.index for u in link.units]] = not link.connected
            wrong[list(link.wrong_identity)] = True
            lost[list(link.lost_devices)] = stand
            refusing[list(link.refusing_devices(now_ns))] = stand
        return {
            SystemAlarm.LINK_LOST: np.array([stand and not link.connected for link in self._links], np.bool_),
            SystemAlarm.DEVICE_IDENTITY_WRONG: wrong,
            SystemAlarm.DEVICE_LOST: lost,
            SystemAlarm.FIELD_LOST: field_lost(lost | (silent & stand)),
            SystemAlarm.WRITE_FAILED: refusing & ~wrong,
        }

    def _of_disk(self, now_ns: int) -> SystemConditions:
        disk = self._disk
        if now_ns >= self._disk_next_ns:
            self._disk_next_ns = now_ns + HELD_NS
            disk.look()
        behind = disk.writer.behind_s > DISK_BEHIND_S
        return {
            SystemAlarm.JOURNAL_FAILING: np.array([disk.journal.failing or behind]),
            SystemAlarm.RETAINED_STATE_FAILING: np.array([disk.retained.failing or behind]),
            SystemAlarm.LEARNED_STATE_FAILING: np.array([disk.learned.failing]),
            SystemAlarm.RETAINED_STATE_LOST: np.array([bool(self._past.problem)]),
            SystemAlarm.STORAGE_FULL: np.array([disk.used_ratio > STORAGE_FULL_RATIO]),
        }

    def _of_time(self, now_ns: int, utc_ns: int) -> SystemConditions:
        if self._pace.overruns > self._overruns:
            self._overruns, self._overrun_ns = self._pace.overruns, now_ns
        offset_ns = utc_ns - now_ns
        if self._offset_ns and abs(offset_ns - self._offset_ns) > CLOCK_STEP_NS:
            self._stepped_ns = now_ns
        self._offset_ns = offset_ns
        return {
            SystemAlarm.SCAN_OVERRUN: np.array([now_ns - self._overrun_ns < HELD_NS]),
            SystemAlarm.CLOCK_UNCERTAIN: np.array([now_ns - self._stepped_ns < HELD_NS]),
        }
