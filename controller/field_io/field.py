"""The field side as one thing: all links of a plant, their raw blocks, and the way out for requests.

The scan latches `raw`, hands over its output image by `write`, and after each complete, successful scan says so by
`scan_succeeded`; nothing else passes between them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from controller.field_io.link_status import LinkStatus
from controller.field_io.link_worker import LinkWorker
from controller.field_io.poll_items import poll_items
from controller.field_io.writes import ScanFeed, WriteItem, write_items
from controller.image.outputs import OutputImage
from controller.modbus.poll_groups import PollGroup, device_groups
from controller.plant.clock import Clock
from controller.plant.model import Plant, TcpAddress


class Field:
    """Owns the links' workers; the raw blocks and the output image are shared with the scan, in one loop."""

    def __init__(
        self,
        plant: Plant,
        groups: tuple[PollGroup, ...],
        outputs: OutputImage,
        clock: Clock,
        addresses: Mapping[int, TcpAddress] | None = None,
    ) -> None:
        """Plan everything; `addresses` moves links of a simulated plant to where its ports really are."""
        self.raw = tuple(g.raw for g in groups)
        self._feed = ScanFeed()
        self.withheld = [False] * max(len(plant.pcs), 1)
        polls = poll_items(plant, self.raw, clock.mono_ns())
        writes: dict[int, list[WriteItem]] = defaultdict(list)
        for link, item in write_items(plant, device_groups(plant), outputs, self._feed, self.withheld):
            writes[link].append(item)
        moved = addresses or {}
        self._workers = [
            LinkWorker(link, polls.get(link.index, []), writes[link.index], clock, moved.get(link.index, link.address))
            for link in plant.links
            if isinstance(moved.get(link.index, link.address), TcpAddress)
        ]

    @property
    def links(self) -> tuple[LinkStatus, ...]:
        """How every link fares."""
        return tuple(w.status for w in self._workers)

    async def run(self) -> None:
        """Work on all links until cancelled."""
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(worker.run(), name=f"link {worker.status.address}")

    def write(self) -> None:
        """Let the workers look at the output image now."""
        for worker in self._workers:
            worker.wake.wake()

    def scan_succeeded(self) -> None:
        """Allow watchdogs to be fed once more."""
        self._feed.count += 1
