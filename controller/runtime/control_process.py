"""The control process: field I/O and the scan in one loop, one journal thread beside it.

Order of start: lock, site (sealed), retained state, snapshot file, command socket, field, scan. Each scan is due on a
fixed grid; steps 7 and 8 (write, watchdog) follow only a scan that returned. A programmer's error in the scan ends the
process: the supervisor starts it anew, the devices' own watchdogs bridge the time. A clean stop takes power to zero,
publishes, and leaves contactors as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from controller.alarms.system_alarms import SystemAlarm
from controller.commissioning.frozen_maps import frozen_file, frozen_map
from controller.commissioning.party_maps import party_messages
from controller.control.commands import CYCLIC, OWN_FACE, Action, Command, Reply
from controller.control.events import RETAINED_KINDS
from controller.control.setpoints import SCHEDULE_FACE
from controller.field_io.field import Field
from controller.field_io.link_status import summary
from controller.image.quality import Quality
from controller.image.quantities import Section
from controller.link.command_queue import CommandQueue
from controller.link.command_socket import CommandServer
from controller.link.plant_view import RunState
from controller.link.run_directory import prepare, write_whole
from controller.link.sealed_site import load_sealed, seal
from controller.link.simulated_addresses import moved, read_addresses
from controller.link.snapshot_file import SnapshotFile
from controller.link.snapshot_memory import SnapshotFormat
from controller.link.state_folder import make_state_folder
from controller.modbus.poll_groups import PollGroup, poll_groups
from controller.plant.clock import Clock
from controller.plant.model import Plant
from controller.plant.protection_rows import Level
from controller.plant.site_loader import SiteError, load_site
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.clock import TimeQuality, time_quality
from controller.runtime.event_rows import journal_rows, ring_records
from controller.runtime.folders import Folders
from controller.runtime.overdue import Overdue
from controller.runtime.pacing import Pace
from controller.runtime.recording.recorded_scan import SystemConditions
from controller.runtime.recording.recorder import MOVED_LINKS, Recorder, header_of
from controller.runtime.retained_parts import (
    DECIDED,
    ENDED,
    decided_parts,
    died,
    learned_parts,
    load_parts,
    number_of,
    take_over,
)
from controller.runtime.scan import ScanResult, scan
from controller.runtime.scan_state import State, Tables, first_state, tables_of
from controller.runtime.system_watch import Disk, Past, SystemWatch
from controller.runtime.timetable import Timetable
from controller.runtime.watchdog import SystemdNotifier

PUBLISH_AT_LEAST_S = 0.2
SAVE_PERIOD_S = 60.0
SAVE_TICK_S = 1.0
"""How soon what is no hurry is saved, and a save that failed is tried again."""
LINKS_TOLD_EACH_S = 2.0
STOP_RAMP_S = 5.0
FIRST_SCAN_AFTER_S = 0.05
FILES_BESIDE_LINKS = 128


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """How control is started. `again`: the supervisor restarts it, so it runs from the sealed site.

    `record`: the file that takes every scan; a restarted control takes the next free name beside it.
    """

    site: Path
    folders: Folders
    again: bool = False
    record: Path | None = None


def plant_and_seal(options: ControlOptions) -> tuple[Plant, bytes]:
    """Load the site (the sealed one when started again), seal it, and return the plant with the site's hash."""
    run_folder = options.folders.run.folder
    source = load_sealed(run_folder).folder / options.site.name if options.again else options.site
    result = load_site(source)
    if result.plant is None:
        raise SiteError(result)
    if wrong := party_messages(result):
        raise SiteError(replace(result, plant=None, messages=(*result.messages, *wrong)))
    files = result.sealed()
    if (frozen := frozen_file(source)).exists():
        files["maps/frozen.csv"] = frozen.read_bytes()
    return moved(result.plant, read_addresses(options.folders.run.addresses)), seal(run_folder, files).hash


