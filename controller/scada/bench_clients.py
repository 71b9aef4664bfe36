"""Clients that load the faces, each in its own process: `python -m controller.scada.bench_clients KIND WHERE SECONDS`.

`modbus`: one request after the other on several connections; prints their latencies. `browse`: browses every node and
reads every value over OPC UA, again and again. `abuse`: what a broken or hostile OPC UA client does: giant messages
that never end, reads of everything at once, subscriptions to everything. Each prints one line of JSON at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from asyncua import Client, Node, ua

MODBUS_CONNECTIONS, REGISTERS, FLAT_UNIT, FLAT_START = 4, 100, 2, 100
READ_AT_ONCE = 500
GIANT_CLIENTS, SUBSCRIPTIONS, GREEDY_READERS = 8, 20, 2
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
    counts = {"browsed": 0, "read": 0}

    async def work() -> None:
        async with Client(where, timeout=30) as client:
            while True:
                variables = await _variables(client, counts)
                for start in range(0, len(variables), READ_AT_ONCE):
                    await client.read_values(variables[start : start + READ_AT_ONCE])
                    counts["read"] += len(variables[start : start + READ_AT_ONCE])

    await _for_a_time(work, duration_s)
    return dict(counts)


async def _variables(client: Client, counts: dict[str, int]) -> list[Node]:
    """Return every variable of the plant, found by browsing."""
    found: list[Node] = []
    waiting = [client.nodes.objects]
    while waiting:
        for child in await waiting.pop().get_children_descriptions():
            counts["browsed"] += 1
            node = client.get_node(child.NodeId)
            if child.NodeClass == ua.NodeClass.Variable:
                found.append(node)
            elif child.NodeId.NamespaceIndex:
                waiting.append(node)
    return found


async def abuse(where: str, duration_s: float) -> dict[str, Any]:
    """Do all of it at once, until the time is over."""
    counts = {"giants": 0, "read": 0, "subscriptions": 0, "browsed": 0}
    async with asyncio.TaskGroup() as group:
        for _ in range(GIANT_CLIENTS):
            group.create_task(_for_a_time(lambda: _send_giants(where, counts), duration_s))
        for _ in range(GREEDY_READERS):
            group.create_task(_for_a_time(lambda: _read_everything(where, counts), duration_s))
        group.create_task(_for_a_time(lambda: _subscribe(where, counts), duration_s))
    return dict(counts)


async def _send_giants(where: str, counts: dict[str, int]) -> None:
    place = urlsplit(where)
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(place.hostname, place.port)
            url = where.encode()
            body = struct.pack("<IIIII", 0, 65535, 65535, 0, 0) + struct.pack("<I", len(url)) + url
            writer.write(b"HELF" + struct.pack("<I", 8 + len(body)) + body + _GIANT)
            for _ in range(64):
                writer.write(bytes(65536))
                await writer.drain()
            writer.close()
        counts["giants"] += 1
        await asyncio.sleep(0.01)


async def _read_everything(where: str, counts: dict[str, int]) -> None:
    async with Client(where, timeout=30) as client:
        variables = await _variables(client, counts)
        while True:
            with contextlib.suppress(ua.UaError):
                counts["read"] += len(await client.read_values(variables))
            await asyncio.sleep(0)


class _Silent:
    def datachange_notification(self, node: Node, value: object, data: object) -> None:
        """Take a value and do nothing with it."""


async def _subscribe(where: str, counts: dict[str, int]) -> None:
    async with Client(where, timeout=30) as client:
        variables = await _variables(client, counts)
        for _ in range(SUBSCRIPTIONS):
            with contextlib.suppress(ua.UaError):
                subscription = await client.create_subscription(50, _Silent())
                await subscription.subscribe_data_change(variables)
                counts["subscriptions"] += 1
        await asyncio.Event().wait()


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
    sys.stdout.write(json.dumps(asyncio.run(_KINDS[kind](where, float(duration_s)))) + "\n")


if __name__ == "__main__":
    main()
