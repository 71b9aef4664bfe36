"""A plant in the same process and in fake time: controller and simulated devices together, without sockets.

`LocalPlant` is a `PlantView` like the linked one, so faces, tools and tests see no difference. `advance` moves both
sides by one scan period: field -> scan -> writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from controller.alarms.system_alarms import SystemAlarm
from controller.control.commands import Action, Command, Refusal, Reply
from controller.image.image import Image
from controller.link.event_ring import EVENT, EventBatch, no_events
from controller.link.plant_view import RunState, Snapshot
from controller.modbus.poll_groups import PollGroup, poll_groups
from controller.plant.model import Plant
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.clock import FakeClock
from controller.runtime.event_rows import ring_records
from controller.runtime.overdue import Overdue
from controller.runtime.retained_parts import retained_parts, take_over
from controller.runtime.scan import ScanResult, scan
from controller.runtime.scan_state import State, Tables, first_state, tables_of
from controller.runtime.system_watch import field_lost
from controller.runtime.timetable import Timetable
from controller.simulator.fake_field import FakeField

RING_LENGTH = 4096


@dataclass(slots=True)
class LocalPlant:
    """Controller and simulated plant; made by `local_plant`."""

    tables: Tables
    state: State
    fake: FakeField
    clock: FakeClock
    overdue: Overdue
    timetable: Timetable
    _groups: tuple[PollGroup, ...]
    _waiting: list[Command] = field(default_factory=list)
    _replies: dict[str, Reply] = field(default_factory=dict)
    _events: list[np.void] = field(default_factory=list)

    @property
    def plant(self) -> Plant:
        """The plant that is controlled."""
        return self.tables.plant

    def advance(self, duration_s: float) -> ScanResult:
        """Let time pass on both sides and run one scan."""
        self.clock.advance(duration_s)
        now_ns = self.clock.mono_ns()
        self.fake.latest(now_ns)
        commands, self._waiting = self._waiting, []
        commands += self.timetable.commands(self.state, now_ns, self.clock.utc_ns())
        lost = self.fake.lost_devices(now_ns)
        self.state.conditions.hold(SystemAlarm.DEVICE_LOST, lost, now_ns)
        self.state.conditions.hold(SystemAlarm.FIELD_LOST, field_lost(lost), now_ns)
        for alarm, active in self.overdue.conditions(self.clock.utc_ns()).items():
            self.state.conditions.hold(alarm, active, now_ns)
        result = scan(self.tables, self.state, commands, now_ns)
        self.fake.write(self.state.outputs, result.withhold_heartbeat)
        self._replies = {reply.id: reply for reply in result.replies}
        if result.alarm_events or result.control_events:
            self._keep(result, now_ns)
        return result

    def command(self, action: Action, target: str = "Plant", value: float | str | None = None) -> Command:
        """Queue a command of an operator for the next scan and return it."""
        number = f"local-{self.state.scan_count}-{len(self._waiting)}"
        command = Command(number, "local", "operator", "operator", action, target, value, self.clock.mono_ns())
        return self.give(command)

    def give(self, command: Command) -> Command:
        """Queue a command for the next scan and return it."""
        self._waiting.append(command)
        return command

    def reply(self, command: Command) -> Reply | None:
        """Return the reply of the last scan to a command."""
        return self._replies.get(command.id)

    def restart(self, silence_s: float = 0.0) -> None:
        """Let control die and start anew on what it retained, after a silence; the field goes on by itself."""
        parts = retained_parts(self.tables, self.state, self.clock.mono_ns())
        parts["saved_utc_ns"] = str(self.clock.utc_ns()).encode()
        self.clock.advance(silence_s)
        now_ns = self.clock.mono_ns()
        self.fake.latest(now_ns)
        self.fake.forget()
        self.state = first_state(self.tables, self._groups, now_ns)
        self.timetable = Timetable(self.plant, now_ns)
        take_over(self.tables, self.state, parts, now_ns, self.clock.utc_ns())

    def snapshot(self) -> Snapshot:
        """Return a copy of the image as the last scan left it."""
        image = Image(self.tables.layout)
        image.copy_from(self.state.image)
        for buffer in image.buffers.values():
            buffer.setflags(write=False)
        count = self.state.scan_count
        return Snapshot(image, count, self.state.last_ns, RunState.RUNNING, 1, b"", count)

    async def submit(self, command: Command) -> Reply:
        """Carry a command out in a scan of its own, in which no time passes."""
        self._waiting.append(command)
        self.advance(0.0)
        lost = Reply(command.id, accepted=False, refusal=Refusal.BUSY, text="not answered", sequence=0)
        return self._replies.get(command.id, lost)

    def events(self, since: int) -> EventBatch:
        """Return the events from number `since` on."""
        if since >= len(self._events):
            return no_events(since)
        return EventBatch(np.array(self._events[since:], EVENT), len(self._events))

    def _keep(self, result: ScanResult, now_ns: int) -> None:
        for record in ring_records(result, self.tables.alarms, now_ns, self.clock.utc_ns()):
            record["number"] = len(self._events)
            self._events.append(record)


def local_plant(
    plant: Plant, *, seed: int | None = None, scan_period_s: float | None = None, clock: FakeClock | None = None
) -> LocalPlant:
    """Return a plant in fake time, standing before its first scan."""
    if scan_period_s is not None:
        plant = replace(plant, control=replace(plant.control, scan_period_s=scan_period_s))
    clock = clock or FakeClock()
    groups = poll_groups(plant)
    fake = FakeField(plant, groups, seed, clock.mono_ns())
    tables = tables_of(plant, flat_map(point_list(plant)).version)
    state, timetable = first_state(tables, groups, clock.mono_ns()), Timetable(plant, clock.mono_ns())
    return LocalPlant(tables, state, fake, clock, Overdue(plant), timetable, groups)