class ControlProcess:
    """One run of control, from its lock to its clean stop."""

    def __init__(
        self,
        options: ControlOptions,
        plant: Plant,
        site_hash: bytes,
        clock: Clock,
        show_life: Callable[[], None] = lambda: None,
    ) -> None:
        """Build everything; nothing is open but the snapshot file. `show_life` is called after each scan."""
        self._show_life = show_life
        self.plant, self._clock, self._folders = plant, clock, options.folders
        self._started_ns, started_utc_ns = clock.mono_ns(), clock.utc_ns()
        _allow_files(len(plant.links) + FILES_BESIDE_LINKS)
        listed = point_list(plant)
        groups = poll_groups(plant)
        sealed = load_sealed(options.folders.run.folder, site_hash)
        frozen = frozen_map(sealed.folder / options.site.name)
        self._tables: Tables = tables_of(plant, flat_map(listed, frozen).version)
        self._state: State = first_state(self._tables, groups, self._started_ns)
        self._overdue, self._timetable = Overdue(plant), Timetable(plant, self._started_ns)
        retained, past = self._restore(started_utc_ns)
        header = header_of(self._tables, options.site.name, site_hash, self._started_ns, started_utc_ns)
        self._recorder = _recorder(
            options,
            self._tables,
            self._state,
            groups,
            header,
            {**_in_folder("retained", retained), **_in_folder("site", sealed.files), **_moved_links(options.folders)},
        )
        layout = self._tables.layout
        form = SnapshotFormat(
            layout.hash, site_hash, layout.section_size(Section.RACKS), layout.section_size(Section.CELLS)
        )
        self._snapshot = SnapshotFile(options.folders.run.snapshot, form, first_event=clock.utc_ns())
        self._queue = CommandQueue(self._lowers)
        self._server = CommandServer(self._queue, clock)
        self._disk = Disk.of(options.folders, clock, number_of(retained))
        self._unsaved = False
        self._field = Field(plant, groups, self._state.outputs, clock)
        period_ns = round(plant.control.scan_period_s * 1e9)
        self._pace = Pace(period_ns, clock.mono_ns() + round(FIRST_SCAN_AFTER_S * 1e9))
        self._watch = SystemWatch(self._tables.alarms, self._field.links, self._pace, self._disk, past)
        self._systemd = SystemdNotifier()
        self._published_ns = 0
        self._stopping = asyncio.Event()
        self.running = asyncio.Event()

    def stop(self) -> None:
        """Ask for a clean stop."""
        self._stopping.set()

    def hear(self, line: str) -> None:
        """Take a line of the supervisor: how a face fares."""
        self._watch.faces.hear(line, self._clock.mono_ns())

    async def run(self) -> None:
        """Run until stopped."""
        await self._server.start(self._folders.run.command_socket)
        self._snapshot.set_run_state(RunState.STARTING)
        ended = False
        try:
            async with asyncio.TaskGroup() as group:
                works = (self._field.run(), self._keep_saving(), self._tell_of_links())
                tasks = [group.create_task(work) for work in works]
                await self._scan_until_stopped()
                await self._unload()
                for task in tasks:
                    task.cancel()
            ended = True
        finally:
            self._save(ended=ended)
            self._save_learned()
            self._disk.close()
            if self._recorder is not None:
                self._recorder.close()
            await self._server.stop()
        self._snapshot.set_run_state(RunState.STOPPED)

    async def _scan_until_stopped(self) -> None:
        while not self._stopping.is_set():
            await self._wait_for_deadline()
            asked = self._timetable.commands(self._state, self._clock.mono_ns(), self._clock.utc_ns())
            await self._scan_once([*self._server.take(), *asked])
            if self._field.started.is_set() and not self.running.is_set():
                self._run_from_now_on()

    def _run_from_now_on(self) -> None:
        """Say that control runs: all links have begun, and a scan has succeeded since. From now on silence kills."""
        _quieten_interpreter()
        self.running.set()
        self._snapshot.set_run_state(RunState.RUNNING)
        self._systemd.ready()

    async def _wait_for_deadline(self) -> None:
        """Wait for the next scan, publishing in between so that nobody takes a long scan period for silence."""
        while (left_s := (self._pace.next_ns - self._clock.mono_ns()) * 1e-9) > 0:
            if self._stopping.is_set():
                return
            await asyncio.sleep(min(left_s, PUBLISH_AT_LEAST_S))
            if self._clock.mono_ns() - self._published_ns >= 0.9e9 * PUBLISH_AT_LEAST_S and left_s > PUBLISH_AT_LEAST_S:
                self._publish(cells_changed=False)

    async def _scan_once(self, commands: Sequence[Command]) -> None:
        """Scan, publish, write; what is for people and for the disk comes behind the writes."""
        now_ns = self._clock.mono_ns()
        self._pace.begin(now_ns)
        conditions = self._system_conditions(now_ns)
        if self._recorder is not None:
            self._recorder.inputs(now_ns, commands, conditions)
        for alarm, active in conditions.items():
            self._state.conditions.hold(alarm, active, now_ns)
        result = scan(self._tables, self._state, commands, now_ns)
        self._publish_pace()
        self._publish(cells_changed=result.cells_changed)
        if self._recorder is not None:
            self._recorder.asked(result)
        self._field.withheld[: len(result.withhold_heartbeat)] = result.withhold_heartbeat
        self._field.write()
        try:
            await asyncio.sleep(0)  # what is written goes out first: a scan that trips has the most to report
        finally:
            self._report(result, commands, now_ns)
        self._show_life()
        missed = self._pace.finish(self._clock.mono_ns())
        if not missed:
            self._field.scan_succeeded()
            self._systemd.alive()

    def _publish(self, *, cells_changed: bool) -> None:
        self._published_ns = self._clock.mono_ns()
        self._snapshot.publish(self._state.image, self._published_ns, cells_changed=cells_changed)

    def _publish_pace(self) -> None:
        image, lateness, now_ns = self._state.image, self._pace.lateness, self._clock.mono_ns()
        shown = {
            "plant.scan_overruns": self._pace.overruns,
            "plant.scan_lateness_p50": lateness.percentile_s(0.5),
            "plant.scan_lateness_p99": lateness.percentile_s(0.99),
            "plant.scan_lateness_p999": lateness.percentile_s(0.999),
            "plant.scan_lateness_max": lateness.longest_s,
            "plant.time_quality": time_quality(),
        }
        for name, value in shown.items():
            place = image[name]
            place.value[0], place.quality[0], place.time_ns[0] = value, Quality.GOOD, now_ns

    def _report(self, result: ScanResult, commands: Sequence[Command], now_ns: int) -> None:
        """Events to the ring and the journal; resets and acknowledges are answered only once they are on disk."""
        utc_ns = self._clock.utc_ns()
        records = ring_records(result, self._tables.alarms, now_ns, utc_ns)
        if len(records):
            self._snapshot.events.append(records)
        lasting = {c.id for c in commands if c.action in _ANSWERED_WHEN_COMMITTED}
        own = {c.id for c in commands if c.face in _OWN_FACES}
        replies = [r for r in result.replies if r.id not in own]
        later = [r for r in replies if r.id in lasting]
        self._save_what_changed(result, commands)
        self._server.answer(r for r in replies if r.id not in lasting)
        rows = journal_rows(result, self.plant, self._tables.alarms, now_ns, utc_ns)
        if self._recorder is not None:
            self._recorder.outcome(result, rows, utc_ns)
        if rows or later:
            self._disk.journal.write(rows, lambda committed: self._server.answer(_told(later, committed=committed)))

    def _save_what_changed(self, result: ScanResult, commands: Sequence[Command]) -> None:
        """What was decided is kept before it is answered; mere alarms may come many at once, and wait for the tick."""
        urgent = any(command.action not in CYCLIC for command in commands)
        urgent |= any(event.kind in RETAINED_KINDS for event in result.control_events)
        if urgent or any(event.level >= Level.TRIP for event in result.alarm_events):
            self._save()
        elif result.alarm_events:
            self._unsaved = True

    def _system_conditions(self, now_ns: int) -> SystemConditions:
        """Return what the scan cannot know of itself: links, devices, faces, disk, clock, recording."""
        unrecorded = self._recorder is not None and self._recorder.lost > 0
        utc_ns = self._clock.utc_ns()
        found = self._watch.look(now_ns, utc_ns)
        return {
            **found,
            **self._overdue.conditions(utc_ns),
            SystemAlarm.RECORDING_INCOMPLETE: np.array([unrecorded]),
            SystemAlarm.CLOCK_UNCERTAIN: found[SystemAlarm.CLOCK_UNCERTAIN] | self._clock_is_uncertain(),
        }

    def _clock_is_uncertain(self) -> bool:
        """Events of several machines can't be put in order then; a simulated plant has no others."""
        return not self._folders.simulated and time_quality() is TimeQuality.NOT_SYNCHRONISED

    async def _unload(self) -> None:
        """Clean stop: ask the plant to stop, scan on until its power is at zero (or patience ends), publish."""
        self._systemd.stopping()
        self._snapshot.set_run_state(RunState.STOPPING)
        await self._scan_once([_stop_command(self._clock.mono_ns())])
        deadline_ns = self._clock.mono_ns() + round(STOP_RAMP_S * 1e9)
        while self._clock.mono_ns() < deadline_ns and not self._is_at_zero():
            await asyncio.sleep(min(self.plant.control.scan_period_s, PUBLISH_AT_LEAST_S))
            await self._scan_once([])

    def _is_at_zero(self) -> bool:
        setpoints = self._state.outputs["pcs.active_power_setpoint"]
        return not np.any(setpoints.value) and abs(float(self._state.image["plant.pcs_power"].value[0])) < 1e3

    def _lowers(self, command: Command) -> bool:
        """Whether a limit command lowers what is in effect: such a command is never refused for fullness or age."""
        name = {Action.SET_EXPORT_LIMIT: "plant.export_limit", Action.SET_IMPORT_LIMIT: "plant.import_limit"}
        quantity = name.get(command.action)
        if quantity is None or not isinstance(command.value, (int, float)):
            return False
        return bool(command.value < self._state.image[quantity].value[0])

    async def _keep_saving(self) -> None:
        """Save all each minute; what was decided at each tick after which it changed, or while it can't be written."""
        for tick in itertools.count():
            each_minute = tick % round(SAVE_PERIOD_S / SAVE_TICK_S) == 0
            if each_minute or self._unsaved or self._disk.retained.failing:
                self._save()
            if each_minute:
                self._save_learned()
            await asyncio.sleep(SAVE_TICK_S)

    async def _tell_of_links(self) -> None:
        """Leave for `bess status` how the links fare; where there is no room for it the plant runs on."""
        while True:
            with contextlib.suppress(OSError):
                write_whole(self._folders.run.links, json.dumps(summary(self._field.links)))
            await asyncio.sleep(LINKS_TOLD_EACH_S)

    def _save(self, *, ended: bool = False) -> None:
        """Keep what was decided; `ended`: this run has ended as it was asked to."""
        parts = decided_parts(self._tables, self._state, self._clock.mono_ns())
        self._disk.retained.save(parts | ({ENDED: b"stopped"} if ended else {}), self._clock.utc_ns())
        self._unsaved = False

    def _save_learned(self) -> None:
        """Keep what was learned."""
        decided = {DECIDED: str(self._disk.retained.number).encode()}
        self._disk.learned.save(learned_parts(self._tables, self._state) | decided, self._clock.utc_ns())

    def _restore(self, utc_ns: int) -> tuple[dict[str, bytes], Past]:
        """Take over what was retained; return it, and what is to be told of the life before."""
        parts = load_parts(self._folders.retained, self._folders.learned, self._folders.run.retained)
        taken = take_over(self._tables, self._state, parts, self._started_ns, utc_ns)
        for text in (*taken.lost, *([f"retained state is not used: {taken.problem}"] if taken.problem else ())):
            print(text, file=sys.stderr)
        return parts, Past(taken.problem, died(parts))


