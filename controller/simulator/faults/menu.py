"""The fault menu at work: commands carried out, undone when their time is over or when asked, listed.

Rule: every command answers `ok` or `error: ...`, and an error changes nothing. A fault of the same kind on the same
target replaces the one before. Time is the simulated plant's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.plant.messages import did_you_mean
from controller.simulator.faults.commands import (
    CLEAR,
    FaultCommand,
    FaultError,
    parse_command,
    parse_fault,
    parse_timed_fault,
)
from controller.simulator.faults.effects import Do, Effects, Undo
from controller.simulator.link_faults import LinkFault
from controller.simulator.simulated_field import SimulatedField

REBOOT_S = 5.0
"""How long a device is silent when it reboots."""


@dataclass(slots=True)
class ActiveFault:
    """A fault that stands. A flapping one comes and goes: `undo` None = it has gone for now."""

    command: FaultCommand
    do: Do
    undo: Undo | None
    ends_s: float | None
    flap_s: float = 0.0
    turns_s: float = 0.0

    def end(self) -> None:
        """Undo what stands."""
        if self.undo is not None:
            self.undo()
            self.undo = None


class FaultMenu:
    """All faults of a simulated plant."""

    def __init__(self, devices: SimulatedField, drop: Callable[[int], None] = lambda _link: None) -> None:
        """Take the devices; `drop` resets the connections of a link, where there are any."""
        self._devices = devices
        self._effects = Effects(devices, drop)
        self._active: dict[tuple[str, ...], ActiveFault] = {}
        self._planned: list[tuple[float, str]] = []

    def execute(self, line: str) -> str:
        """Carry out one command and return the answer."""
        words = line.split()
        try:
            match words:
                case ["list"]:
                    return "\n".join([*self.texts(), "ok"])
                case ["clear", *_]:
                    self._clear(parse_command(line).target)
                case _:
                    self._start(parse_fault(line))
        except FaultError as wrong:
            return f"error: {wrong}"
        return "ok"

    def texts(self) -> list[str]:
        """Return the faults that stand, as they were commanded."""
        return [fault.command.text for fault in self._active.values()]

    def plan(self, lines: Iterable[tuple[float, str]]) -> None:
        """Take commands with their times; FaultError if one can't be carried out."""
        for at_s, line in lines:
            command = parse_command(line)
            if command.kind is not CLEAR:
                self._effects.prepare(command)
            self._planned.append((at_s, line))
        self._planned.sort(key=lambda planned: planned[0])

    def advance(self) -> None:
        """Start what has fallen due, end what is over, let the flapping flap."""
        now_s = self._devices.virtual.time_s
        while self._planned and self._planned[0][0] <= now_s:
            self.execute(self._planned.pop(0)[1])
        for key, fault in list(self._active.items()):
            if fault.ends_s is not None and fault.ends_s <= now_s:
                fault.end()
                del self._active[key]
            elif fault.flap_s > 0.0 and fault.turns_s <= now_s:
                _flap(fault)

    def _start(self, command: FaultCommand) -> None:
        do = self._effects.prepare(command)
        key = _key(command)
        if key in self._active:
            self._active.pop(key).end()
        now_s = self._devices.virtual.time_s
        duration_s = REBOOT_S if command.kind.name == "reboot" else command.duration_s
        undo = do()
        if not command.kind.undoable and duration_s is None:
            return
        fault = ActiveFault(command, do, undo, None if duration_s is None else now_s + duration_s)
        if command.kind.name == LinkFault.FLAP:
            fault.flap_s = max(float(command.arguments[0]), 0.05)
            fault.turns_s = now_s + fault.flap_s
        self._active[key] = fault

    def _clear(self, target: str) -> None:
        """End the faults on a target, or those of a kind; all if none is named."""
        keys = [k for k, f in self._active.items() if not target or target in {f.command.target, f.command.kind.name}]
        if target and not keys:
            standing = {f.command.target or f.command.kind.name for f in self._active.values()}
            hint = did_you_mean(target, standing)
            raise FaultError(f"no fault stands on '{target}'{'; ' + hint if hint else ''}")
        for key in keys:
            self._active.pop(key).end()


def read_fault_file(path: Path) -> list[tuple[float, str]]:
    """Return times and commands of a fault file; blank lines and those that begin with # are left out.

    Raises FaultError with the line's number, OSError if the file can't be read.
    """
    planned = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                planned.append(parse_timed_fault(line))
            except FaultError as wrong:
                raise FaultError(f"{path.name}:{number}: {wrong}") from wrong
    return planned


def _flap(fault: ActiveFault) -> None:
    fault.turns_s += fault.flap_s
    if fault.undo is None:
        fault.undo = fault.do()
    else:
        fault.end()


def _key(command: FaultCommand) -> tuple[str, ...]:
    """Return what makes a fault the same as another: kind, target, and the cell or point that it is about."""
    about = str(command.arguments[0]) if len(command.arguments) > 1 else ""
    kind = command.kind.name
    if kind == "cell":
        about += "V" if str(command.arguments[1]).endswith("V") else "T"
    if kind == "contactor":
        about = str(command.arguments[0])
    return kind, command.target, about
