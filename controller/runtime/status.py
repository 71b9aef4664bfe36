"""`bess status`: what runs, how the scan fares, how the plant stands; read from the run directory, asking nobody."""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.image.data_periods import data_periods
from controller.link.linked_plant import LinkedPlant
from controller.link.plant_view import Snapshot
from controller.link.sealed_site import SealedSiteError, load_sealed
from controller.plant.model import Plant
from controller.plant.site_loader import load_site
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.runtime.folders import Folders, folders_of
from controller.runtime.journal import read_events
from controller.runtime.scan_state import image_layout
from controller.scada.readings import PointReader

_SHOWN = ("State", "ActivePower", "ActivePowerSetpoint", "SoC", "RacksConnected", "ActiveAlarms", "LimitReasonText")
_STATES = ("unknown", "off", "starting", "running", "standby", "stopping", "tripped", "out of service")


@dataclass(slots=True)
class Status:
    """The answer; `running`: control publishes now."""

    running: bool
    problem: str = ""
    processes: list[dict[str, Any]] = field(default_factory=list)
    scan: dict[str, float] = field(default_factory=dict)
    plant: dict[str, object] = field(default_factory=dict)
    events: list[dict[str, object]] | None = None  # the newest of the journal, oldest first; None: not asked for

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "running": self.running,
            "problem": self.problem,
            "processes": self.processes,
            "scan": self.scan,
            "plant": self.plant,
            **({} if self.events is None else {"events": self.events}),
        }

    def as_text(self) -> str:
        """Return it for people."""
        lines = [self.problem] if self.problem else []
        lines += [
            f"{p['role']:10s} pid {p['pid']} up {p['uptime_s']:.0f} s, {p['memory_mb']:.0f} MB, starts {p['starts']}"
            for p in self.processes
        ]
        lines += [f"scan   {name} {value:g}" for name, value in self.scan.items()]
        lines += [f"plant  {name} {value}" for name, value in self.plant.items()]
        lines += [
            f"event  {e['utc']} {e['kind']} {e['equipment']} {e['user'] or '-'}: {e['text']}" for e in self.events or ()
        ]
        return "\n".join(lines)


def status_of(site: Path | None, state: Path | None = None, events: int = 0) -> Status:
    """Return the status of a site's controller, real or simulated, with so many of the newest events of its journal.

    `state` replaces the state folder, as it did when the controller was started.
    """
    if site is None:
        return Status(running=False, problem="expected a SITE (a folder with site.yaml)")
    result = load_site(site)
    if result.plant is None:
        return Status(running=False, problem=result.text())
    both = [folders_of(result.plant.site_id, simulated=simulated, state=state) for simulated in (False, True)]
    ran = next((folders for folders in both if folders.run.snapshot.exists()), None)
    problem = f"no controller has run for site {result.plant.site_id} since the machine started"
    status = Status(running=False, problem=problem) if ran is None else read_status(ran)
    kept = ran or next((folders for folders in both if folders.journal.exists()), None)
    if events and kept is not None:
        status.events = newest_events(kept.journal, events)
    return status


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


def read_status(folders: Folders) -> Status:
    """Return the status behind these folders."""
    try:
        sealed = load_sealed(folders.run.folder)
    except SealedSiteError as error:
        return Status(running=False, problem=str(error))
    plant = _sealed_plant(sealed.folder)
    if plant is None:
        return Status(running=False, problem=f"{sealed.folder}: the sealed site can't be read")
    clock = SystemClock()
    snapshot = LinkedPlant(folders.run, image_layout(plant), sealed.hash, clock).snapshot()
    running = not snapshot.is_stale(clock.mono_ns())
    status = Status(running, "" if running else "control is silent", _processes(folders, clock.mono_ns()))
    status.scan = _scan(snapshot, plant)
    status.plant = _plant(snapshot, plant, clock.mono_ns())
    return status


def line_of(plant: Plant, folders: Folders) -> str:
    """Return one line for a person who watches the demo."""
    status = read_status(folders)
    if not status.running:
        return f"{plant.site_id}: {status.problem}".ljust(100)
    shown = status.plant
    state = _STATES[int(str(shown.get("State") or 0))]
    parts = [f"{plant.site_id}: {state}", f"{shown.get('ActivePower')} MW (asked {shown.get('ActivePowerSetpoint')})"]
    parts += [
        f"SOC {shown.get('SoC')} %",
        f"{shown.get('RacksConnected')} racks",
        f"{shown.get('ActiveAlarms')} alarms",
    ]
    return "  ".join(parts).ljust(100)


def _sealed_plant(folder: Path) -> Plant | None:
    name = "site.yaml" if (folder / "site.yaml").exists() else next(p.name for p in sorted(folder.glob("*.yaml")))
    return load_site(folder / name).plant


def _processes(folders: Folders, now_ns: int) -> list[dict[str, Any]]:
    if not folders.processes.exists():
        return []
    told = json.loads(folders.processes.read_text(encoding="utf-8"))
    return [
        {
            "role": role,
            "pid": child["pid"],
            "uptime_s": round((now_ns - child.get("started_mono_ns", now_ns)) * 1e-9, 1),
            "memory_mb": _memory_mb(child["pid"]),
            "starts": child.get("starts", 1),
            "ready": child.get("ready", True),
        }
        for role, child in told.items()
    ]


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


def _plant(snapshot: Snapshot, plant: Plant, now_ns: int) -> dict[str, object]:
    reader = PointReader(data_periods(plant))
    points = point_list(plant).by_tag()
    shown: dict[str, object] = {}
    for name in _SHOWN:
        value = reader.read(snapshot, points[f"Plant.{name}"], now_ns).value
        shown[name] = round(value, 3) if isinstance(value, float) else value
    return shown
