"""`bess run`: one command that supervises the processes of one controller, with or without a simulated plant."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from controller.commissioning.validation import validate_site
from controller.link.control_lock import AlreadyControlledError, ControlLock
from controller.link.run_directory import RunDirectoryError, discard, hold, prepare, sweep, write_whole
from controller.link.state_folder import in_words, make_state_folder
from controller.plant.model import Plant
from controller.plant.site_loader import load_site, site_file
from controller.runtime.clock import SystemClock
from controller.runtime.folders import Folders, folders_of
from controller.runtime.journal import journal_problem
from controller.runtime.retained import retained_problem
from controller.runtime.supervisor import ChildSpec, Supervisor

OK, NO, UNUSABLE = 0, 1, 2
CONTROL_SILENCE_S, FACE_SILENCE_S = 1.0, 10.0
FACE_NICE = 10
ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
FACES = frozenset({"opcua", "modbus"})
FACE_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `bess run` was asked for."""

    site: Path
    simulated: bool = False
    record: Path | None = None
    auto_ports: bool = False
    state: Path | None = None
    json: bool = False
    seconds: float | None = None
    leaves_nothing: bool = False  # its run directory goes with it


class Companion(Protocol):
    """What runs beside the processes for a person: a status line, a scenario."""

    async def run(self, plant: Plant, folders: Folders, about: Mapping[str, object]) -> None:
        """Begin when all faces answer (`about` is what was announced); returning ends the run."""

    def finish(self) -> int:
        """Say what came of it, and return the exit code that is due to it."""


def run_site(options: RunOptions, companion: Companion | None = None) -> int:
    """Supervise until stopped; return the exit code."""
    result = load_site(options.site)
    if result.plant is None:
        print(result.text(), file=sys.stderr)
        return NO if site_file(options.site).is_file() else UNUSABLE
    folders = folders_of(result.plant.site_id, simulated=options.simulated, state=options.state)
    try:
        return _run(options, result.plant, folders, companion)
    finally:
        if options.leaves_nothing:
            discard(folders.run)


def _run(options: RunOptions, plant: Plant, folders: Folders, companion: Companion | None) -> int:
    asked_to_end = _note_signals()
    try:
        _take_folders(plant, folders)
        _require_new(options.record)
        require_ports(plant, auto_ports=options.auto_ports)
        held = hold(folders.run)
        sweep(folders.run)
        run = _Run(options, plant, folders)
    except (RunDirectoryError, AlreadyControlledError, OSError) as error:
        _say(error)
        return UNUSABLE
    try:
        return asyncio.run(_supervise(run, options.seconds, companion, asked_to_end))
    finally:
        os.close(held)


def _note_signals() -> list[int]:
    """Note from now on which signals ask us to end, until a loop takes them: what is half made or locked is finished.

    To block them instead would not do: a library's thread has a mask of its own, and takes the signal for all.
    """
    noted: list[int] = []
    for sign in ENDING:
        signal.signal(sign, lambda number, _frame: noted.append(number))
    return noted


def run_check(options: RunOptions) -> int:
    """Do every start-up check and start nothing: what `validate` only warns of may be an error on this machine."""

    def state_of(site_id: str) -> Path:
        return folders_of(site_id, simulated=options.simulated, state=options.state).state

    today = dt.datetime.fromtimestamp(SystemClock().utc_ns() * 1e-9, dt.UTC).date()
    found = validate_site(options.site, today=today, state_of=state_of, runs_here=not options.simulated)
    print(found.result.text() or "site: ok", file=sys.stderr)
    plant = found.result.plant
    if plant is None or found.errors:
        return NO if found.readable else UNUSABLE
    folders = folders_of(plant.site_id, simulated=options.simulated, state=options.state)
    try:
        _take_folders(plant, folders)
        require_ports(plant, auto_ports=options.auto_ports)
    except (RunDirectoryError, AlreadyControlledError, OSError) as error:
        _say(error)
        return NO
    if unsound := _unsound(folders):
        print("\n".join(f"error: {problem}" for problem in unsound), file=sys.stderr)
        return NO
    print(f"state folder {folders.state}: ok\nrun directory {folders.run.folder}: ok", file=sys.stderr)
    return OK


def _unsound(folders: Folders) -> list[str]:
    """Return, in words, what of an earlier run could not be taken over as it is."""
    kept = [retained_problem(folders.retained), retained_problem(folders.learned), journal_problem(folders.journal)]
    return [problem for problem in kept if problem]


def _say(error: Exception) -> None:
    print(f"error: {in_words(error) if isinstance(error, OSError) else error}", file=sys.stderr)


def _require_new(record: Path | None) -> None:
    """Refuse to record over a file, or into a folder that is not there: nothing is started then."""
    if record is None:
        return
    if record.exists():
        raise FileExistsError(f"{record}: is there already; a recording never replaces a file, name another")
    if not record.resolve().parent.is_dir():
        raise FileNotFoundError(f"{record.resolve().parent}: there is no such folder to record into")


def require_ports(plant: Plant, *, auto_ports: bool) -> None:
    """Refuse to start beside another program that has a face's port: a face that can't have it would only be restarted.

    Raises OSError that names face and port.
    """
    for name, face in (("opcua", plant.faces.opcua), ("modbus", plant.faces.modbus)):
        if face is None or auto_ports or not face.port:
            continue
        family = socket.AF_INET6 if ":" in face.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((face.host, face.port))
            except OSError as error:
                where = f"{face.host}:{face.port}"
                hint = "stop what has it, set another port in the site file, or run with --ports auto"
                raise OSError(f"the {name} face can't have {where}: {error.strerror}; {hint}") from error


