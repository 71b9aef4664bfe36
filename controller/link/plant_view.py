"""The plant as every face and tool sees it: three methods, whoever stands behind them.

`LinkedPlant` answers from the snapshot file and the command socket of another process; a plant in the same process
(tests, rehearse, replay) answers the same three.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, Self

from controller.control.commands import Command, Reply
from controller.image.image import Image
from controller.image.layout import Layout
from controller.link.event_ring import EventBatch

STALE_AFTER_NS = 1_000_000_000
"""Control publishes at least each 0.2 s; a snapshot older than this says that control is silent."""


class RunState(IntEnum):
    """What control is doing, as stored in the snapshot's header."""

    UNKNOWN = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    STOPPED = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One scan's image, a copy that nobody changes any more (its arrays are read-only).

    `sequence` counts publishes of one start of control, `epoch` tells starts apart, `cells_generation` moves only
    when the cell section did. Each value's own age comes on top of the snapshot's.
    """

    image: Image
    sequence: int
    published_mono_ns: int
    run_state: RunState
    epoch: int
    site_hash: bytes
    cells_generation: int

    @classmethod
    def none(cls, layout: Layout, site_hash: bytes = b"") -> Self:
        """Return the snapshot of a control that never published: every value NEVER_READ, always stale."""
        buffers = Image(layout).buffers
        for buffer in buffers.values():
            buffer.setflags(write=False)
        return cls(Image(layout, buffers), 0, 0, RunState.UNKNOWN, 0, site_hash, 0)

    @property
    def is_none(self) -> bool:
        """Whether nothing was ever published (faces say "waiting for initial data")."""
        return self.sequence == 0

    def age_ns(self, now_ns: int) -> int:
        """Nanoseconds since it was published, on the monotonic clock all processes share."""
        return now_ns - self.published_mono_ns

    def is_stale(self, now_ns: int) -> bool:
        """Whether control is silent; ask at *every* read. A stamp from the future is no better than an old one."""
        return self.is_none or abs(self.age_ns(now_ns)) > STALE_AFTER_NS


class PlantView(Protocol):
    """What faces and tools may do with a plant."""

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot; the same object while nothing new was published."""

    async def submit(self, command: Command) -> Reply:
        """Hand a command to control and wait for its reply; never raises for a refused or lost one."""

    def events(self, since: int) -> EventBatch:
        """Return the events from number `since` on (0: all that are still there)."""
