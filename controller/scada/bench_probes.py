"""What a client sees of a rack value, asked again and again: when it is good, and when it no longer is."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Callable, Sequence

from asyncua import Client, ua

from controller.scada.opcua.nodes import NAMESPACE_URI

PAUSE_S = 0.01
ANSWER_S = 1.0
_PROPERTIES = ("EngineeringUnits", "EURange")

Probe = Callable[[], Awaitable[bool]]
"""Whether a real read of the value, now, brings it with good quality."""


async def until(probe: Probe, wanted: bool, longest_s: float) -> float:  # noqa: FBT001 - what the probe is to say
    """Return after how many seconds the probe says what is wanted, `longest_s` if it never does."""
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < longest_s:
        if await probe() is wanted:
            return time.perf_counter() - started_s
        await asyncio.sleep(PAUSE_S)
    return longest_s


class ModbusProbe:
    """Reads one float of the flat map on a connection that it makes anew when it is lost."""

    def __init__(self, where: str, unit: int, address: int) -> None:
        """Connect to nothing yet."""
        self._host, _, port = where.rpartition(":")
        self._port, self._request = int(port), struct.pack(">HHHBBHH", 1, 0, 6, unit, 3, address, 2)
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __call__(self) -> bool:
        """Read once."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._read()
        except (OSError, EOFError, TimeoutError):
            self.close()
            return False

    async def _read(self) -> bool:
        if self._open is None:
            self._open = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._open
        writer.write(self._request)
        header = await reader.readexactly(9)
        if header[7] & 0x80:
            return False
        (value,) = struct.unpack(">f", await reader.readexactly(header[8]))
        return bool(value == value)  # noqa: PLR0124 - NaN is bad quality

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


class OpcUaProbe:
    """Reads one variable in a session that it makes anew when it is lost."""

    def __init__(self, where: str, tag: str) -> None:
        """Connect to nothing yet."""
        self._where, self._tag = where, tag
        self._client: Client | None = None

    async def __call__(self) -> bool:
        """Read once."""
        try:
            async with asyncio.timeout(ANSWER_S * (1 if self._client else 10)):
                client = self._client = self._client or await _connected(self._where)
                found = await client.get_node(await _node(client, self._tag)).read_data_value(raise_on_bad_status=False)
        except (OSError, TimeoutError, ua.UaError, ConnectionError):
            await self.close()
            return False
        assert found.StatusCode is not None
        return bool(found.StatusCode.is_good())

    async def missing_properties(self, tags: Sequence[str]) -> int:
        """Return how many units and ranges of these variables can't be read."""
        client = self._client = self._client or await _connected(self._where)
        nodes = [client.get_node(await _node(client, f"{tag}.{p}")) for tag in tags for p in _PROPERTIES]
        found = await client.read_attributes(nodes, ua.AttributeIds.Value)
        return sum(not (f.StatusCode and f.StatusCode.is_good() and f.Value and f.Value.Value) for f in found)

    async def close(self) -> None:
        """End the session."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, TimeoutError, ua.UaError, ConnectionError):
                async with asyncio.timeout(ANSWER_S):
                    await client.disconnect()


async def _connected(where: str) -> Client:
    client = Client(where, timeout=ANSWER_S * 5)
    await client.connect()
    return client


async def _node(client: Client, tag: str) -> ua.NodeId:
    return ua.NodeId.from_string(f"ns={await client.get_namespace_index(NAMESPACE_URI)};s={tag}")
