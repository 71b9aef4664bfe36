"""Polling on a link: what is due is asked in as few exchanges as the link bears, and stored whole or not at all.

Rules. A unit whose last exchange failed is asked alone. A refusal fails the block's row: at once where the device says
that there is no such register (and then only every ten seconds), never where a gateway says that somebody else is
silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from controller.field_io.connection import Answer, Asked
from controller.field_io.errors import FieldError
from controller.field_io.identity import (
    MISCONFIGURED,
    REST_OF_WRONG_NS,
    UndecidedError,
    WrongDeviceError,
    identify,
    is_known,
)
from controller.field_io.line import UNREACHABLE, Line
from controller.field_io.link_status import LinkStatus
from controller.field_io.poll_items import PollItem
from controller.field_io.wake import IDLE_S, Wake
from controller.modbus.errors import ExceptionReply

IDLE_NS = round(IDLE_S * 1e9)
PORTION = 16
"""Most requests of one exchange where fewer may be in flight: so often a worker that is well shows it."""
_BY_TIME = attrgetter("next_ns")


class Poller:
    """All that a link polls."""

    def __init__(self, items: Sequence[PollItem], in_flight: int, status: LinkStatus, now_ns: int) -> None:
        """Take the items."""
        self._items, self._in_flight, self._status = tuple(items), in_flight, status
        self._portion = max(in_flight, PORTION)
        self._wake = Wake()
        self.alive_ns = now_ns

    def wake(self) -> None:
        """End the wait that is on."""
        self._wake.wake()

    async def run(self, line: Line) -> None:
        """Poll until the connection is lost: raises FieldError then."""
        while True:
            line.check()
            self.alive_ns = now_ns = line.now_ns()
            due = self.due(now_ns)
            if due:
                await self.poll(line, due)
            else:
                await self._wake.wait(min((self._next_ns(now_ns) - now_ns) * 1e-9, IDLE_S))

    def due(self, now_ns: int) -> list[PollItem]:
        """Return the most overdue items that fit into one exchange; a suspect unit comes alone."""
        ready = [i for i in self._items if i.next_ns <= now_ns and i.unit.breaker.may_ask(now_ns)]
        if len(ready) < 2:
            return ready
        ready.sort(key=_BY_TIME)
        if ready[0].unit.breaker.is_suspect:
            return ready[:1]
        taken: list[PollItem] = []
        requests = 0
        for item in ready:
            requests += len(item.asked)
            if taken and requests > self._in_flight:
                break
            if not item.unit.breaker.is_suspect:
                taken.append(item)
        return taken

    def _next_ns(self, now_ns: int) -> int:
        return min((_askable_ns(item, now_ns) for item in self._items), default=now_ns + IDLE_NS)

    async def poll(self, line: Line, items: Sequence[PollItem]) -> None:
        """Ask and store; raises FieldError if there was no sound answer."""
        now_ns = line.now_ns()
        sound = [i for i in items if _is_in_place(i, now_ns) or await self._is_sound(line, i)]
        if not sound:
            return
        asked = sound[0].asked if len(sound) == 1 else [a for item in sound for a in item.asked]
        sampled_ns = line.now_ns()
        try:
            answers = await (line.ask(asked) if len(asked) <= self._portion else self._in_portions(line, asked))
        except FieldError:
            self._retry(sound, line.now_ns())
            raise
        now_ns = line.now_ns()
        start = 0
        for item in sound:
            end = start + len(item.asked)
            self._take(item, answers[start:end], sampled_ns, now_ns)
            start = end

    async def _in_portions(self, line: Line, asked: Sequence[Asked]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(asked), self._portion):
            self.alive_ns = line.now_ns()
            answers += await line.ask(asked[start : start + self._portion])
        return answers

    async def _is_sound(self, line: Line, item: PollItem) -> bool:
        """Whether the device is what it should be; one that is not fails its block."""
        unit = item.unit
        try:
            await identify(line, unit)
            item.follow()
        except (WrongDeviceError, UndecidedError) as error:
            self._status.last_error = f"{unit.device.name}: {error}"
            if not unit.breaker.is_suspect:
                item.group.fail(item.row, line.now_ns())
            item.postpone(line.now_ns())
            return False
        except FieldError:
            item.retry(line.now_ns())
            raise
        return True

    def _take(self, item: PollItem, answers: Sequence[Answer], sampled_ns: int, now_ns: int) -> None:
        """Store a block that is whole and believed, or note why it is not."""
        whole = [a for a in answers if isinstance(a, bytes)]
        if len(whole) != len(answers):
            self._refused(item, next(a for a in answers if isinstance(a, ExceptionReply)), now_ns)
            return
        breaker = item.unit.breaker
        if item.pays:
            breaker.good_poll()
        else:
            breaker.answered()
        self._status.polls += 1
        if breaker.is_believed:
            item.group.store(item.row, b"".join(whole), sampled_ns)
        item.postpone(now_ns)

    def _refused(self, item: PollItem, refusal: ExceptionReply, now_ns: int) -> None:
        self._status.refusals += 1
        self._status.last_error = f"{item.unit.device.name}: {refusal}"
        if refusal.code in UNREACHABLE:
            item.unit.breaker.failed(now_ns)
        else:
            item.unit.breaker.answered()
            item.group.fail(item.row, now_ns)
        item.postpone(now_ns, REST_OF_WRONG_NS if refusal.code in MISCONFIGURED else 0)

    def _retry(self, items: Sequence[PollItem], now_ns: int) -> None:
        for item in items:
            if item.unit.breaker.is_suspect:
                item.retry(now_ns)


def _is_in_place(item: PollItem, now_ns: int) -> bool:
    """Whether the device is known on this connection, and the item asks where its registers are."""
    return is_known(item.unit, now_ns) and item.shifts is item.unit.shifts


def _askable_ns(item: PollItem, now_ns: int) -> int:
    breaker = item.unit.breaker
    return item.next_ns if breaker.may_ask(now_ns) else max(item.next_ns, breaker.rests_until_ns)
