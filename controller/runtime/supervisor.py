"""The supervisor: starts the processes of one controller, watches them, restarts them.

Rules. Control starts first; faces follow once it runs. Each child holds a pipe as its standard input (end of file =
stop cleanly, so nothing outlives a killed supervisor) and a second pipe into which it writes a byte each 0.2 s (control
also after each scan) and one line of JSON when it is ready: control is once all its links have begun and a scan has
succeeded since. Silence kills: before ready 120 s, then as the child's role says; time in which it waits for a
processor is none, for on a crowded machine a restart only crowds it more. Who was asked to end has 10 s, silent or not.
A face that dies is restarted for ever, after 0.1 s doubling to 30 s, back to 0.1 s after 10 s of health; it never stops
the plant. Control is restarted at once; three starts in a row that did not stay up for 10 s end the whole run with a
failure, and so does a first start that can't have what it needs (exit code 2, which is then the run's). Exit code 75
asks for an immediate restart. A supervisor that stood still itself blames nobody for it. Nothing heavy is imported
here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from controller.plant.clock import Clock

STARTING_SILENCE_S = 120.0
HEALTHY_AFTER_S = 10.0
RESTART_DELAY_FIRST_S, RESTART_DELAY_LONGEST_S = 0.1, 30.0
STARTS_BEFORE_GIVING_UP = 3
STOP_PATIENCE_S = 10.0
RESTART_EXIT_CODE = 75
UNUSABLE_EXIT_CODE = 2
OVERSLEPT_NS = 500_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process. `essential`: its repeated failure ends the run. `after`: roles that must be ready before it."""

    role: str
    command: tuple[str, ...]  # the number of its life pipe is put behind
    silence_s: float
    essential: bool = False
    after: tuple[str, ...] = ()
    nice: int = 0
    memory_bytes: int = 0  # RLIMIT_DATA, 0 = none
    again: tuple[str, ...] = ()  # further words for a start after one that was ready


@dataclass(slots=True)
class ChildState:
    """What is known of a child now; `about` is its ready line."""

    spec: ChildSpec
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    about: dict[str, object] = field(default_factory=dict)
    started_ns: int = 0
    ready_ns: int = 0
    heard_ns: int = 0
    starts: int = 0
    short_lives: int = 0
    restart_delay_s: float = RESTART_DELAY_FIRST_S

    @property
    def pid(self) -> int:
        """Process id, 0 while there is none."""
        return self.process.pid if self.process else 0


