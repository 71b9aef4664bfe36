"""A child's side of the supervisor: life bytes out, end-of-input in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping

LIFE_PERIOD_S = 0.2


class LifePipe:
    """Writes a byte each 0.2 s and one line of JSON when ready; without a pipe (run by hand) it does nothing."""

    def __init__(self, descriptor: int | None) -> None:
        """Take the pipe's descriptor."""
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_blocking(descriptor, False)

    def ready(self, about: Mapping[str, object]) -> None:
        """Tell the supervisor that this process serves, and where."""
        line = (json.dumps(dict(about)) + "\n").encode()
        if self._descriptor is not None:
            os.set_blocking(self._descriptor, True)  # what a large plant says is longer than a pipe holds
            with contextlib.suppress(OSError), os.fdopen(self._descriptor, "wb", closefd=False) as pipe:
                pipe.write(line)
            os.set_blocking(self._descriptor, False)

    async def beat(self) -> None:
        """Write life bytes for ever: a loop that stands still falls silent."""
        while True:
            self.show_life()
            await asyncio.sleep(LIFE_PERIOD_S)

    def show_life(self) -> None:
        """Write one life byte: something that must go on has just gone on."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, b".")


async def end_of_input(hear: Callable[[str], None] = lambda _line: None) -> None:
    """Return when standard input ends: the supervisor has stopped us, or is no more. Each line is handed to `hear`."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if text := line.decode("utf-8", "replace").strip():
            hear(text)
