"""One Modbus request -> one answer: which unit, which right, how old the plant's data are, and who must agree.

Rule: an unknown unit is answered 0x0B; then follow the function (1), quantity and form (3), address range (2) and the
right to write (1); then silence of the control process (0x0B, or 4 while it was never heard); last the unit's own map.
A read is answered at once. A write becomes commands to the plant, and its answer is the plant's.

Source: Modbus Application Protocol V1.1b3, section 7.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

from controller.control.commands import LIMITS, STOPS, Action, Command, Refusal, Reply
from controller.link.linked_plant import SiteChangedError
from controller.link.plant_view import PlantView, Snapshot
from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import FunctionCode, Request, exception_reply, parse_request, reply
from controller.plant.clock import Clock
from controller.scada.refusals import NEVER_TAKEN, RefusalReport

WRITES = frozenset({FunctionCode.WRITE_SINGLE_REGISTER, FunctionCode.WRITE_MULTIPLE_REGISTERS})
FUNCTIONS = WRITES | {FunctionCode.READ_HOLDING_REGISTERS}
COMMANDS_AT_ONCE = 32
"""Most commands of all connections together that wait for the plant's reply, stops not counted. A command is stamped
when its turn comes, so that one of many does not grow too old here."""

EXCEPTION_OF = {
    Refusal.OUT_OF_RANGE: ExceptionCode.ILLEGAL_DATA_VALUE,
    Refusal.WRONG_TYPE: ExceptionCode.ILLEGAL_DATA_VALUE,
    Refusal.NO_RIGHT: ExceptionCode.ILLEGAL_FUNCTION,
    Refusal.WRONG_STATE: ExceptionCode.SERVER_DEVICE_FAILURE,
    Refusal.NOT_OWNER: ExceptionCode.SERVER_DEVICE_FAILURE,
    Refusal.UNKNOWN_TARGET: ExceptionCode.ILLEGAL_DATA_ADDRESS,
    Refusal.BUSY: ExceptionCode.SERVER_DEVICE_BUSY,
    Refusal.TOO_OLD: ExceptionCode.SERVER_DEVICE_BUSY,
    Refusal.NO_COMMUNICATION: ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND,
}

_INTERCHANGEABLE = (
    STOPS
    | LIMITS
    | {
        Action.SET_ACTIVE_POWER,
        Action.SET_REACTIVE_POWER,
        Action.SCADA_HEARTBEAT,
    }
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks. Its address is also the name under which it owns set-points, so that it may reconnect."""

    address: str
    may_write: bool


class Writers:
    """Who may write: addresses and networks of the site file; if it names none, this machine on a loopback face."""

    def __init__(self, allowed: Iterable[str], host: str) -> None:
        """Take the site's list and the address that the face listens on."""
        self._networks = tuple(ipaddress.ip_network(writer, strict=False) for writer in allowed)
        self._loopback_writes = not self._networks and _is_loopback(host)

    def peer(self, address: str) -> Peer:
        """Return who stands behind an IP address (an IPv4 one may come dressed as IPv6)."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        is_named = any(found in network for network in self._networks)
        return Peer(str(found), is_named or (self._loopback_writes and found.is_loopback))


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


@dataclass(frozen=True, slots=True)
class Order:
    """What a written register asks of the plant, in base units."""

    action: Action
    target: str = "Plant"
    value: float | int | None = None
    timeout_s: float | None = None
    fallback: float | None = None


def _nothing() -> None:
    """Nothing to take back."""


def _no_matter(_now_ns: int) -> None:
    """Nothing waits for the plant's word."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one write asks for, in register order.

    `undo` is called if the plant refuses any of it, else `confirm` with the time of its answer.
    """

    orders: tuple[Order, ...] = ()
    undo: Callable[[], None] = _nothing
    confirm: Callable[[int], None] = _no_matter


class RegisterMap(Protocol):
    """The registers of one unit. Addresses are zero-based; data as on the wire."""

    def read(self, snapshot: Snapshot, now_ns: int, address: int, count: int, /) -> bytes | ExceptionCode:
        """Return `count` registers as they are now, or why they can't be read."""

    def write(self, snapshot: Snapshot, now_ns: int, address: int, data: bytes, /) -> Plan | ExceptionCode:
        """Return what these registers ask of the plant, or why they can't be written. All of it or nothing."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the plant has to agree to; `answer` is what it gets then."""

    peer: Peer
    request: Request
    plan: Plan

    @property
    def stands_alone(self) -> bool:
        """Whether it must be answered before the next request is taken: a start changes what later requests mean."""
        return any(order.action not in _INTERCHANGEABLE for order in self.plan.orders)


@dataclass(slots=True)
class RequestCounters:
    """What was asked, since the start."""

    requests: int = 0
    exceptions: int = 0
    commands: int = 0
    commands_refused: int = 0