def _moved_links(folders: Folders) -> dict[str, bytes]:
    path = folders.run.addresses
    return {MOVED_LINKS: path.read_bytes()} if path.exists() else {}


def _in_folder(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def _recorder(
    options: ControlOptions,
    tables: Tables,
    state: State,
    groups: Sequence[PollGroup],
    header: Mapping[str, Any],
    parts: Mapping[str, bytes],
) -> Recorder | None:
    """Return the recorder of this run, None if none is asked for; raises OSError where its file can't be made.

    `bess run` refuses a file that is there; what is there now is of an earlier life of control, and stays.
    """
    if options.record is None:
        return None
    return Recorder(_next_free(options.record), tables, state, tuple(group.raw for group in groups), header, parts)


def _next_free(path: Path) -> Path:
    names = itertools.chain([path], (path.with_stem(f"{path.stem}-{n}") for n in itertools.count(2)))
    return next(name for name in names if not name.exists())


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files as far as it is needed and allowed: a connection a link."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
        )


def _quieten_interpreter() -> None:
    """Keep what was built for good out of garbage collections, and let the journal's thread wait less for the loop."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)


_OWN_FACES = {OWN_FACE, SCHEDULE_FACE}
_ANSWERED_WHEN_COMMITTED = {Action.RESET_TRIPS, Action.RESET_TRIP, Action.ACKNOWLEDGE_ALARMS}


def _told(replies: Sequence[Reply], *, committed: bool) -> Sequence[Reply]:
    """Return the replies that waited for the journal, saying so where it could not be written."""
    if committed:
        return replies
    return [replace(reply, text=f"{reply.text or 'done'}; the journal can't be written") for reply in replies]


def _stop_command(now_ns: int) -> Command:
    return Command("control-stop", OWN_FACE, "controller", "operator", Action.STOP, "Plant", None, now_ns)


def prepare_folders(folders: Folders) -> None:
    """Make both folders; raises RunDirectoryError or OSError with what to do."""
    make_state_folder(folders.state)
    prepare(folders.run)
