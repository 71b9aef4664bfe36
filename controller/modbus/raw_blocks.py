"""Raw register blocks as they arrived: the one thing that field, simulator and recordings hand to the latch.

Rule: a group is all devices of one type that are polled in one block; the registers of device row d lie side by side
in `data[d]`, span after span, big-endian as on the wire (coils packed as on the wire). A row changes only as a whole,
after every span of the block has been read without a fault; `arrivals[d]` then advances by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from controller.plant.device_types import DeviceType


class RowState(IntEnum):
    """What is known of a row."""

    NEVER = 0
    GOOD = 1
    FAILED = 2  # the device answers, but with exceptions, or is not the device it should be


@dataclass(frozen=True, slots=True)
class ReadSpan:
    """One request's worth of registers (or bits). `offset_bytes` is where its data starts in a row."""

    function: int
    address: int
    count: int
    offset_bytes: int

    @property
    def size_bytes(self) -> int:
        """Bytes of payload."""
        return -(-self.count // 8) if self.function in {1, 2} else 2 * self.count


class RawGroup:
    """Rows of one device type and poll block."""

    def __init__(
        self, device_type: DeviceType, block: str, spans: tuple[ReadSpan, ...], devices: tuple[int, ...]
    ) -> None:
        """Allocate one row per device; `devices` are indices into `Plant.devices`."""
        self.device_type, self.block, self.spans, self.devices = device_type, block, spans, devices
        width = max((s.offset_bytes + s.size_bytes for s in spans), default=0)
        self.data: NDArray[np.uint8] = np.zeros((len(devices), width), np.uint8)
        self.time_ns: NDArray[np.int64] = np.zeros(len(devices), np.int64)
        self.state: NDArray[np.uint8] = np.full(len(devices), RowState.NEVER, np.uint8)
        self.arrivals: NDArray[np.uint32] = np.zeros(len(devices), np.uint32)
        # The same memory, element by element: a row comes alone, and numpy takes a microsecond for each element.
        self._rows = [row.data for row in self.data]
        self._times, self._states, self._arrived = self.time_ns.data, self.state.data, self.arrivals.data

    def forget(self) -> None:
        """Stand as before the first poll."""
        self.time_ns.fill(0)
        self.state.fill(RowState.NEVER)
        self.arrivals.fill(0)

    def store(self, row: int, data: bytes | bytearray | memoryview, time_ns: int) -> None:
        """Replace a row by a complete, checked block that was sampled at `time_ns`."""
        self._rows[row][:] = data
        self._note(row, RowState.GOOD, time_ns)

    def fail(self, row: int, time_ns: int) -> None:
        """Record that the device answered and the answer was no (exception, wrong identity)."""
        self._note(row, RowState.FAILED, time_ns)

    def _note(self, row: int, state: RowState, time_ns: int) -> None:
        self._times[row], self._states[row] = time_ns, state
        self._arrived[row] = (self._arrived[row] + 1) & 0xFFFF_FFFF


RawBlocks = tuple[RawGroup, ...]
"""All groups of a plant, in the order of the polling plan."""