class Requests:
    """Answers requests for all units of one face."""

    def __init__(
        self,
        view: PlantView,
        units: Mapping[int, RegisterMap],
        clock: Clock,
        rights: Mapping[int, Writers] | None = None,
    ) -> None:
        """Take the plant and what each unit shows of it; `rights`: who may write to units that have their own."""
        self._view, self.units, self._clock = view, units, clock
        self._rights = rights or {}
        self._at_once = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._numbers = itertools.count(1)
        self.refusals = RefusalReport("modbus", view, clock)
        self.counters = RequestCounters()

    def answer(self, unit: int, pdu: bytes, peer: Peer) -> bytes | Write:
        """Return the answer's PDU, or the write that has to be performed first."""
        self.counters.requests += 1
        answer = self._answer(unit, pdu, peer)
        if isinstance(answer, ExceptionCode):
            if pdu[0] in WRITES:
                self.refusals.refused(peer.address, _in_words(unit, pdu, answer))
            return self._exception(pdu[0], answer)
        return answer

    async def perform(self, write: Write) -> bytes:
        """Hand the commands of a write to the plant, in order and all at once; return the answer's PDU."""
        refused = None
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._submit(order, write.peer)) for order in write.plan.orders]
            refused = next((task.result() for task in asked if not task.result().accepted), None)
        finally:  # also when nobody waits any more for the answer: then the plant may well have taken it
            write.plan.confirm(self._clock.mono_ns()) if refused is None else write.plan.undo()
        if refused is None:
            return reply(write.request)
        return self._exception(write.request.function, EXCEPTION_OF[refused.refusal])

    def _answer(self, unit: int, pdu: bytes, peer: Peer) -> bytes | Write | ExceptionCode:
        registers = self.units.get(unit)
        if registers is None:
            return ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND
        if pdu[0] not in FUNCTIONS:
            return ExceptionCode.ILLEGAL_FUNCTION
        request = parse_request(pdu)
        if isinstance(request, ExceptionCode):
            return request
        if request.data and not self._may_write(unit, peer):
            return ExceptionCode.ILLEGAL_FUNCTION
        now_ns = self._clock.mono_ns()
        snapshot = self._snapshot(now_ns)
        if isinstance(snapshot, ExceptionCode):
            return snapshot
        if request.data:
            return _planned(registers.write(snapshot, now_ns, request.address, request.data), request, peer)
        found = registers.read(snapshot, now_ns, request.address, request.count)
        return found if isinstance(found, ExceptionCode) else reply(request, found)

    def _may_write(self, unit: int, peer: Peer) -> bool:
        own = self._rights.get(unit)
        return peer.may_write if own is None else own.peer(peer.address).may_write

    def _snapshot(self, now_ns: int) -> Snapshot | ExceptionCode:
        try:
            snapshot = self._view.snapshot()
        except SiteChangedError:  # the face ends by it elsewhere; what we hold is another plant's
            return ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND
        if snapshot.is_none:
            return ExceptionCode.SERVER_DEVICE_FAILURE
        return ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND if snapshot.is_stale(now_ns) else snapshot

    async def _submit(self, order: Order, peer: Peer) -> Reply:
        async with nullcontext() if order.action in STOPS else self._at_once:
            answer = await self._view.submit(self._command(order, peer))
        self.counters.commands += 1
        self.counters.commands_refused += not answer.accepted
        if answer.refusal in NEVER_TAKEN:
            self.refusals.refused(peer.address, f"{order.action} {order.value}: {answer.text}")
        return answer

    def _command(self, order: Order, peer: Peer) -> Command:
        return Command(
            id=f"modbus-{os.getpid()}-{next(self._numbers)}",
            face="modbus",
            user=peer.address,
            role="operator",
            action=order.action,
            target=order.target,
            value=order.value,
            issued_mono_ns=self._clock.mono_ns(),
            timeout_s=order.timeout_s,
            fallback=order.fallback,
        )

    def _exception(self, function: int, code: ExceptionCode) -> bytes:
        self.counters.exceptions += 1
        return exception_reply(function, code)


def _in_words(unit: int, pdu: bytes, code: ExceptionCode) -> str:
    """Return a refused write for the journal: where, what was to be written, and why not."""
    address, rest = int.from_bytes(pdu[1:3]), pdu[3:] if pdu[0] == FunctionCode.WRITE_SINGLE_REGISTER else pdu[6:]
    values = " ".join(f"{int.from_bytes(rest[k : k + 2]):04X}" for k in range(0, min(len(rest), 16), 2))
    return f"write to unit {unit}, register {address}, of {values or 'nothing'}: exception {code.value}"


def _planned(plan: Plan | ExceptionCode, request: Request, peer: Peer) -> bytes | Write | ExceptionCode:
    if isinstance(plan, ExceptionCode):
        return plan
    return Write(peer, request, plan) if plan.orders else reply(request)
