"""Clients that load the faces, each in its own process: `python -m controller.scada.bench_clients KIND WHERE SECONDS`.

`modbus`: one request after the other on several connections; prints their latencies. `browse`: browses every node and
reads every value over OPC UA, again and again. `abuse`: what broken or hostile OPC UA clients do, all at once: giant
messages that never end, connections that say nothing, the largest reads that are taken and larger ones, subscriptions
to everything, browsing without an end. Each prints one line of JSON at its end; `abuse` prints a first one as soon as
each abuse has acted, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Never
from urllib.parse import urlsplit

from asyncua import Client, Node, ua

MODBUS_CONNECTIONS, REGISTERS, FLAT_UNIT, FLAT_START = 4, 100, 2, 100
READ_AT_ONCE, READ_AT_MOST = 500, 10_000
SUBSCRIPTIONS, HALF_OPEN_S = 16, 5.0
_REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, FLAT_UNIT, 3, FLAT_START, REGISTERS)
_REPLY_BYTES = 9 + 2 * REGISTERS
_GIANT = b"MSGC" + struct.pack("<I", 64 << 20)


class _Reader(asyncio.Protocol):
    """Asks as soon as it is answered, and notes how long that took."""

    def __init__(self, taken_s: list[float]) -> None:
        self._taken_s, self._loop, self._missing = taken_s, asyncio.get_running_loop(), 0
        self._asked_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing <= 0:
            self._taken_s.append(self._loop.time() - self._asked_s)
            self._ask()

    def _ask(self) -> None:
        self._missing, self._asked_s = _REPLY_BYTES, self._loop.time()
        self._transport.write(_REQUEST)


async def modbus(where: str, duration_s: float) -> dict[str, Any]:
    """Read as fast as the face answers."""
    host, _, port = where.rpartition(":")
    taken_s: list[float] = []
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Reader(taken_s), host, int(port)) for _ in range(MODBUS_CONNECTIONS)]
    await asyncio.sleep(duration_s)
    for transport, _ in made:
        transport.abort()
    taken_s.sort()
    return {
        "reads": len(taken_s),
        "p50_ms": round(1e3 * taken_s[len(taken_s) // 2], 3),
        "p99_ms": round(1e3 * taken_s[int(len(taken_s) * 0.99)], 3),
        "max_ms": round(1e3 * taken_s[-1], 3),
    }


async def browse(where: str, duration_s: float) -> dict[str, Any]:
    """Browse from the root and read all variables, until the time is over."""
    counts: Counter[str] = Counter(nodes_browsed=0, values_read=0)

    async def work() -> None:
        async with Client(where, timeout=30) as client:
            while True:
                variables = await _all_variables(client, counts)
                for start in range(0, len(variables), READ_AT_ONCE):
                    await client.read_values(variables[start : start + READ_AT_ONCE])
                    counts["values_read"] += len(variables[start : start + READ_AT_ONCE])

    await _for_a_time(work, duration_s)
    return dict(counts)


async def _all_variables(client: Client, counts: Counter[str]) -> list[Node]:
    """Return every variable of the plant, found by browsing."""
    found: list[Node] = []
    waiting = [client.nodes.objects]
    while waiting:
        for child in await waiting.pop().get_children_descriptions():
            counts["nodes_browsed"] += 1
            node = client.get_node(child.NodeId)
            if child.NodeClass == ua.NodeClass.Variable:
                found.append(node)
            elif child.NodeId.NamespaceIndex:
                waiting.append(node)
    return found


Counts = Counter[str]
Abuse = Callable[[str, Sequence[Node], Counts], Awaitable[None]]


async def abuse(where: str, _duration_s: float) -> Never:
    """Do all of it at once, until the input ends; what was done before each abuse had acted is not counted."""
    async with Client(where, timeout=30) as client:
        variables = await _all_variables(client, Counter())
    counts: Counts = Counter()
    async with asyncio.TaskGroup() as group:
        for work in (work for work, clients in _ABUSES.items() for _ in range(clients)):
            group.create_task(_again(work, where, variables, counts))
        while not all(counts[name] for name in ACTS):  # noqa: ASYNC110 - seven counters, each counted by many
            await asyncio.sleep(0.1)
        counts.clear()
        _tell({"ready": True})
        await asyncio.to_thread(sys.stdin.read)
        _tell({name: counts[name] for name in ACTS})
        os._exit(0)  # no goodbye: the library would wait for the face's


async def _send_giants(where: str, _variables: Sequence[Node], counts: Counts) -> None:
    """Announce 64 MB and send until thrown out."""
    place = urlsplit(where)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    counts["giants"] += 1
    with contextlib.closing(writer):
        url = where.encode()
        body = struct.pack("<IIIII", 0, 65535, 65535, 0, 0) + struct.pack("<I", len(url)) + url
        writer.write(b"HELF" + struct.pack("<I", 8 + len(body)) + body + _GIANT)
        for _ in range(64):
            writer.write(bytes(65536))
            await writer.drain()


async def _say_nothing(where: str, _variables: Sequence[Node], counts: Counts) -> None:
    """Open a connection, send half a greeting, and hold it."""
    place = urlsplit(where)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    counts["half_open"] += 1
    with contextlib.closing(writer):
        writer.write(b"HELF")
        await asyncio.sleep(HALF_OPEN_S)


async def _read_most(where: str, variables: Sequence[Node], counts: Counts) -> None:
    """Read as many values at once as the face takes, again and again."""
    most = variables[:READ_AT_MOST]
    async with _patient(where) as client:
        while True:
            await client.read_values(most)
            counts["values_read"] += len(most)


async def _read_too_much(where: str, variables: Sequence[Node], counts: Counts) -> None:
    """Ask for more values at once than the face takes."""
    too_many = [variables[n % len(variables)] for n in range(READ_AT_MOST + 1)]
    async with _patient(where) as client:
        while True:
            with contextlib.suppress(ua.uaerrors.BadTooManyOperations):
                await client.read_values(too_many)
            counts["reads_refused"] += 1


async def _browse_on(where: str, _variables: Sequence[Node], counts: Counts) -> None:
    """Browse the whole address space, again and again."""
    async with _patient(where) as client:
        while True:
            await _all_variables(client, counts)


class _Listening:
    """Counts what a subscription brings."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def datachange_notification(self, _node: Node, _value: object, _data: object) -> None:
        """Take a value and do nothing with it."""
        self._counts["values_notified"] += 1


