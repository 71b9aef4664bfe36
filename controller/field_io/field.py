"""The field side as one thing: all links of a plant, their raw blocks, and the way out for requests.

The scan latches `raw`, hands over its output image by `write`, and after each complete, successful scan says so by
`scan_succeeded`; nothing else passes between them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from controller.field_io.breaker import REST_ALONE_IN_TIMEOUTS, REST_IN_TIMEOUTS
from controller.field_io.link_status import LinkStatus
from controller.field_io.link_worker import LinkWorker
from controller.field_io.poll_items import PollItem, poll_items
from controller.field_io.unit import Unit, make_unit
from controller.field_io.write_items import RequestItem, ScanFeed, write_items
from controller.image.outputs import OutputImage, WriteState
from controller.modbus.poll_groups import PollGroup, device_groups
from controller.plant.clock import Clock
from controller.plant.model import Link, Plant, SerialAddress, TcpAddress

WATCH_PERIOD_S = 0.5
STARTED_TOGETHER, START_PAUSE_S = 16, 0.03
"""Links that begin together, and the pause behind them: thousands at once would hold up the loop for seconds."""
SPREAD_OF_PERIOD_RATIO = 0.5
"""Over how much of a scan period the heartbeats that a scan allows are spread."""
_NS = 1e-9

Taker = tuple[LinkWorker, RequestItem]


class Field:
    """Owns the links' workers; the raw blocks and the output image are shared with the scan, in one loop."""

    def __init__(
        self,
        plant: Plant,
        groups: Sequence[PollGroup],
        outputs: OutputImage,
        clock: Clock,
        addresses: Mapping[int, TcpAddress] | None = None,
    ) -> None:
        """Plan everything; `addresses` moves links of a simulated plant to where its ports really are."""
        self.raw = tuple(g.raw for g in groups)
        self.withheld = [False] * max(len(plant.pcs), 1)
        self._clock, self._outputs, self._feed = clock, outputs, ScanFeed()
        self._period_s = plant.control.scan_period_s
        self._takers: dict[tuple[str, int], list[Taker]] = defaultdict(list)
        self._issues = {name: np.zeros_like(requests.issue) for name, requests in outputs.requests.items()}
        self._workers = self._make_workers(plant, addresses or {})
        self._tasks: dict[LinkWorker, asyncio.Task[None]] = {}
        self.started = asyncio.Event()
        self._mark_unserved()

    @property
    def links(self) -> tuple[LinkStatus, ...]:
        """How every link fares, in the order of the plant's links."""
        return tuple(w.status for w in self._workers)

    async def run(self) -> None:
        """Work on all links until cancelled; a worker that hangs is started anew.

        The links begin a few at a time; `started` says that all have.
        """
        async with asyncio.TaskGroup() as group:
            for place, worker in enumerate(self._workers, 1):
                self._start(group, worker)
                if place % STARTED_TOGETHER == 0:
                    await asyncio.sleep(START_PAUSE_S)
            self.started.set()
            while True:
                await asyncio.sleep(WATCH_PERIOD_S)
                self._restart_what_hangs(group)

    def write(self) -> None:
        """Hand new requests of the output image to who takes them."""
        now_ns = self._clock.mono_ns()
        concerned: set[LinkWorker] = set()
        for name, requests in self._outputs.requests.items():
            before = self._issues[name]
            if requests.issue.tobytes() == before.tobytes():
                continue
            for index in np.flatnonzero(requests.issue != before).tolist():
                for worker, item in self._takers.get((name, index), ()):
                    item.asked(now_ns)
                    concerned.add(worker)
            before[:] = requests.issue
        for worker in concerned:
            worker.look()

    def scan_succeeded(self) -> None:
        """Allow watchdogs to be fed once more; who is due is spread over the scan's period."""
        self._feed.count += 1
        loop = asyncio.get_running_loop()
        spread_s = SPREAD_OF_PERIOD_RATIO * self._period_s / max(len(self._workers), 1)
        now_ns = self._clock.mono_ns()
        for place, worker in enumerate(self._workers):
            delay_s = place * spread_s
            if worker.fed_ns <= now_ns + delay_s / _NS:
                loop.call_later(delay_s, worker.look)

    def _make_workers(self, plant: Plant, moved: Mapping[int, TcpAddress]) -> tuple[LinkWorker, ...]:
        units = _units(plant)
        by_link: dict[int, list[Unit]] = defaultdict(list)
        for unit in units:
            by_link[unit.device.link].append(unit)
        polls: dict[int, list[PollItem]] = defaultdict(list)
        for item in poll_items(units, self.raw, self._clock.mono_ns()):
            polls[item.unit.device.link].append(item)
        return tuple(
            self._make_worker(link, moved.get(link.index, link.address), by_link[link.index], polls[link.index])
            for link in plant.links
        )

    def _make_worker(
        self, link: Link, address: TcpAddress | SerialAddress, units: Sequence[Unit], polls: Sequence[PollItem]
    ) -> LinkWorker:
        written = [w for unit in units for w in write_items(unit, self._outputs, self._feed, self.withheld)]
        worker = LinkWorker(link, address, units, polls, [item for item, _, _ in written], self._clock)
        for item, name, equipment in written:
            if isinstance(item, RequestItem):
                self._takers[name, equipment].append((worker, item))
        return worker

    def _mark_unserved(self) -> None:
        for name, requests in self._outputs.requests.items():
            for index in range(len(requests.state)):
                if (name, index) not in self._takers:
                    requests.state[index] = WriteState.NOT_SERVED

    def _start(self, group: asyncio.TaskGroup, worker: LinkWorker) -> None:
        self._tasks[worker] = group.create_task(worker.run(), name=f"link {worker.status.address}")

    def _restart_what_hangs(self, group: asyncio.TaskGroup) -> None:
        for worker in self._workers:
            if worker.is_hanging:
                worker.status.restarts += 1
                self._tasks[worker].cancel()
                self._start(group, worker)


def _units(plant: Plant) -> list[Unit]:
    """Return every device as a unit, by index of the device."""
    groups = device_groups(plant)
    maps = {device: group.register_map for group in groups for device in group.devices}
    behind = [0] * len(plant.links)
    for device in plant.devices:
        behind[device.link] += 1
    return [
        make_unit(device, maps[device.index], _rest_ns(plant.links[device.link], behind[device.link]))
        for device in plant.devices
    ]


def _rest_ns(link: Link, units: int) -> int:
    """Return how long a dead unit is left alone: with nobody else behind the link there is nobody to be spared."""
    return round((REST_IN_TIMEOUTS if units > 1 else REST_ALONE_IN_TIMEOUTS) * link.timeout_s / _NS)
