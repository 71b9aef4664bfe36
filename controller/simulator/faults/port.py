"""The other end of the simulator's port for fault commands: a line out, an answer in."""

from __future__ import annotations

import asyncio

ANSWER_S = 10.0


class FaultPort:
    """The simulator's port for fault commands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take an open connection."""
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, address: str) -> FaultPort:
        """Connect; raises OSError."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def execute(self, line: str) -> str:
        """Return the answer to one command; a simulator that does not answer is an error in words."""
        try:
            self._writer.write(f"{line}\n".encode())
            async with asyncio.timeout(ANSWER_S):
                answer = (await self._reader.readline()).decode().strip()
        except (OSError, TimeoutError) as error:
            return f"error: the simulator does not answer ({error})"
        return answer or "error: the simulator is gone"

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