class EssentialChildFailed(Exception):  # noqa: N818 - it reads as what happened
    """An essential child would not stay up; `code` is what the run then ends with."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Supervisor:
    """Runs the children until told to stop. `report` is called after every start, ready and exit."""

    def __init__(self, specs: Sequence[ChildSpec], clock: Clock, report: Callable[[], None] = lambda: None) -> None:
        """Take the children in start order."""
        self.children = {spec.role: ChildState(spec) for spec in specs}
        self._clock, self._report = clock, report
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask for a clean stop."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether a clean stop was asked for."""
        return self._stopping.is_set()

    def tell(self, role: str, line: str) -> None:
        """Write a line to a child's input; a child that is away does not hear it."""
        process = self.children[role].process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.write(f"{line}\n".encode())

    async def run(self) -> int:
        """Supervise until stopped; return the exit code: 0, or 1 or 2 when an essential child would not stay up."""
        code = 0
        try:
            async with asyncio.TaskGroup() as group:
                for child in self.children.values():
                    group.create_task(self._keep(child), name=f"keep {child.spec.role}")
        except* EssentialChildFailed as failures:
            failure = failures.exceptions[0]
            assert isinstance(failure, EssentialChildFailed), "one failure ends all, and it is no group"
            code = failure.code
            print(f"error: {failure}", file=sys.stderr)
            await self._stop_all()
        return code

    async def _keep(self, child: ChildState) -> None:
        while not self._stopping.is_set() and not all(self.children[r].ready.is_set() for r in child.spec.after):
            await self._sleep_unless_stopped(0.02)
        while not self._stopping.is_set():
            await self._live_once(child)
            if not self._stopping.is_set():
                await self._pause_before_restart(child)

    async def _live_once(self, child: ChildState) -> None:
        read_end, write_end = os.pipe()
        try:
            child.process = await self._spawn(child.spec, write_end, again=child.ready_ns > 0)
        finally:
            os.close(write_end)
        now_ns = self._clock.mono_ns()
        child.started_ns = child.heard_ns = now_ns
        child.starts += 1
        child.ready.clear()
        self._report()
        with open(read_end, "rb", buffering=0) as pipe:  # noqa: ASYNC230, PTH123 - a pipe's descriptor
            await self._watch(child, pipe)
        child.ready.clear()
        self._report()

    async def _spawn(self, spec: ChildSpec, pipe: int, *, again: bool) -> asyncio.subprocess.Process:
        def limit() -> None:
            if spec.nice:
                os.nice(spec.nice)
            if spec.memory_bytes:
                resource.setrlimit(resource.RLIMIT_DATA, (spec.memory_bytes, spec.memory_bytes))

        return await asyncio.create_subprocess_exec(
            *spec.command,
            str(pipe),
            *(spec.again if again else ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            pass_fds=(pipe,),
            process_group=0,  # what is typed at the terminal stops us, and we stop them, in order
            preexec_fn=limit if spec.nice or spec.memory_bytes else None,
        )

    async def _watch(self, child: ChildState, pipe: IO[bytes]) -> None:
        process = child.process
        assert process is not None
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(child, reader))
                guarding = group.create_task(self._kill_when_silent(child, process))
                ending = group.create_task(self._end_on_request(child, process, guarding))
                await process.wait()
                for task in (listening, guarding, ending):
                    task.cancel()
        finally:
            transport.close()

    async def _listen(self, child: ChildState, reader: asyncio.StreamReader) -> None:
        """Count life bytes; a line of JSON says that the child is ready."""
        line = bytearray()
        while data := await reader.read(4096):
            child.heard_ns = self._clock.mono_ns()
            line += data.replace(b".", b"") if not line and b"{" not in data else data
            if b"\n" in line:
                text, _, rest = bytes(line).partition(b"\n")
                child.about = json.loads(text[text.index(b"{") :])
                line = bytearray(rest.replace(b".", b""))
                child.ready_ns = child.heard_ns
                child.ready.set()
                self._report()

    async def _kill_when_silent(self, child: ChildState, process: asyncio.subprocess.Process) -> None:
        waited_ns = waited_for_processor_ns(process.pid)
        while True:
            slept_ns, waited_before_ns = self._clock.mono_ns(), waited_ns
            await asyncio.sleep(0.1)
            waited_ns = waited_for_processor_ns(process.pid)
            child.heard_ns += waited_ns - waited_before_ns
            if self._clock.mono_ns() - slept_ns > OVERSLEPT_NS:
                child.heard_ns = self._clock.mono_ns()  # we stood still, not the child
            allowed_s = child.spec.silence_s if child.ready.is_set() else STARTING_SILENCE_S
            if self._clock.mono_ns() - child.heard_ns > allowed_s * _NS_PER_S:
                print(f"{child.spec.role}: silent for {allowed_s:g} s, killed", file=sys.stderr)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return

    async def _end_on_request(
        self, child: ChildState, process: asyncio.subprocess.Process, guarding: asyncio.Task[None]
    ) -> None:
        """On stop: close the child's input once everything that was started after it has ended; then insist."""
        await self._stopping.wait()
        for later in self.children.values():
            if child.spec.role in later.spec.after and later.process is not None:
                await later.process.wait()
        assert process.stdin is not None
        process.stdin.close()
        guarding.cancel()  # who saves and takes down what a large plant needs is silent meanwhile
        await asyncio.sleep(STOP_PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def _pause_before_restart(self, child: ChildState) -> None:
        process, spec = child.process, child.spec
        assert process is not None
        now_ns = self._clock.mono_ns()
        stayed = child.ready_ns > child.started_ns and now_ns - child.ready_ns > HEALTHY_AFTER_S * _NS_PER_S
        child.short_lives = 0 if stayed else child.short_lives + 1
        print(f"{spec.role}: ended with {process.returncode}, restarting", file=sys.stderr)
        if spec.essential and process.returncode == UNUSABLE_EXIT_CODE and child.ready_ns == 0:
            raise EssentialChildFailed(f"{spec.role} can't have what it needs", UNUSABLE_EXIT_CODE)
        if spec.essential and child.short_lives >= STARTS_BEFORE_GIVING_UP:
            message = f"{spec.role} ended {child.short_lives} times in a row within {HEALTHY_AFTER_S:g} s of its start"
            raise EssentialChildFailed(message)
        if spec.essential or process.returncode == RESTART_EXIT_CODE:
            return
        child.restart_delay_s = RESTART_DELAY_FIRST_S if stayed else child.restart_delay_s
        delay_s, child.restart_delay_s = child.restart_delay_s, min(child.restart_delay_s * 2, RESTART_DELAY_LONGEST_S)
        await self._sleep_unless_stopped(delay_s)

    async def _stop_all(self) -> None:
        """End what is left after a failure, faces first."""
        for child in reversed(self.children.values()):
            if child.process is not None and child.process.returncode is None:
                child.process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(child.process.wait(), STOP_PATIENCE_S)

    async def _sleep_unless_stopped(self, duration_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), duration_s)


def waited_for_processor_ns(pid: int) -> int:
    """Return for how long a process could have run and had no processor, in ns; 0 where the kernel does not tell.

    That is of its main thread, which runs its loop: the second number of `/proc/PID/schedstat` (sched-stats.rst).
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
    return 0
