"""What a link polls, and when: one item per device and poll block, spread over its period.

Rule: the n-th of N items of the same period is due n/N of a period later, over the whole plant, so that the load is
even and no scan meets a burst. An item that comes late skips the times it missed. The first round takes two seconds at
most, so that a plant is seen whole soon after a start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.field_io.connection import Asked
from controller.field_io.unit import Shifts, Unit
from controller.modbus.pdu import read
from controller.modbus.raw_blocks import RawBlocks, RawGroup

FIRST_ROUND_NS = 2_000_000_000
RETRY_WITHIN_NS = 1_000_000_000


@dataclass(slots=True, eq=False)
class PollItem:
    """One block of one device: what is asked, where it is stored, when it is due next (monotonic)."""

    group: RawGroup
    row: int
    unit: Unit
    asked: tuple[Asked, ...]
    period_ns: int
    phase_ns: int = 0
    next_ns: int = 0
    pays: bool = False  # whether it counts towards the unit being believed again: its fastest block only
    shifts: Shifts = ()

    def follow(self) -> None:
        """Ask where the device has its registers: SunSpec models may begin elsewhere than expected."""
        if self.shifts is not self.unit.shifts:
            self.shifts = self.unit.shifts
            self.asked = tuple(Asked(one.unit, self.unit.moved(one.request)) for one in _asked(self.unit, self.group))

    def postpone(self, now_ns: int, least_ns: int = 0) -> None:
        """Move to the next time of the item's own grid after now, at least `least_ns` away."""
        earliest_ns = now_ns + least_ns + 1
        self.next_ns = earliest_ns + (self.phase_ns - earliest_ns) % self.period_ns

    def retry(self, now_ns: int) -> None:
        """Come again soon after a failure, but behind the others."""
        self.next_ns = now_ns + min(self.period_ns, RETRY_WITHIN_NS)


def poll_items(units: Sequence[Unit], raw: RawBlocks, start_ns: int) -> list[PollItem]:
    """Return the items of a plant; `units` by index of the device."""
    items = [_item(units[d], group, row) for group in raw for row, d in enumerate(group.devices)]
    _spread(items, start_ns)
    fastest: dict[int, PollItem] = {}
    for item in items:
        mine = fastest.setdefault(item.unit.device.index, item)
        if item.period_ns < mine.period_ns:
            fastest[item.unit.device.index] = item
    for item in fastest.values():
        item.pays = True
    return items


def _item(unit: Unit, group: RawGroup, row: int) -> PollItem:
    period_ns = round(unit.device.period_s(group.block) * 1e9)
    return PollItem(group, row, unit, _asked(unit, group), period_ns)


def _asked(unit: Unit, group: RawGroup) -> tuple[Asked, ...]:
    return tuple(Asked(unit.device.unit, read(s.function, s.address, s.count)) for s in group.spans)


def _spread(items: Iterable[PollItem], start_ns: int) -> None:
    by_period: dict[int, list[PollItem]] = defaultdict(list)
    for item in items:
        by_period[item.period_ns].append(item)
    for period_ns, together in by_period.items():
        for place, item in enumerate(together):
            item.phase_ns = start_ns + period_ns * place // len(together)
            item.next_ns = start_ns + min(period_ns, FIRST_ROUND_NS) * place // len(together)
