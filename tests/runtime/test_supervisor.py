"""The supervisor against real processes: readiness, silence, restarts, giving up, and a clean stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from controller.runtime.clock import SystemClock
from controller.runtime.supervisor import ChildSpec, Supervisor

_CHILD = """
import os, sys, time, select
pipe, mode = int(sys.argv[-1]), sys.argv[1]
if mode == "dies": sys.exit(3)
os.write(pipe, b"..{\\"mode\\": \\"%s\\"}\\n" % mode.encode())
while True:
    os.write(pipe, b".")
    if select.select([0], [], [], 0.05)[0] and not os.read(0, 100): sys.exit(0)
"""


def _child(role: str, mode: str = "lives", **more: object) -> ChildSpec:
    command = (sys.executable, "-c", _CHILD, mode)
    return ChildSpec(role=role, command=command, silence_s=0.5, **more)  # type: ignore[arg-type]  # by keyword


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_face_waits_for_control_and_both_stop_cleanly() -> None:
    supervisor = Supervisor([_child("control", essential=True), _child("opcua", after=("control",))], SystemClock())
    run = asyncio.ensure_future(supervisor.run())
    control, face = supervisor.children["control"], supervisor.children["opcua"]
    await _until(face.ready.is_set)

    assert control.ready_ns <= face.started_ns
    assert face.about == {"mode": "lives"}
    supervisor.stop()
    assert await asyncio.wait_for(run, 20) == 0
    assert face.process is not None
    assert face.process.returncode == 0


async def test_a_killed_face_comes_back() -> None:
    supervisor = Supervisor([_child("modbus")], SystemClock())
    run = asyncio.ensure_future(supervisor.run())
    face = supervisor.children["modbus"]
    await _until(face.ready.is_set)
    first = face.pid
    os.kill(first, signal.SIGKILL)
    await _until(lambda: face.pid != first and face.ready.is_set())

    supervisor.stop()
    assert await asyncio.wait_for(run, 20) == 0
    assert face.starts == 2


async def test_a_silent_child_is_killed_and_restarted() -> None:
    supervisor = Supervisor([_child("modbus")], SystemClock())
    run = asyncio.ensure_future(supervisor.run())
    face = supervisor.children["modbus"]
    await _until(face.ready.is_set)
    first = face.pid
    os.kill(first, signal.SIGSTOP)
    await _until(lambda: face.pid != first and face.ready.is_set())

    supervisor.stop()
    assert await asyncio.wait_for(run, 20) == 0


async def test_an_essential_child_that_keeps_dying_ends_the_run() -> None:
    supervisor = Supervisor(
        [_child("control", "dies", essential=True), _child("modbus")],
        SystemClock(),
    )

    assert await asyncio.wait_for(supervisor.run(), 30) == 1
    assert supervisor.children["control"].starts == 3
    face = supervisor.children["modbus"].process
    assert face is None or face.returncode is not None
