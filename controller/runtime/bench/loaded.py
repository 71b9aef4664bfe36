"""Scans and the Modbus face while clients, each in a process of its own, ask as much as they can."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from controller.runtime.bench.result import Result, at_most
from controller.runtime.bench.run import SETTLING_S, Running, running, wait, with_scan
from controller.runtime.pacing import Lateness

LATENESS_GOAL_RATIO, MODBUS_GOAL_RATIO = 3.0, 5.0
SCAN_S, SCANS_REMEMBERED = 0.05, 1_200
LOADED_S = SCAN_S * SCANS_REMEMBERED + 5.0
MODBUS_S = 15.0

Answers = list[dict[str, Any]]


def bench_loaded(racks: int) -> list[Result]:
    """Run a demo at a 50 ms scan, browse and read both faces hard, then abuse one and watch the other."""
    with running(racks, with_scan("50 ms")) as run:
        wait(SETTLING_S)
        return [_lateness(run, racks), _modbus_beside_abuse(run)]


def _lateness(run: Running, racks: int) -> Result:
    """Compare the scans' lateness with that of an empty loop in the same minute."""
    modbus, opcua = run.about["modbus"], run.about["opcua"]
    before = run.status().scan
    with _clients(("modbus", modbus), ("modbus", modbus), ("browse", opcua), seconds=LOADED_S) as answers:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            empty = runner.run(_empty_loop(LOADED_S))
        scan = run.status().scan
    value_ms, empty_ms = scan["scan_lateness_p99"] * 1e3, empty.percentile_s(0.99) * 1e3
    beside = {
        "empty_loop_p99_ms": round(empty_ms, 3),
        "p50_ms": round(scan["scan_lateness_p50"] * 1e3, 3),
        "empty_loop_p50_ms": round(empty.percentile_s(0.5) * 1e3, 3),
        "racks": racks,
        "scan_period_ms": scan["period_s"] * 1e3,
        "scans": scan["scan_count"] - before["scan_count"],
        "scans_skipped": scan["scan_overruns"] - before["scan_overruns"],
        "modbus_reads": sum(a["reads"] for a in answers[:2]),
        "opcua_values_read": answers[2]["values_read"],
        "opcua_nodes_browsed": answers[2]["nodes_browsed"],
    }
    goal_ms = round(LATENESS_GOAL_RATIO * empty_ms, 3)
    row = at_most("scan_lateness_p99_faces_read_hard", round(value_ms, 3), "ms", goal_ms, beside)
    read = beside["modbus_reads"] and beside["opcua_values_read"] and beside["opcua_nodes_browsed"]
    return row | {"met": row["met"] and not beside["scans_skipped"] and bool(read)}


def _modbus_beside_abuse(run: Running) -> Result:
    """Compare the Modbus face's slowest answers with those while the OPC UA face is abused."""
    modbus, opcua = run.about["modbus"], run.about["opcua"]
    with _clients(("modbus", modbus), seconds=MODBUS_S) as (idle,):
        pass
    with _abused(opcua) as abuse, _clients(("modbus", modbus), seconds=MODBUS_S) as (abused,):
        pass
    beside = {
        "p99_ms": abused["p99_ms"],
        "idle_p99_ms": idle["p99_ms"],
        "p50_ms": abused["p50_ms"],
        "idle_p50_ms": idle["p50_ms"],
        **{f"opcua_{name}": number for name, number in abuse.items()},
    }
    ratio = round(abused["p99_ms"] / idle["p99_ms"], 2)
    row = at_most("modbus_p99_while_opcua_is_abused", ratio, "ratio", MODBUS_GOAL_RATIO, beside)
    return row | {"met": row["met"] and all(abuse.values())}


@contextmanager
def _abused(opcua: str) -> Iterator[dict[str, int]]:
    """Abuse the OPC UA face beside the block, from when every abuse acts; what was done is in the answer behind it."""
    done: dict[str, int] = {}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(_command("abuse", opcua, 0.0), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield done
        finally:
            process.stdin.close()
            done |= json.loads(process.stdout.readline())


@contextmanager
def _clients(*kinds: tuple[str, str], seconds: float) -> Iterator[Answers]:
    """Run clients beside the block; what each of them tells is in the answers behind it."""
    answers: Answers = [{} for _ in kinds]
    threads = [
        threading.Thread(target=lambda n=n, kind=kind, where=where: answers[n].update(_client(kind, where, seconds)))
        for n, (kind, where) in enumerate(kinds)
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for thread in threads:
            thread.join()


def _client(kind: str, where: str, seconds: float) -> dict[str, Any]:
    done = subprocess.run(_command(kind, where, seconds), check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _command(kind: str, where: str, seconds: float) -> list[str]:
    return [sys.executable, "-m", "controller.scada.bench_clients", kind, where, str(seconds)]


async def _empty_loop(duration_s: float) -> Lateness:
    """Wake on the scan's grid and do nothing."""
    lateness, due_s = Lateness(), time.perf_counter()
    for _ in range(round(duration_s / SCAN_S)):
        due_s += SCAN_S
        await asyncio.sleep(due_s - time.perf_counter())
        lateness.add(max(time.perf_counter() - due_s, 0.0))
    return lateness
