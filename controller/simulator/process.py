"""The simulator as a process: every device of a site on loopback sockets, the plant stepped in real time behind them.

Fault commands come a line at a time over TCP and on standard input; the end of standard input stops nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.link.simulated_addresses import read_addresses, write_addresses
from controller.plant.clock import Clock
from controller.plant.model import Plant, TcpAddress
from controller.plant.site_loader import load_site, site_file
from controller.simulator.faults.commands import FaultError
from controller.simulator.faults.lines import CommandInput, CommandServer
from controller.simulator.faults.menu import FaultMenu, read_fault_file
from controller.simulator.modbus_server import LOOPBACK, DeviceServers, ServedUnit
from controller.simulator.scenario import read_scenario, set_scene
from controller.simulator.simulated_field import SimulatedField

STEP_S, STEP_MAX_S = 0.1, 10.0
SECOND_NS = 1_000_000_000
STANDARD_INPUT = 0
SPARE_FILES = 64
OK, NO, UNUSABLE = 0, 1, 2


class Simulation:
    """A plant's devices on sockets."""

    def __init__(self, plant: Plant, clock: Clock, seed: int | None = None) -> None:
        """Build the devices; nothing listens yet."""
        self.devices, self._clock = SimulatedField(plant, seed), clock
        self._servers = DeviceServers()
        self.menu = FaultMenu(self.devices, self._servers.drop)
        self._commands = CommandServer(self.execute)

    async def start(
        self, addresses: Path | None = None, *, auto_ports: bool = False, faults_port: int = 0
    ) -> dict[str, Any]:
        """Open every port and say where: the devices, and the port for fault commands (0: the system chooses).

        Ports are the site's own where they lie on loopback, else (or with `auto_ports`) chosen by the system.
        `addresses` is a file that is to hold each link's address by its index; those of an earlier life of this run
        are kept, because control looks for the devices there. Raises OSError if a port can't be had.
        """
        plant = self.devices.plant
        _allow_files(2 * len(plant.links))
        units: dict[int, dict[int, ServedUnit]] = {link.index: {} for link in plant.links}
        for device, simulated in zip(plant.devices, self.devices.devices, strict=True):
            units[device.link][device.unit] = simulated
        before = read_addresses(addresses) if addresses is not None else {}
        await self._servers.listen(plant.links, units, site_ports=not auto_ports, before=before)
        faults = await self._commands.listen(LOOPBACK, faults_port)
        where = self._servers.addresses
        if addresses is not None:
            write_addresses(addresses, where)
        return {
            "faults": faults,
            "devices": [{"name": d.name, "address": str(where[d.link]), "unit": d.unit} for d in plant.devices],
        }

    @property
    def addresses(self) -> Mapping[int, TcpAddress]:
        """Where each link's devices listen."""
        return self._servers.addresses

    async def serve(self) -> None:
        """Step the plant until cancelled, then close every port."""
        last_ns = self._clock.mono_ns()
        try:
            while True:
                await asyncio.sleep(STEP_S)
                now_ns = self._clock.mono_ns()
                self.step(min((now_ns - last_ns) / SECOND_NS, STEP_MAX_S))
                last_ns = now_ns
        finally:
            await self.close()

    def execute(self, line: str) -> str:
        """Carry out a fault command, or `scene FILE`: from now on the grid follows a scenario's profiles."""
        verb, _, name = line.partition(" ")
        if verb != "scene":
            return self.menu.execute(line)
        try:
            _, scenario = read_scenario(name.strip())
        except (ValueError, OSError) as error:
            return f"error: {' '.join(str(error).split())}"
        set_scene(scenario, self.devices.virtual.grid, self.devices.virtual.time_s)
        return "ok"

    def step(self, dt_s: float) -> None:
        """Move plant and faults on."""
        self.devices.virtual.step(dt_s)
        self.menu.advance()

    async def close(self) -> None:
        """Close every port and connection."""
        self._commands.close()
        await self._servers.close()


def simulate_site(
    site: Path,
    clock: Clock,
    *,
    faults: Path | None = None,
    auto_ports: bool = False,
    as_json: bool = False,
    seed: int | None = None,
) -> int:
    """Serve the devices of a site until SIGTERM or SIGINT; print where, return the exit code.

    `faults` is a file of fault commands with their times. Answers go to standard output, messages to standard error.
    """
    result = load_site(site)
    if result.plant is None:
        sys.stderr.write(f"{result.text()}\n")
        return NO if site_file(site).is_file() else UNUSABLE
    simulation = Simulation(result.plant, clock, seed)
    try:
        simulation.menu.plan(read_fault_file(faults) if faults else [])
        asyncio.run(_run(simulation, auto_ports=auto_ports, as_json=as_json))
    except (FaultError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return UNUSABLE
    return OK


async def _run(simulation: Simulation, *, auto_ports: bool, as_json: bool) -> None:
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, ending.set)
    about = await simulation.start(auto_ports=auto_ports)
    _say(json.dumps(about) if as_json else _in_words(about))
    gc.collect()
    gc.freeze()
    CommandInput(simulation.execute, STANDARD_INPUT, _say).start(loop)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(simulation.serve())
        await ending.wait()
        serving.cancel()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _in_words(about: Mapping[str, Any]) -> str:
    lines = [f"{d['name']:16} {d['address']}, unit {d['unit']}" for d in about["devices"]]
    return "\n".join([*lines, f"{'faults':16} {about['faults']}"])


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files as far as it is needed and allowed: a listener and a connection a link."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
