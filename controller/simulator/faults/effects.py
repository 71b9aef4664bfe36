"""What each fault of the menu does to the simulated devices: a function that does it and returns how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import ExceptionCode
from controller.plant.signals import SIGNALS, BmsAlarm, Owner
from controller.plant.units import Dimension, parse_quantity
from controller.simulator.device_image import RegionFault
from controller.simulator.device_memory import put_identity
from controller.simulator.faults.commands import FaultCommand, FaultError, FaultGroup
from controller.simulator.faults.targets import Target, Targets, signal_of
from controller.simulator.link_faults import Disturbance, LinkFault
from controller.simulator.readings import Change
from controller.simulator.simulated_field import SimulatedField

FloatArray = NDArray[np.float64]
Undo = Callable[[], None]
Do = Callable[[], Undo]
Key = TypeVar("Key")

GRID_COLUMNS = {
    "frequency": ("frequency_hz", 1.0),
    "voltage": ("voltage_pu", 1.0),
    "load": ("load_mw", 1e-6),
    "pv": ("pv_mw", 1e-6),
}
ROOT_OWNERS = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}


class Effects:
    """Turns commands into effects on one plant's devices."""

    def __init__(self, devices: SimulatedField, drop: Callable[[int], None]) -> None:
        """Take the devices; `drop` resets the connections of a link."""
        self._devices, self._virtual = devices, devices.virtual
        self._targets, self._drop = Targets(devices), drop
        self._by_group: Mapping[FaultGroup, Callable[[FaultCommand], Do]] = {
            FaultGroup.LINK: self._link,
            FaultGroup.DATA: self._data,
            FaultGroup.CELLS: self._cells,
            FaultGroup.RACK: self._rack,
            FaultGroup.PCS: self._pcs,
            FaultGroup.GRID: self._grid,
            FaultGroup.INTERLOCK: self._interlock,
        }

    def prepare(self, command: FaultCommand) -> Do:
        """Return what carries out a command; FaultError if its target or point does not exist."""
        return self._by_group[command.kind.group](command)

    # ------------------------------------------------------------------------------------------------ links, data
    def _link(self, command: FaultCommand) -> Do:
        target = self._targets.find(command.target)
        value = float(command.arguments[0]) if command.arguments else 0.0
        disturbance = Disturbance(LinkFault(command.kind.name), value)
        return self._disturb(target, disturbance)

    def _disturb(self, target: Target, disturbance: Disturbance) -> Do:
        """Disturb a device's link; an equipment behind it is cut off inside, while the device goes on answering."""
        device, position = target.device, target.position

        def whole() -> Undo:
            device.disturbed.append(disturbance)
            if disturbance.fault in {LinkFault.RST, LinkFault.FLAP}:
                self._drop(device.link)

            def undo() -> None:
                device.disturbed.remove(disturbance)
                if disturbance.fault is LinkFault.NO_READ:
                    self._drop(device.link)

            return undo

        def part() -> Undo:
            assert position is not None
            met = device.cut_off.setdefault(position, [])
            mine = disturbance
            if disturbance.fault not in {LinkFault.BAD_ECHO, LinkFault.EXCEPTION}:
                mine = Disturbance(LinkFault.EXCEPTION, float(ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND))
            met.append(mine)
            shown = self._values(target, disturbance)

            def undo() -> None:
                met.remove(mine)
                shown()

            return undo

        return whole if position is None else part

    def _values(self, target: Target, disturbance: Disturbance) -> Undo:
        """Let a device show nothing for an equipment that it has lost: no values, a standing heartbeat, an alarm."""
        if disturbance.fault is LinkFault.BAD_ECHO:
            return lambda: None
        owned = [s for s in SIGNALS.values() if ROOT_OWNERS.get(s.owner, s.owner) is target.owner and not s.command]
        lost = [(s.name, self._lost(s.name, target.equipment)) for s in owned]
        undo = [self._change(name, target.equipment, change) for name, change in lost]

        def restore() -> None:
            for step in undo:
                step()

        return restore

    def _lost(self, signal: str, equipment: int) -> Change:
        if signal.endswith(".alarms"):
            return lambda values: np.full_like(values, 1 << BmsAlarm.COMMUNICATION_ERROR)
        if signal.endswith(".heartbeat"):
            last = float(self._devices.readings(signal)[equipment])
            return lambda values: np.full_like(values, last)
        return lambda values: np.full_like(values, np.nan)

    def _data(self, command: FaultCommand) -> Do:
        target, name = self._targets.find(command.target), command.kind.name
        if name in set(RegionFault):
            return self._region(target, RegionFault(name), int(command.arguments[0]) if command.arguments else 0)
        signal = signal_of(target, str(command.arguments[0]))
        amount = float(command.arguments[1]) if len(command.arguments) > 1 else 0.0
        changes: Mapping[str, Change] = {
            "sentinel": lambda values: np.full_like(values, np.nan),
            "offset": lambda values: values + amount,
            "sign": lambda values: -values,
            "scale": lambda values: values * amount,
        }
        return lambda: self._change(signal, target.equipment, changes[name])

    def _region(self, target: Target, fault: RegionFault, amount: int) -> Do:
        image, row = target.device.image, target.device.row

        def do() -> Undo:
            region = image.region(fault, row, target.position, amount)
            image.regions.setdefault(row, []).append(region)
            return lambda: image.drop_region(row, region)

        return do

    def _change(self, signal: str, equipment: int, change: Change) -> Undo:
        changes = self._devices.readings.faults.changes
        changes.setdefault((signal, equipment), []).append(change)
        self._devices.forget()

        def undo() -> None:
            changes[signal, equipment].remove(change)
            if not changes[signal, equipment]:
                del changes[signal, equipment]
            self._devices.forget()

        return undo

    # ------------------------------------------------------------------------------------------------ cells, racks
    def _cells(self, command: FaultCommand) -> Do:
        rack = self._targets.of_owner(command.target, Owner.RACK).equipment
        if command.kind.name == "soc":
            return self._soc(rack, float(command.arguments[0]))
        cell = int(command.arguments[0])
        series = self._devices.plant.racks[rack].battery.cells_in_series
        if cell >= series:
            raise FaultError(f"'{command.target}' has no cell {cell}; expected 0 to {series - 1}")
        faults = self._virtual.cells.faults
        if command.kind.name != "cell":
            kind = faults.leak_ohm if command.kind.name == "leak" else faults.joint_ohm
            return self._pin(kind, (rack, cell), float(command.arguments[1]))
        text = str(command.arguments[1])
        volt, degc = (parse_quantity(text, d) for d in (Dimension.VOLTAGE, Dimension.TEMPERATURE))
        if isinstance(volt, float):
            return self._pin(faults.pinned_v, (rack, cell), volt)
        assert isinstance(degc, float), "the command was read as a voltage or a temperature"
        return self._pin(faults.pinned_degc, (rack, cell), degc)

    def _soc(self, rack: int, soc_ratio: float) -> Do:
        if not 0.0 <= soc_ratio <= 1.0:
            raise FaultError(f"a state of charge of {100.0 * soc_ratio:g} % does not exist")

        def do() -> Undo:
            self._virtual.cells.set_soc(rack, soc_ratio)
            return lambda: None

        return do

    def _pin(self, table: dict[tuple[int, int], float], place: tuple[int, int], value: float) -> Do:
        def do() -> Undo:
            table[place] = value
            self._virtual.cells.refresh()

            def undo() -> None:
                table.pop(place, None)
                self._virtual.cells.refresh()

            return undo

        return do

    def _rack(self, command: FaultCommand) -> Do:
        name = command.kind.name
        if name == "identity":
            return self._identity(self._targets.find(command.target), str(command.arguments[0]))
        if name == "reboot":
            return self._reboot(self._targets.find(command.target))
        rack = self._targets.of_owner(command.target, Owner.RACK).equipment
        faults = self._virtual.bms.faults
        if name == "current":
            return _set(faults.current_a, rack, float(command.arguments[0]))
        flags = {"stuck_open": faults.stuck_open, "stuck_closed": faults.stuck_closed, "fail": faults.precharge_fails}
        return _flag(flags[str(command.arguments[0])], rack, value=True)

    def _identity(self, target: Target, text: str) -> Do:
        memory, row = target.device.image.memory, target.device.row

        def do() -> Undo:
            before = memory.words[row].copy()
            put_identity(memory, row, text)
            changed = np.flatnonzero(memory.words[row] != before)
            self._drop(target.device.link)

            def undo() -> None:
                memory.words[row, changed] = before[changed]
                self._drop(target.device.link)

            return undo

        return do

    def _reboot(self, target: Target) -> Do:
        silence = self._disturb(target, Disturbance(LinkFault.SILENT))

        def do() -> Undo:
            if target.owner is Owner.RACK:
                self._virtual.bms.restart(target.equipment)
            elif target.owner is Owner.PCS:
                self._virtual.converters[target.equipment].restart()
            return silence()

        return do

    # ------------------------------------------------------------------------------------- converters, grid, chains
    def _pcs(self, command: FaultCommand) -> Do:
        converter = self._virtual.converters[self._targets.of_owner(command.target, Owner.PCS).equipment]
        faults = converter.faults
        match command.kind.name:
            case "refuse":
                return _attribute(faults, "refuses", on=True, off=False)
            case "ignore":
                return _attribute(faults, "ignores", on=True, off=False)
            case "limit":
                return _attribute(faults, "limit_w", on=float(command.arguments[0]), off=np.inf)
            case _:
                return _then(_attribute(faults, "watchdog_off", on=True, off=False), converter.reset_watchdog)

    def _grid(self, command: FaultCommand) -> Do:
        column, factor = GRID_COLUMNS[command.kind.name]
        return _set(self._virtual.grid.told, column, float(command.arguments[0]) * factor)

    def _interlock(self, command: FaultCommand) -> Do:
        interlock = self._targets.of_owner(command.target, Owner.INTERLOCK).equipment
        return _flag(self._virtual.interlock_healthy, interlock, value=False)


def _attribute(of: object, name: str, *, on: float, off: float) -> Do:
    def do() -> Undo:
        setattr(of, name, on)
        return lambda: setattr(of, name, off)

    return do


def _then(first: Do, after: Callable[[], None]) -> Do:
    """Return an effect that is followed by something, when it comes and when it goes."""

    def do() -> Undo:
        undo_first = first()
        after()

        def undo() -> None:
            undo_first()
            after()

        return undo

    return do


def _flag(flags: NDArray[np.bool_], index: int, *, value: bool) -> Do:
    def do() -> Undo:
        flags[index] = value

        def undo() -> None:
            flags[index] = not value

        return undo

    return do


def _set(table: dict[Key, float], key: Key, value: float) -> Do:
    def do() -> Undo:
        table[key] = value

        def undo() -> None:
            table.pop(key, None)

        return undo

    return do