async def _subscribe(where: str, variables: Sequence[Node], counts: Counts) -> None:
    """Subscribe to as much as the face takes, as often as it takes, then begin again."""
    async with _patient(where) as client:
        for _ in range(SUBSCRIPTIONS):
            subscription = await client.create_subscription(50, _Listening(counts))
            items = await subscription.subscribe_data_change(list(variables[:READ_AT_MOST]))
            assert isinstance(items, list)
            counts["items_subscribed"] += sum(isinstance(item, int) for item in items)


_ABUSES: Mapping[Abuse, int] = {
    _send_giants: 8, _say_nothing: 8, _read_most: 2, _read_too_much: 1, _browse_on: 1, _subscribe: 1,
}  # fmt: skip
"""Each abuse and how many clients do it; with the waiting ones fewer than one peer may have connections."""

ACTS = (
    "giants", "half_open", "values_read", "reads_refused", "nodes_browsed", "items_subscribed", "values_notified",
)  # fmt: skip
"""What is counted of an abuse; one that counts nothing has not been done."""


def _patient(where: str) -> Client:
    return Client(where, timeout=30)


async def _again(work: Abuse, where: str, variables: Sequence[Node], counts: Counts) -> None:
    """Do something for ever; whoever is thrown out comes back."""
    while True:
        with contextlib.suppress(OSError, ua.UaError):
            await work(where, variables, counts)
        await asyncio.sleep(0.01)


async def _for_a_time(work: Callable[[], Awaitable[None]], duration_s: float) -> None:
    """Do something until the time is over; whoever is thrown out comes back."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration_s):
            while True:
                with contextlib.suppress(OSError, ua.UaError, ConnectionError, asyncio.IncompleteReadError):
                    await work()
                await asyncio.sleep(0.2)


_KINDS = {"modbus": modbus, "browse": browse, "abuse": abuse}


def main() -> None:
    """Run one client and print what it did."""
    logging.disable(logging.CRITICAL)
    kind, where, duration_s = sys.argv[1:]
    _tell(asyncio.run(_KINDS[kind](where, float(duration_s))))


def _tell(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
