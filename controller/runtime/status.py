"""`bess status`: what runs, how the scan fares, how the plant stands; read from the run directory, asking nobody."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controller.alarms.table import AlarmTable
from controller.image.data_periods import data_periods
from controller.link.linked_plant import LinkedPlant, SiteChangedError
from controller.link.plant_view import RunState, Snapshot
from controller.link.run_directory import RunDirectory, pids_alive, present
from controller.link.sealed_site import SealedSiteError, load_sealed
from controller.link.simulated_addresses import moved, read_addresses
from controller.plant.model import Plant
from controller.plant.site_loader import load_site
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.runtime.folders import Folders, folders_of
from controller.runtime.journal import JournalError, read_events
from controller.runtime.scan_state import image_layout
from controller.scada.alarm_words import AlarmWords
from controller.scada.readings import PointReader

_SHOWN = ("State", "ActivePower", "ActivePowerSetpoint", "SoC", "RacksConnected", "ActiveAlarms", "LimitReasonText")
_STATES = ("unknown", "off", "starting", "running", "standby", "stopping", "tripped", "out of service")


@dataclass(slots=True)
class Status:
    """The answer; `running`: control publishes now."""

    running: bool
    problem: str = ""
    site: str = ""
    folder: str = ""
    state: str = ""
    processes: list[dict[str, Any]] = field(default_factory=list)
    scan: dict[str, float] = field(default_factory=dict)
    links: dict[str, Any] = field(default_factory=dict)
    faces: dict[str, str] = field(default_factory=dict)
    plant: dict[str, object] = field(default_factory=dict)
    alarms: list[dict[str, object]] = field(default_factory=list)  # active or not acknowledged, first to look at first
    events: list[dict[str, object]] | None = None  # the newest of the journal, oldest first; None: not asked for
    events_problem: str = ""  # why there are none

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        told = asdict(self)
        if self.events is None:
            del told["events"], told["events_problem"]
        return told

    def as_text(self) -> str:
        """Return it for people."""
        lines = self.problem.splitlines()
        lines += [f"site       {self.site}, run directory {self.folder}"] if self.site else []
        lines += [
            f"{p['role']:10s} pid {p['pid']} up {p['uptime_s']:.0f} s, {p['memory_mb']:.0f} MB, starts {p['starts']}"
            for p in self.processes
        ]
        lines += [f"scan   {name} {value:g}" for name, value in self.scan.items()]
        lines += [f"links  {name} {value}" for name, value in self.links.items() if name != "troubled"]
        lines += [f"link   {t['address']} {t['text']}" for t in self.links.get("troubled", [])]
        lines += [f"face   {name} {endpoint}" for name, endpoint in self.faces.items()]
        lines += [f"plant  {name} {value}" for name, value in self.plant.items()]
        lines += [f"alarm  {a['line']}" for a in self.alarms]
        lines += [
            f"event  {e['utc']} {e['kind']} {e['equipment']} {e['user'] or '-'}: {e['text']}" for e in self.events or ()
        ]
        lines += [f"events {self.events_problem}"] if self.events_problem else []
        return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Return a line with control characters written out: what a client sent must not drive a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def status_of(site: Path | None, state: Path | None = None, events: int = 0) -> Status:
    """Return the status of a site's controller, real or simulated, with so many of the newest events of its journal.

    Without a site it is that of the only controller that runs here, or runs on this state folder. `site` may also be a
    run directory, which is what tells several runs of one site apart. `state` replaces the state folder, as it did when
    the controller was started.
    """
    if site is not None and (site / "snapshot").exists():
        return _with_events(read_status(RunDirectory(site)), (), events)
    if site is None:
        running = [s for run in _present() if (s := read_status(run)).running and _is_kept_in(s, state)]
        return _with_events(_only(running, ""), () if state is None else (state,), events)
    result = load_site(site)
    if result.plant is None:
        return Status(running=False, problem=result.text())
    site_id = result.plant.site_id
    both = [folders_of(site_id, simulated=simulated, state=state) for simulated in (False, True)]
    known = [folders.run for folders in both if folders.run.snapshot.exists()]
    others = [] if state else [run for run in _present() if run not in known]
    statuses = [s for run in [*known, *others] if (s := read_status(run)).site == site_id]
    running = [s for s in statuses if s.running]
    found = _only(running, site_id) if running or not statuses else statuses[0]
    return _with_events(found, [folders.state for folders in both], events)


def _is_kept_in(status: Status, state: Path | None) -> bool:
    return state is None or status.state == str(state.resolve())


def _only(found: list[Status], site_id: str) -> Status:
    if len(found) == 1:
        return found[0]
    if found:
        folders = "\n".join(f"  bess status {s.folder}  ({s.site})" for s in found)
        return Status(running=False, problem=f"{len(found)} controllers run here; name one:\n{folders}")
    of_site = f" for site {site_id}" if site_id else ""
    return Status(running=False, problem=f"no controller runs here{of_site}")


def _with_events(status: Status, folders: Sequence[Path], events: int) -> Status:
    """Add events of the run's own journal, or of the first that one of these state folders has."""
    journals = [folder / "journal.sqlite" for folder in ([Path(status.state)] if status.state else folders)]
    if events and journals:
        status.events = []
        try:
            status.events = newest_events(next((j for j in journals if j.exists()), journals[0]), events)
        except JournalError as error:
            status.events_problem = str(error)
    return status


def alarms_shown(snapshot: Snapshot, words: AlarmWords) -> list[dict[str, object]]:
    """Return the alarm list, first to look at first; `line` is the alarm in words."""
    return [
        {
            "priority": alarm.priority.name.lower(),
            "state": alarm.state.name.lower(),
            "equipment": alarm.equipment,
            "function": alarm.function,
            "text": alarm.text,
            "response": alarm.response,
            "since_utc": words.since(alarm),
            "line": words.line(alarm),
        }
        for alarm in words.alarms(snapshot.image)[0]
    ]


