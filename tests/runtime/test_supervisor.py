"""The supervisor against real processes: readiness, silence, restarts, giving up, and a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from controller.runtime.clock import SystemClock
from controller.runtime.supervisor import ChildSpec, Supervisor

_CHILD = """
import os, sys, time, select
mode, pipe, *more = sys.argv[1:]
pipe = int(pipe)
if mode == "dies": sys.exit(3)
os.write(pipe, b"..{\\"mode\\": \\"%s\\"}\\n" % " ".join([mode, *more]).encode())
while True:
    os.write(pipe, b".")
    if select.select([0], [], [], 0.05)[0] and not os.read(0, 100): break
if mode == "dawdles": time.sleep(1.5)
"""


def _child(role: str, mode: str = "lives", **more: object) -> ChildSpec:
    command = (sys.executable, "-c", _CHILD, mode)
    return ChildSpec(role=role, command=command, silence_s=0.5, **more)  # type: ignore[arg-type]  # by keyword


@contextlib.asynccontextmanager
async def _running(*children: ChildSpec) -> AsyncIterator[Supervisor]:
    """Supervise these children for the length of a block, then stop them and expect a clean end."""
    supervisor = Supervisor(children, SystemClock())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        run = group.create_task(supervisor.run())
        yield supervisor
        supervisor.stop()
        assert await run == 0


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_face_waits_for_control_and_both_stop_cleanly() -> None:
    async with _running(_child("control", essential=True), _child("opcua", after=("control",))) as supervisor:
        control, face = supervisor.children["control"], supervisor.children["opcua"]
        await _until(face.ready.is_set)

        assert control.ready_ns <= face.started_ns
        assert face.about == {"mode": "lives"}
    assert face.process is not None
    assert face.process.returncode == 0


async def test_a_child_that_was_asked_to_end_may_be_silent_while_it_does() -> None:
    async with _running(_child("control", "dawdles")) as supervisor:
        control = supervisor.children["control"]
        await _until(control.ready.is_set)
    assert control.process is not None
    assert control.process.returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_killed_or_silent_face_comes_back(sign: signal.Signals) -> None:
    async with _running(_child("modbus")) as supervisor:
        face = supervisor.children["modbus"]
        await _until(face.ready.is_set)
        first = face.pid
        os.kill(first, sign)
        await _until(lambda: face.pid != first and face.ready.is_set())

        assert face.starts == 2


_STARVED = """
import os, sys, time, select
pipe = int(sys.argv[1])
os.write(pipe, b'{"worked": false}\\n')
begun = time.process_time()
while time.process_time() - begun < 0.4: pass
os.write(pipe, b'{"worked": true}\\n')
while not select.select([0], [], [], 0.05)[0]: os.write(pipe, b".")
"""
_HOG = "import time; end = time.monotonic() + 30\nwhile time.monotonic() < end: pass"


@contextlib.contextmanager
def _crowded(processor: int, others: int) -> Iterator[None]:
    """Pin what is started in the block to one processor, beside so many others that want it for themselves."""
    was = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    hogs = [subprocess.Popen([sys.executable, "-c", _HOG]) for _ in range(others)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        os.sched_setaffinity(0, was)


async def test_a_child_that_only_waits_for_a_processor_is_not_silent() -> None:
    """It needs 0.4 s of a processor that five share: 2 s of silence, of which it could have broken 0.4."""
    with _crowded(min(os.sched_getaffinity(0)), others=4):
        starved = ChildSpec(role="control", command=(sys.executable, "-c", _STARVED), silence_s=1.0)
        async with _running(starved) as supervisor:
            child = supervisor.children["control"]
            await _until(lambda: child.about.get("worked") is True)

            assert child.starts == 1


async def test_a_child_that_was_ready_is_told_when_it_starts_again() -> None:
    async with _running(_child("control", essential=True, again=("--again",))) as supervisor:
        control = supervisor.children["control"]
        await _until(control.ready.is_set)
        assert control.about == {"mode": "lives"}
        first = control.pid
        os.kill(first, signal.SIGKILL)
        await _until(lambda: control.pid != first and control.ready.is_set())

        assert control.about == {"mode": "lives --again"}


async def test_an_essential_child_that_keeps_dying_ends_the_run() -> None:
    supervisor = Supervisor(
        [_child("control", "dies", essential=True), _child("modbus")],
        SystemClock(),
    )

    assert await asyncio.wait_for(supervisor.run(), 30) == 1
    assert supervisor.children["control"].starts == 3
    face = supervisor.children["modbus"].process
    assert face is None or face.returncode is not None


async def test_a_child_that_says_more_than_a_pipe_holds_is_ready() -> None:
    program = (
        "import asyncio, sys; from controller.runtime.life_pipe import LifePipe, end_of_input\n"
        "life = LifePipe(int(sys.argv[1])); life.ready({'addresses': ['127.0.0.1:50000'] * 20_000})\n"
        "async def main():\n"
        "    beating = asyncio.create_task(life.beat()); await end_of_input(); beating.cancel()\n"
        "asyncio.run(main())\n"
    )
    async with _running(ChildSpec(role="large", command=(sys.executable, "-c", program), silence_s=5.0)) as supervisor:
        await _until(supervisor.children["large"].ready.is_set)
        assert str(supervisor.children["large"].about).count("127.0.0.1") == 20_000
