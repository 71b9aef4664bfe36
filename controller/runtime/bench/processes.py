"""A whole demo in its processes: what control takes, how soon faces are back, what shows when control is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from controller.plant.model import Plant
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.bench.result import Result, at_most
from controller.runtime.bench.run import ROLES, SETTLING_S, Running, running, until, wait
from controller.scada import bench_probes
from controller.scada.bench_probes import ModbusProbe, OpcUaProbe, Probe

CONTROL_GOAL_PERCENT, SILENCE_GOAL_S = 20.0, 1.5
FACE_GOALS_S = {"opcua": 5.0, "modbus": 2.0}
WINDOW_S, LONGEST_S = 60.0, 30.0
_TAG = "Plant.Block01.Rack01.Voltage"
_LIBRARY_OF = {"opcua": "import asyncua", "modbus": "import numpy, yaml, pydantic"}


def bench_processes(plant: Plant) -> list[Result]:
    """Run a demo with a plant's number of racks: its use of the processor, then kill and stop what can be."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    racks = len(plant.racks)
    with running(racks) as run, asyncio.Runner() as clients:
        wait(SETTLING_S)
        results = [_control_share(run, racks)]
        probes = _probes(run, plant)
        for role, goal_s in FACE_GOALS_S.items():
            value_s, beside = clients.run(_restart(run, role, probes[role], plant))
            beside["libraries_alone_s"] = _loading_s(role)
            results.append(at_most(f"{role}_back_after_kill", value_s, "s", goal_s, beside))
        for sign in (signal.SIGKILL, signal.SIGSTOP):
            results += clients.run(_silence(run, sign, probes))
    return results


def _control_share(run: Running, racks: int) -> Result:
    """Measure user and system time of every process over a minute in which nobody asks the faces anything."""
    before_s, started_s = {role: run.cpu_s(role) for role in ROLES}, time.perf_counter()
    wait(WINDOW_S)
    elapsed_s = time.perf_counter() - started_s
    shares = {role: round(100 * (run.cpu_s(role) - before_s[role]) / elapsed_s, 1) for role in ROLES}
    scan = run.status().scan
    beside = {f"{role}_percent": share for role, share in shares.items() if role != "control"}
    beside |= {"racks": racks, "window_s": round(elapsed_s, 1), "scan_period_s": scan["period_s"]}
    return at_most("control_cpu", shares["control"], "% of a core", CONTROL_GOAL_PERCENT, beside)


def _probes(run: Running, plant: Plant) -> dict[str, Probe]:
    place = flat_map(point_list(plant)).points[_TAG]
    return {
        "opcua": OpcUaProbe(run.about["opcua"], _TAG),
        "modbus": ModbusProbe(run.about["modbus"], place.unit, place.address),
    }


async def _restart(run: Running, role: str, probe: Probe, plant: Plant) -> tuple[float, dict[str, float]]:
    """Kill a face; measure until a client reads a rack's voltage as good again."""
    os.kill(run.told(role)["pid"], signal.SIGKILL)
    await bench_probes.until(probe, wanted=False, longest_s=1.0)
    value_s = await bench_probes.until(probe, wanted=True, longest_s=LONGEST_S)
    beside: dict[str, float] = {"racks": len(plant.racks)}
    if isinstance(probe, OpcUaProbe) and value_s < LONGEST_S:
        tags = [p.tag for p in point_list(plant).points if p.unit]
        beside |= {"variables_with_a_unit": len(tags), "units_or_ranges_missing": await _missing(probe, tags)}
        await probe.close()
    return round(value_s, 2), beside


def _loading_s(role: str) -> float:
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", _LIBRARY_OF[role]], check=True)
    return round(time.perf_counter() - started_s, 2)


async def _missing(probe: OpcUaProbe, tags: Sequence[str]) -> int:
    return sum([await probe.missing_properties(tags[start : start + 200]) for start in range(0, len(tags), 200)])


async def _silence(run: Running, sign: signal.Signals, probes: dict[str, Probe]) -> list[Result]:
    """Kill or stop control; on each face measure until a value is no longer good, and then until it is again."""
    await asyncio.gather(*(bench_probes.until(probe, wanted=True, longest_s=LONGEST_S) for probe in probes.values()))
    os.kill(run.told("control")["pid"], sign)
    spent = await asyncio.gather(*(_gone_and_back(probe) for probe in probes.values()))
    until(lambda: bool(run.told("control")["ready"]))
    word = "killed" if sign is signal.SIGKILL else "stopped"
    return [
        at_most(
            f"{role}_bad_after_control_{word}",
            round(gone_s, 2),
            "s",
            SILENCE_GOAL_S,
            {"good_again_s": round(back_s, 2)},
        )
        for role, (gone_s, back_s) in zip(probes, spent, strict=True)
    ]


async def _gone_and_back(probe: Probe) -> tuple[float, float]:
    gone_s = await bench_probes.until(probe, wanted=False, longest_s=LONGEST_S)
    return gone_s, gone_s + await bench_probes.until(probe, wanted=True, longest_s=LONGEST_S)