def _take_folders(plant: Plant, folders: Folders) -> None:
    """Make both folders and see that nobody controls the site: nothing of a running controller is touched."""
    make_state_folder(folders.state)
    prepare(folders.run)
    with ControlLock(folders.state, None if folders.simulated else plant.site_id):
        return


async def _supervise(run: _Run, seconds: float | None, companion: Companion | None, asked_to_end: Sequence[int]) -> int:
    loop = asyncio.get_running_loop()
    for sign in ENDING:
        loop.add_signal_handler(sign, run.supervisor.stop)
    if asked_to_end:
        run.supervisor.stop()
    async with asyncio.TaskGroup() as group:
        beside = [] if companion is None else [group.create_task(_accompany(run, companion))]
        beside += [] if seconds is None else [group.create_task(_stop_after(run, seconds))]
        code = await run.supervisor.run()
        for task in beside:
            task.cancel()
    return code if companion is None else max(code, companion.finish())


async def _stop_after(run: _Run, seconds: float) -> None:
    """End the run so long after all faces answered: a slow start does not count."""
    await run.announced.wait()
    await asyncio.sleep(seconds)
    run.supervisor.stop()


async def _accompany(run: _Run, companion: Companion) -> None:
    """Run the companion once all faces answer; whatever ends it ends the run, and that cleanly."""
    await run.announced.wait()
    try:
        await companion.run(run.plant, run.folders, run.about)
    finally:
        run.supervisor.stop()


class _Run:
    """The supervisor, and what is told of it: once to the person who started it, always to `bess status`."""

    def __init__(self, options: RunOptions, plant: Plant, folders: Folders) -> None:
        folders.processes.write_text("{}", encoding="utf-8")  # a full tmpfs is told now, not in the middle
        ports = [folders.port(name) for name in ("opcua", "modbus", "faults")]
        for left_over in (folders.run.links, folders.run.retained, *ports):
            left_over.unlink(missing_ok=True)
        self._options, self.plant, self.folders = options, plant, folders
        self._told: dict[str, tuple[bool, int]] = {}
        clock = SystemClock()
        self._started_ns = clock.mono_ns()
        self.announced = asyncio.Event()
        self.about: dict[str, object] = {}
        self.supervisor = Supervisor(list(_children(options, plant, folders)), clock, self._report)

    def _report(self) -> None:
        _write_processes(self.supervisor, self.folders, self._started_ns)
        self._tell_control_of_faces()
        if all(c.ready.is_set() for c in self.supervisor.children.values()) and not self.announced.is_set():
            self.announced.set()
            self.about = _about(self.supervisor)
            _announce(self.about, as_json=self._options.json)

    def _tell_control_of_faces(self) -> None:
        """Let control raise alarms about faces; when all end together, none of them has failed."""
        if self.supervisor.is_stopping:
            return
        for role in FACES & self.supervisor.children.keys():
            child = self.supervisor.children[role]
            news = child.ready.is_set(), child.starts
            if child.starts and self._told.get(role) != news:
                self._told[role] = news
                line = json.dumps({"role": role, "ready": news[0], "starts": news[1]})
                self.supervisor.tell("control", line)


def _children(options: RunOptions, plant: Plant, folders: Folders) -> Iterator[ChildSpec]:
    def spec(
        role: str, *more: str, after: tuple[str, ...] = (), silence_s: float = FACE_SILENCE_S, **rest: int
    ) -> ChildSpec:
        command = [sys.executable, "-m", "controller.runtime.process", role, "--site", str(site_file(options.site))]
        command += ["--site-id", plant.site_id, "--state", str(folders.state), "--run", str(folders.run.folder)]
        command += ["--simulated"] if options.simulated else []
        command += ["--auto-ports"] if options.auto_ports else []
        return ChildSpec(role, (*command, *more, "--life-pipe"), silence_s, after=after, **rest)  # type: ignore[arg-type]  # nice, memory_bytes, essential

    first: tuple[str, ...] = ()
    if options.simulated:
        folders.run.addresses.unlink(missing_ok=True)
        yield spec("simulator")
        first = ("simulator",)
    record = () if options.record is None else ("--record", str(options.record.resolve()))
    control = spec("control", *record, after=first, silence_s=CONTROL_SILENCE_S, essential=True)
    yield replace(control, again=("--again",))  # what was edited meanwhile waits for the next run
    for role, face in (("opcua", plant.faces.opcua), ("modbus", plant.faces.modbus)):
        if face is not None:
            yield spec(role, after=("control",), nice=FACE_NICE, memory_bytes=FACE_MEMORY_BYTES)


def _write_processes(supervisor: Supervisor, folders: Folders, started_ns: int) -> None:
    """Leave the children's pids where `bess status` finds them."""
    children = {
        role: {
            "pid": c.pid,
            "started_mono_ns": c.started_ns,
            "ready": c.ready.is_set(),
            "starts": c.starts,
            "endpoint": c.about.get(role, ""),
        }
        for role, c in supervisor.children.items()
    }
    about = {"pid": os.getpid(), "started_mono_ns": started_ns, "state": str(folders.state)}
    with contextlib.suppress(OSError):  # a tmpfs that is full: status is old then, the plant runs on
        write_whole(folders.processes, json.dumps({"supervisor": about, **children}))


def _about(supervisor: Supervisor) -> dict[str, object]:
    about: dict[str, object] = {}
    for child in supervisor.children.values():
        about |= {k: v for k, v in child.about.items() if k in {"opcua", "modbus", "faults", "devices"}}
    about["pids"] = {"supervisor": os.getpid(), **{role: c.pid for role, c in supervisor.children.items()}}
    return about


def _announce(about: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(about), flush=True)
        return
    for key in ("opcua", "modbus", "faults"):
        if key in about:
            print(f"{key:8s} {about[key]}")
    print(f"processes {about['pids']}", flush=True)
