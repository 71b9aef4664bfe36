"""Writing on a link: what is due is written, checked by its echo, and read back where that says more.

Rule: writes do not wait for polls; they go before every request that has not been sent yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.field_io.arming import NotArmedError, arm
from controller.field_io.errors import FieldError
from controller.field_io.line import Line
from controller.field_io.link_status import LinkStatus
from controller.field_io.wake import IDLE_S, Wake
from controller.field_io.write_items import NEVER_NS, WriteItem
from controller.modbus.errors import EncodeError, ExceptionReply, RequestError
from controller.modbus.field_codec import encode_write
from controller.modbus.pdu import FunctionCode, Request, read


class Writer:
    """All that a link writes. `alive_ns`: when it last did anything."""

    def __init__(self, items: Sequence[WriteItem], status: LinkStatus, now_ns: int) -> None:
        """Take the items, in the order in which they are written when several are due."""
        self._items, self._status = tuple(items), status
        self._soonest_ns = NEVER_NS
        self._wake = Wake()
        self.fed_ns = min((item.fed_ns() for item in items), default=NEVER_NS)
        self.alive_ns = now_ns

    def wake(self) -> None:
        """End the wait that is on."""
        self._wake.wake()

    def look(self, now_ns: int) -> None:
        """Find out again when something is due (a new request, a scan that succeeded), and write it if it is now."""
        self._find_soonest(now_ns)
        if self._soonest_ns <= now_ns:
            self._wake.wake()

    def expire(self, now_ns: int, reason: str) -> None:
        """Fail what waited too long, as when there is no connection. That is silence, which is no refusal."""
        for item in self._items:
            if item.expires_ns() <= now_ns:
                item.begin(now_ns)
                item.done(reason)

    async def run(self, line: Line) -> None:
        """Write until the connection is lost: raises FieldError then."""
        while True:
            line.check()
            self.alive_ns = now_ns = line.now_ns()
            self.expire(now_ns, "the device does not answer")
            for item in self._items:
                if _writable_ns(item, now_ns) <= now_ns:
                    self.alive_ns = line.now_ns()
                    await self._write(line, item)
            now_ns = line.now_ns()
            self._find_soonest(now_ns)
            await self._wake.wait(min((self._soonest_ns - now_ns) * 1e-9, IDLE_S))

    def _find_soonest(self, now_ns: int) -> None:
        self._soonest_ns = min((_writable_ns(item, now_ns) for item in self._items), default=NEVER_NS)
        self.fed_ns = min((item.fed_ns() for item in self._items), default=NEVER_NS)

    async def _write(self, line: Line, item: WriteItem) -> None:
        value = item.begin(line.now_ns())
        self._status.writes += 1
        try:
            error = await _carry_out(line, item, value)
        except FieldError as lost:
            item.done(f"may or may not have been written: {lost}")
            raise
        item.done(error)
        refused_ns, what = item.unit.refused_ns, f"{item.field.signal.name} {item.position}"
        refused_ns.pop(what, None)
        if error:
            refused_ns[what] = line.now_ns()
            self._status.last_error = f"{item.unit.device.name}: {item.field.signal.name}: {error}"


def _writable_ns(item: WriteItem, now_ns: int) -> int:
    """Return when an item can be written; a unit that rests is left alone until then, or until it is too late."""
    due_ns = item.due_ns()
    breaker = item.unit.breaker
    if due_ns == NEVER_NS or breaker.may_ask(now_ns):
        return due_ns
    return min(max(due_ns, breaker.rests_until_ns), item.expires_ns())


async def _carry_out(line: Line, item: WriteItem, value: float) -> str:
    """Write one item and return what went wrong; raises FieldError if there was no sound answer."""
    unit = item.unit
    try:
        await arm(line, unit)
        factor = unit.scale_factor(item.field, item.position)
        request = unit.moved(encode_write(item.field, value, item.position, factor))
    except (NotArmedError, EncodeError, RequestError) as error:
        return str(error)
    echo = await line.ask_one(unit, request)
    if isinstance(echo, ExceptionReply):
        return str(echo)
    return await _read_back(line, item, request) if item.reads_back() else ""


async def _read_back(line: Line, item: WriteItem, request: Request) -> str:
    """Return what is wrong with what the device now holds."""
    check = read(FunctionCode.READ_HOLDING_REGISTERS, request.address, len(request.data) // 2)
    held = await line.ask_one(item.unit, check)
    if isinstance(held, ExceptionReply) or held == request.data:
        return ""  # a write-only register can't be read back; its echo has to do
    return f"holds {held.hex(' ')} after {request.data.hex(' ')} was written"
