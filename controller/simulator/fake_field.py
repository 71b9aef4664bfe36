"""The simulated devices without sockets, in fake time: raw blocks by the polling plan, writes by the output image.

Rule: what the field side would bring is brought here through the same registers: measured values are encoded by the
device maps into raw blocks, requests are encoded to registers and decoded by the simulated device. A device with a
broken link brings nothing, one that answers with exceptions fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import owner_shapes
from controller.image.outputs import OutputImage, Requests, WriteState
from controller.modbus.errors import EncodeError
from controller.modbus.field_codec import encode_write
from controller.modbus.poll_groups import PollGroup, poll_groups
from controller.modbus.raw_blocks import RawBlocks, RawGroup, RowState
from controller.modbus.register_map import WireField
from controller.plant.model import Binding, Plant
from controller.plant.signals import SIGNALS, Owner
from controller.simulator.block_encoder import Sweep
from controller.simulator.device_image import RowReader
from controller.simulator.requests import hear_all
from controller.simulator.simulated_field import SimulatedDevice, SimulatedField

SECOND_NS = 1_000_000_000
LOST_AFTER_NS = 3 * SECOND_NS // 2
"""About two time-outs and the pause between them: what opens a unit's breaker."""
STEP_MAX_NS = 10 * SECOND_NS


class FakeField:
    """The field of a plant in fake time. `devices` is the same set of devices that the servers would serve."""

    def __init__(
        self, plant: Plant, groups: Sequence[PollGroup] | None = None, seed: int | None = None, start_ns: int = 0
    ) -> None:
        """Build the devices; nothing has been polled yet. `groups` is the polling plan, if the caller has one."""
        self.devices = SimulatedField(plant, seed)
        self._now_ns, self._heartbeat = start_ns, 0
        planned = poll_groups(plant) if groups is None else groups
        self._polls = [_Poll(group.raw, self.devices, start_ns) for group in planned]
        self.raw: RawBlocks = tuple(poll.group for poll in self._polls)
        self._sweeps: dict[tuple[int, ...], Sweep] = {}
        self._writes = _writes(self.devices)
        self._heard_ns = np.full(len(self.devices.devices), start_ns, np.int64)
        self._none_lost = np.zeros(len(self.devices.devices), np.bool_)

    def latest(self, now_ns: int) -> RawBlocks:
        """Move the plant on to `now_ns` and return the raw blocks, with every poll that has fallen due."""
        self.advance(now_ns)
        due = tuple(k for k, poll in enumerate(self._polls) if poll.next_ns <= now_ns)
        if due:
            if due not in self._sweeps:
                self._sweeps[due] = Sweep([self._polls[k].encoder for k in due])
            self._sweeps[due].encode()
            disturbed = bool(self.devices.disturbed)
            for k in due:
                self._polls[k].take(now_ns, disturbed=disturbed)
        return self.raw

    def forget(self) -> None:
        """Stand as before the first poll and the first request of a controller; the devices go on as they are."""
        for group in self.raw:
            group.forget()
        for writes in self._writes.values():
            writes.forget()

    def advance(self, now_ns: int) -> None:
        """Move the plant on to `now_ns`."""
        while self._now_ns < now_ns:
            step_ns = min(now_ns - self._now_ns, STEP_MAX_NS)
            self._now_ns += step_ns
            self.devices.virtual.step(step_ns / SECOND_NS)

    def write(self, outputs: OutputImage, withheld: Sequence[bool] = ()) -> None:
        """Carry out every new request and feed the watchdogs: to be called after a complete, successful scan.

        `withheld`: converters (by index) whose heartbeat is not fed. A device that hears nothing hears no heartbeat.
        """
        for name, writes in self._writes.items():
            writes.carry_out(outputs[name])
        self._heartbeat += 1
        deaf = self._bound_to_deaf()
        deaf_racks = {binding.equipment for binding in deaf if binding.owner is Owner.RACK}
        deaf_pcs = {binding.equipment for binding in deaf if binding.owner is Owner.PCS}
        deaf_pcs.update(index for index, kept in enumerate(withheld) if kept)
        hear_all(self.devices.virtual, self._heartbeat, deaf_racks, deaf_pcs)

    def lost_devices(self, now_ns: int) -> NDArray[np.bool_]:
        """Return which devices [D] the links would count as dead by now: asked in vain for a while."""
        devices = self.devices.devices
        if not self.devices.disturbed:
            self._heard_ns.fill(now_ns)
            return self._none_lost
        self._heard_ns[np.array([device.fails or device.answers for device in devices], np.bool_)] = now_ns
        lost: NDArray[np.bool_] = now_ns - self._heard_ns >= LOST_AFTER_NS
        return lost

    def _bound_to_deaf(self) -> list[Binding]:
        """Return what is bound to devices that carry out nothing that is written to them."""
        deaf = [index for index in self.devices.disturbed if not self.devices.devices[index].hears]
        return [binding for index in deaf for binding in self.devices.plant.devices[index].bindings]


