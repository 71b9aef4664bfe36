"""Controller and simulated plant in one loop and in real time, with real sockets between them.

For what only sockets show: every link fault, on the same code that the control process runs, but without processes,
faces and disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from controller.control.commands import Command
from controller.field_io.field import Field
from controller.modbus.poll_groups import poll_groups
from controller.plant.clock import Clock
from controller.plant.model import Plant
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.pacing import Pace
from controller.runtime.scan import ScanResult, scan
from controller.runtime.scan_state import first_state, tables_of
from controller.simulator.process import Simulation


class SocketPlant:
    """What runs. `arrivals` counts the blocks that each device has brought."""

    def __init__(self, plant: Plant, clock: Clock, seed: int | None = None) -> None:
        """Build both sides; nothing listens yet."""
        self.plant, self.clock = plant, clock
        self.simulation = Simulation(plant, clock, seed)
        self._groups = poll_groups(plant)
        self.tables = tables_of(plant, flat_map(point_list(plant)).version)
        self.state = first_state(self.tables, self._groups, clock.mono_ns())
        self.scanned = asyncio.Event()
        self._commands: list[Command] = []

    def command(self, command: Command) -> None:
        """Hand a command to the next scan."""
        self._commands.append(command)

    def arrivals(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return how many blocks have come of each device."""
        counts = np.zeros(len(self.plant.devices), np.int64)
        for group in self._groups:
            np.add.at(counts, list(group.raw.devices), group.raw.arrivals)
        return counts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SocketPlant]:
        """Run for the length of the block."""
        await self.simulation.start(auto_ports=True)
        self.field = Field(self.plant, self._groups, self.state.outputs, self.clock, self.simulation.addresses)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (self.simulation.serve(), self.field.run(), self._scan())]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()

    async def _scan(self) -> None:
        pace = Pace(round(self.plant.control.scan_period_s * 1e9), self.clock.mono_ns())
        while True:
            await asyncio.sleep(max(pace.next_ns - self.clock.mono_ns(), 0) * 1e-9)
            commands, self._commands = self._commands, []
            result: ScanResult = scan(self.tables, self.state, commands, self.clock.mono_ns())
            self.field.withheld[: len(result.withhold_heartbeat)] = result.withhold_heartbeat
            self.field.write()
            self.field.scan_succeeded()
            pace.finish(self.clock.mono_ns())
            self.scanned.set()
            self.scanned.clear()
