"""The plant of another process: snapshots from its file, commands over its socket."""

from __future__ import annotations

from dataclasses import replace

from controller.control.commands import STOPS, Command, Refusal, Reply
from controller.image.image import Image
from controller.image.layout import Layout
from controller.image.quantities import Section
from controller.link.command_queue import refuse
from controller.link.command_socket import CommandClient
from controller.link.event_ring import EventBatch, no_events
from controller.link.plant_view import Snapshot
from controller.link.run_directory import RunDirectory
from controller.link.snapshot_file import OpenSnapshot
from controller.link.snapshot_memory import SnapshotCopy, UnusableSnapshotError
from controller.plant.clock import Clock

EXIT_SITE_CHANGED = 75


class SiteChangedError(Exception):
    """Control runs another site or another layout: exit 75; the supervisor starts this process anew at once."""


class LinkedPlant:
    """A `PlantView` over the run directory. Control may come later, die and come back; only a changed site ends it."""

    def __init__(self, run: RunDirectory, layout: Layout, site_hash: bytes, clock: Clock) -> None:
        """Look for nothing yet; `layout` and `site_hash` are those of the sealed site this process loaded."""
        self._run = run
        self._layout = layout
        self._site_hash = site_hash
        self._clock = clock
        self._client = CommandClient(run.command_socket)
        self._file: OpenSnapshot | None = None
        self._copy: SnapshotCopy | None = None
        self._snapshot = Snapshot.none(layout, site_hash)

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot; while control is away the last one, whose age tells.

        Raises:
            SiteChangedError: Control was started on another site.
        """
        if self._file is None:
            self._open()
        if self._file is not None and not self._take_newest(self._file) and self._file.is_replaced():
            self._open()
            self._take_newest(self._file)
        return self._snapshot

    async def submit(self, command: Command) -> Reply:
        """Hand a command to control. While control is silent it is refused at once; a stop is tried even then."""
        if command.action not in STOPS and self.snapshot().is_stale(self._clock.mono_ns()):
            return refuse(command, Refusal.NO_COMMUNICATION, "control is silent; nothing was sent")
        return await self._client.submit(command)

    def events(self, since: int) -> EventBatch:
        """Return the events from number `since` on; none while control never ran.

        Raises:
            SiteChangedError: As `snapshot`, which is what finds a restarted control.
        """
        self.snapshot()
        return no_events(since) if self._file is None else self._file.reader.events.read(since)

    def _take_newest(self, file: OpenSnapshot) -> bool:
        copy, run_state = file.reader.read(), file.reader.run_state
        if copy is None:
            return False
        if copy is not self._copy:
            self._copy = copy
            image = Image(self._layout, {Section.RACKS: copy.racks, Section.CELLS: copy.cells})
            self._snapshot = Snapshot(
                image=image,
                sequence=copy.sequence,
                published_mono_ns=copy.published_mono_ns,
                run_state=run_state,
                epoch=file.reader.epoch,
                site_hash=self._site_hash,
                cells_generation=copy.cells_generation,
            )
            return True
        if run_state is not self._snapshot.run_state:
            self._snapshot = replace(self._snapshot, run_state=run_state)
        return False

    def _open(self) -> None:
        try:
            file = OpenSnapshot(self._run.snapshot)
        except (OSError, UnusableSnapshotError):
            return
        form = file.reader.form
        sizes = tuple(self._layout.section_size(section) for section in (Section.RACKS, Section.CELLS))
        if (form.layout_hash, form.site_hash, form.racks_bytes, form.cells_bytes) != (
            self._layout.hash,
            self._site_hash,
            *sizes,
        ):
            raise SiteChangedError("control runs another site or another release; load the sealed site anew")
        self._file, self._copy = file, None