class _Poll:
    """Polling of one group of raw blocks; its rows are those of the group's image."""

    def __init__(self, group: RawGroup, devices: SimulatedField, start_ns: int) -> None:
        self.group = group
        self._devices = [devices.devices[index] for index in group.devices]
        self._image = self._devices[0].image
        self.encoder = self._image.encoders[group.block]
        self._reader = RowReader(self._image.memory, group.spans)
        periods = [devices.plant.devices[index].period_s(group.block) for index in group.devices]
        self._periods_ns = np.array([round(period_s * SECOND_NS) for period_s in periods], np.int64)
        self._due_ns = np.full(len(periods), start_ns, np.int64)
        self._period_ns = int(self._periods_ns[0]) if len(set(periods)) == 1 else None
        self.next_ns = start_ns

    def take(self, now_ns: int, *, disturbed: bool) -> None:
        """Take what was encoded from the devices that are due; `disturbed`: some device's link is."""
        due = self._due(now_ns)
        data = self._image.gather(self._reader)
        if not disturbed:
            if due is None:
                self._store_all(data, now_ns)
            else:
                self._store(np.flatnonzero(due), RowState.GOOD, data, now_ns)
            return
        rows = np.ones(len(self._devices), np.bool_) if due is None else due
        failing = np.array([d.fails for d in self._devices], np.bool_)
        answering = np.array([d.answers for d in self._devices], np.bool_)
        self._store(np.flatnonzero(rows & answering & ~failing), RowState.GOOD, data, now_ns)
        self._store(np.flatnonzero(rows & failing), RowState.FAILED, data, now_ns)

    def _due(self, now_ns: int) -> NDArray[np.bool_] | None:
        """Move the due times on; return which rows are due, None = all."""
        period_ns = self._period_ns
        if period_ns is not None:
            self.next_ns += ((now_ns - self.next_ns) // period_ns + 1) * period_ns
            return None
        due = self._due_ns <= now_ns
        missed = (now_ns - self._due_ns[due]) // self._periods_ns[due]
        self._due_ns[due] += (missed + 1) * self._periods_ns[due]
        self.next_ns = int(self._due_ns.min())
        return due

    def _store_all(self, data: NDArray[np.uint8], now_ns: int) -> None:
        group = self.group
        group.data[:] = data
        group.time_ns.fill(now_ns)
        group.state.fill(RowState.GOOD)
        group.arrivals += 1

    def _store(self, rows: NDArray[np.intp], state: RowState, data: NDArray[np.uint8], now_ns: int) -> None:
        group = self.group
        if state is RowState.GOOD:
            group.data[rows] = data[rows]
        group.time_ns[rows] = now_ns
        group.state[rows] = state
        group.arrivals[rows] += 1


class _Writes:
    """One command signal: who takes it on each equipment, and the newest issue that was carried out."""

    def __init__(self, count: int) -> None:
        self.takers: dict[int, tuple[SimulatedDevice, WireField, int]] = {}
        self._done = np.zeros(count, np.uint32)
        self._seen = self._done.tobytes()

    def forget(self) -> None:
        """Know of no request."""
        self._done.fill(0)
        self._seen = self._done.tobytes()

    def carry_out(self, requests: Requests) -> None:
        """Write every new issue."""
        issues = requests.issue.tobytes()
        if issues == self._seen:
            return
        self._seen = issues
        for index in np.flatnonzero(requests.issue != self._done).tolist():
            self._done[index] = requests.issue[index]
            requests.state[index] = self._written(index, float(requests.value[index]))

    def _written(self, index: int, value: float) -> WriteState:
        if index not in self.takers:
            return WriteState.NOT_SERVED
        device, field, position = self.takers[index]
        try:
            request = encode_write(field, value, position, device.image.scale_factor(field, position))
        except EncodeError:
            return WriteState.FAILED
        return WriteState.CONFIRMED if device.takes(request) else WriteState.FAILED


def _writes(devices: SimulatedField) -> dict[str, _Writes]:
    shapes = owner_shapes(devices.plant)
    found = {s.name: _Writes(shapes[s.owner][0]) for s in SIGNALS.values() if s.command and "heartbeat" not in s.name}
    for device in devices.devices:
        for command in device.image.commands.all:
            equipment = command.equipment[device.row]
            if equipment >= 0 and command.field.signal.name in found:
                found[command.field.signal.name].takers[equipment] = (device, command.field, command.position)
    return found
