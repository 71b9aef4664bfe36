"""What a link polls, and when: one item per device and poll block, spread over its period.

Rule: the n-th of N items of the same period starts n/N of a period later, over the whole plant, so that the load is
even and no scan meets a burst. An item that comes late skips the times it missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.field_io.tcp_connection import Asked
from controller.modbus.pdu import read
from controller.modbus.raw_blocks import RawBlocks, RawGroup
from controller.plant.model import Device, Plant


@dataclass(slots=True)
class PollItem:
    """One block of one device: what is asked, where it is stored, when it is due next (monotonic)."""

    group: RawGroup
    row: int
    device: Device
    asked: tuple[Asked, ...]
    period_ns: int
    next_ns: int
    shifted: int = 0

    def shift(self, registers: int) -> None:
        """Ask at addresses moved by so many registers: a SunSpec chain may begin elsewhere than expected."""
        if registers != self.shifted:
            self.shifted = registers
            self.asked = _asked(self.device, self.group, registers)

    def postpone(self, now_ns: int, least_ns: int = 0) -> None:
        """Move to the next time of the item's own grid after now, at least `least_ns` away."""
        missed = max(now_ns + least_ns - self.next_ns, 0) // self.period_ns
        self.next_ns += (missed + 1) * self.period_ns


def poll_items(plant: Plant, raw: RawBlocks, start_ns: int) -> Mapping[int, list[PollItem]]:
    """Return the items of each link."""
    items = [_item(plant.devices[d], group, row) for group in raw for row, d in enumerate(group.devices)]
    _spread(items, start_ns)
    by_link: dict[int, list[PollItem]] = defaultdict(list)
    for item in items:
        by_link[item.device.link].append(item)
    return by_link


def load_ratio(items: Iterable[PollItem], gap_s: float, in_flight: int) -> float:
    """Return the share of a link's time that its polls take, from response times as the device files state them."""
    busy = sum(len(i.asked) * (i.device.type.response_s + gap_s) / (i.period_ns * 1e-9) for i in items)
    return busy / in_flight


def _item(device: Device, group: RawGroup, row: int) -> PollItem:
    period_ns = round(device.period_s(group.block) * 1e9)
    return PollItem(group, row, device, _asked(device, group, 0), period_ns, 0)


def _asked(device: Device, group: RawGroup, shift: int) -> tuple[Asked, ...]:
    return tuple((device.unit, read(s.function, s.address + shift, s.count)) for s in group.spans)


def _spread(items: Iterable[PollItem], start_ns: int) -> None:
    by_period: dict[int, list[PollItem]] = defaultdict(list)
    for item in items:
        by_period[item.period_ns].append(item)
    for period_ns, together in by_period.items():
        for place, item in enumerate(together):
            item.next_ns = start_ns + period_ns * place // len(together)