def newest_events(journal: Path, limit: int) -> list[dict[str, object]]:
    """Return the newest events of a journal, oldest first; [] if there is no journal yet."""
    if not journal.exists():
        return []
    return [
        {
            "utc": _utc_text(utc_ns),
            "kind": kind,
            "equipment": equipment,
            "function": function,
            "level": level,
            "value": value,
            "limit": limit_value,
            "user": user,
            "text": text,
        }
        for utc_ns, _, kind, equipment, function, level, _, value, limit_value, _, user, text in read_events(
            journal, limit
        )
    ]


def _utc_text(utc_ns: int) -> str:
    """Return a stamp to the millisecond, as ISO 8601 writes it."""
    seconds, rest_ns = divmod(utc_ns, 1_000_000_000)
    stamp = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest_ns // 1_000_000:03d}Z"


def read_status(run: RunDirectory) -> Status:
    """Return the status behind a run directory."""
    try:
        sealed = load_sealed(run.folder)
    except SealedSiteError as error:
        return Status(running=False, problem=str(error))
    plant = _sealed_plant(sealed.folder)
    if plant is None:
        return Status(running=False, problem=f"{sealed.folder}: the sealed site can't be read")
    plant = moved(plant, read_addresses(run.addresses))
    clock = SystemClock()
    try:
        snapshot = LinkedPlant(run, image_layout(plant), sealed.hash, clock).snapshot()
    except SiteChangedError as error:
        return Status(running=False, problem=str(error), site=plant.site_id, folder=str(run.folder))
    processes, state = _processes(run, clock.mono_ns())
    running = bool(processes) and not snapshot.is_stale(clock.mono_ns())  # what has just ended is not stale yet
    status = Status(running, "", plant.site_id, str(run.folder), processes=processes, state=state)
    status.problem = "" if running else _why_silent(snapshot, status.processes)
    status.faces = {p["role"]: p["endpoint"] for p in status.processes if p["endpoint"]}
    status.links = _links(run)
    status.scan = _scan(snapshot, plant)
    words = AlarmWords(AlarmTable(plant), clock)
    status.plant = _plant(snapshot, plant, words, clock.mono_ns())
    if running:
        status.alarms = alarms_shown(snapshot, words)
    return status


def _why_silent(snapshot: Snapshot, processes: Sequence[Mapping[str, Any]]) -> str:
    """Say whether a control that does not publish has been stopped, has died, or should be heard and is not."""
    if processes:
        return "control is silent"
    how = "it was stopped" if snapshot.run_state is RunState.STOPPED else "it ended without a stop"
    return f"not running: {how}; what is shown is the last that it published"


def _present() -> list[RunDirectory]:
    return present(os.environ, os.geteuid())


def line_of(plant: Plant, folders: Folders) -> str:
    """Return one line for a person who watches the demo."""
    status = read_status(folders.run)
    if not status.running:
        return f"{plant.site_id}: {status.problem}".ljust(100)
    shown = status.plant
    state = _STATES[int(str(shown.get("State") or 0))]
    parts = [f"{plant.site_id}: {state}", f"{shown.get('ActivePower')} MW (asked {shown.get('ActivePowerSetpoint')})"]
    parts += [
        f"SOC {shown.get('SoC')} %",
        f"{shown.get('RacksConnected')} racks",
        f"{shown.get('ActiveAlarms')} alarm{'' if shown.get('ActiveAlarms') == 1 else 's'}",
    ]
    return "  ".join(parts).ljust(100)


def _sealed_plant(folder: Path) -> Plant | None:
    name = "site.yaml" if (folder / "site.yaml").exists() else next(p.name for p in sorted(folder.glob("*.yaml")))
    return load_site(folder / name).plant


def _links(run: RunDirectory) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(run.links.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told


def _processes(run: RunDirectory, now_ns: int) -> tuple[list[dict[str, Any]], str]:
    """Return the processes that live, and where their state is kept."""
    try:
        told = json.loads(run.processes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [], ""
    alive = pids_alive(run)
    processes = [
        {
            "role": role,
            "pid": child["pid"],
            "uptime_s": round((now_ns - child.get("started_mono_ns", now_ns)) * 1e-9, 1),
            "memory_mb": _memory_mb(child["pid"]),
            "starts": child.get("starts", 1),
            "ready": child.get("ready", True),
            "endpoint": child.get("endpoint", ""),
        }
        for role, child in told.items()
        if role in alive
    ]
    return processes, str(told.get("supervisor", {}).get("state", ""))


def _memory_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGESIZE") / 1e6, 1)


def _scan(snapshot: Snapshot, plant: Plant) -> dict[str, float]:
    if snapshot.is_none:
        return {}
    image = snapshot.image
    names = (
        "scan_count",
        "scan_overruns",
        "scan_lateness_p50",
        "scan_lateness_p99",
        "scan_lateness_p999",
        "scan_lateness_max",
    )
    values = {name: float(image[f"plant.{name}"].value[0]) for name in names}
    return {"period_s": plant.control.scan_period_s, **values}


def _plant(snapshot: Snapshot, plant: Plant, words: AlarmWords, now_ns: int) -> dict[str, object]:
    reader = PointReader(data_periods(plant), words)
    points = point_list(plant).by_tag()
    shown: dict[str, object] = {}
    for name in _SHOWN:
        value = reader.read(snapshot, points[f"Plant.{name}"], now_ns).value
        shown[name] = round(value, 3) if isinstance(value, float) else value
    return shown
