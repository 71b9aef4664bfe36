"""What a SunSpec master may write to a unit, put together: set-points and limit (704), start and stop (715), resets.

Neighbouring registers written in one request are one command; a number that can't be meant is exception 3 and changes
nothing; what the plant refuses is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller.control.commands import Action
from controller.modbus.errors import ExceptionCode
from controller.plant.model import Plant
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.requests import Order, Plan
from controller.scada.modbus.sunspec_limit import LimitControl, ShownLimit
from controller.scada.modbus.sunspec_registers import Path
from controller.scada.modbus.sunspec_setpoints import SetpointControl, SetpointKind, Shown
from controller.scada.modbus.sunspec_writes import BadValueError, Written, expect, flag

BAD_VALUE = ExceptionCode.ILLEGAL_DATA_VALUE
STOP, START = 0, 1


@dataclass(slots=True)
class PlantControls:
    """All that may be written to the plant's unit. `version` moves when a register reads differently by it."""

    plant: Plant
    watt_scale: float  # W and var a raw number
    var_scale: float
    version: int = 0
    _setpoints: tuple[SetpointControl, SetpointControl] = field(init=False)
    _limit: LimitControl = field(init=False)

    def __post_init__(self) -> None:
        """Take the kinds of set-point from the plant."""
        poi = self.plant.poi
        self._setpoints = _setpoints(self.plant, self.watt_scale, self.var_scale)
        self._limit = LimitControl(poi.power_w, poi.export_limit_w)

    def writable(self) -> tuple[Path, ...]:
        """Return the points that may be written."""
        setpoints = (path for control in self._setpoints for path in control.kind.paths())
        return (*setpoints, *self._limit.paths(), *_SINGLE)

    def values(self, judged: Judged, published_ns: int) -> dict[Path, Any]:
        """Return what model 704's points read."""
        values: dict[Path, Any] = {}
        for control in self._setpoints:
            values |= control.values(_shown(judged, control.kind, published_ns))
        return values | self._limit.values(_shown_limit(judged, published_ns), judged.now_ns)

    def plan(self, written: Written, judged: Judged, published_ns: int, now_ns: int) -> Plan | ExceptionCode:
        """Return what a write asks for; exception 3 where a number can't be meant, and then nothing is changed."""
        before, before_limit = [control.registers for control in self._setpoints], self._limit.registers

        def undo() -> None:
            self._limit.registers = before_limit
            for control, registers in zip(self._setpoints, before, strict=True):
                control.registers = registers
            self.version += 1

        try:
            orders = [*self._power_orders(written, judged, published_ns, now_ns), *_single_orders(written)]
        except BadValueError:
            undo()
            return BAD_VALUE
        self.version += 1
        return Plan(tuple(orders), undo, self._confirm)

    def _power_orders(self, written: Written, judged: Judged, published_ns: int, now_ns: int) -> Iterable[Order]:
        for control in self._setpoints:
            yield from control.orders(written, _shown(judged, control.kind, published_ns), now_ns)
        yield from self._limit.orders(written, _shown_limit(judged, published_ns), now_ns)

    def _confirm(self, now_ns: int) -> None:
        for control in (*self._setpoints, self._limit):
            control.confirm(now_ns)
        self.version += 1


def _setpoints(plant: Plant, watt_scale: float, var_scale: float) -> tuple[SetpointControl, SetpointControl]:
    poi, control = plant.poi, plant.control
    active = SetpointKind(
        name="WSet",
        mode=1,
        bases={0: poi.power_w},
        action=Action.SET_ACTIVE_POWER,
        requested="plant.active_power_setpoint",
        accepted="plant.active_power_accepted",
        remaining="plant.active_setpoint_remaining",
        low=-poi.import_limit_w,
        high=poi.export_limit_w,
        fallback=control.fallback_w,
        timeout_max_s=control.setpoint_timeout_max_s,
        scale=watt_scale,
    )
    reactive = replace(
        active,
        name="VarSet",
        mode=4,
        bases={1: poi.apparent_va, 0: poi.power_w, 3: poi.apparent_va},
        action=Action.SET_REACTIVE_POWER,
        requested="plant.reactive_power_setpoint",
        accepted="plant.reactive_power_accepted",
        remaining="plant.reactive_setpoint_remaining",
        low=-poi.apparent_va,
        high=poi.apparent_va,
        fallback=control.fallback_var,
        scale=var_scale,
    )
    return SetpointControl(active), SetpointControl(reactive)


def _shown(judged: Judged, kind: SetpointKind, published_ns: int) -> Shown:
    return Shown(
        judged.number(kind.requested), judged.number(kind.accepted), judged.number(kind.remaining), published_ns
    )


def _shown_limit(judged: Judged, published_ns: int) -> ShownLimit:
    limit_w, remaining_s = judged.number("plant.export_limit"), judged.number("plant.export_limit_remaining")
    return ShownLimit(limit_w, remaining_s, published_ns)


def _single_orders(written: Written) -> Iterable[Order]:
    for path, raw in written.items():
        if path in _SINGLE:
            yield from _SINGLE[path](raw)


def _heartbeat(raw: int) -> Iterable[Order]:
    yield Order(Action.SCADA_HEARTBEAT, value=raw)


def _reset(raw: int) -> Iterable[Order]:
    if flag(raw):
        yield Order(Action.RESET_TRIPS)


def _operate(raw: int) -> Iterable[Order]:
    expect(raw in {STOP, START})
    yield Order(Action.START if raw == START else Action.STOP)


_SINGLE: Mapping[Path, Callable[[int], Iterable[Order]]] = {
    (715, "ControllerHb"): _heartbeat,
    (715, "AlarmReset"): _reset,
    (715, "OpCtl"): _operate,
    (802, "CtrlHb"): _heartbeat,
    (802, "AlmRst"): _reset,
}


@dataclass(frozen=True, slots=True)
class BankControls:
    """All that may be written to a block's unit: the reset of its racks' trips."""

    plant: Plant
    rows: tuple[int, ...]
    version: int = 0

    def writable(self) -> tuple[Path, ...]:
        """Return the points that may be written."""
        return ((802, "AlmRst"),)

    def values(self, _judged: Judged, _published_ns: int) -> dict[Path, Any]:
        """Return nothing: the model reads its reset as 0."""
        return {}

    def plan(self, written: Written, judged: Judged, _published_ns: int, _now_ns: int) -> Plan | ExceptionCode:
        """Return a reset for each of the block's racks that is tripped."""
        raw = written[802, "AlmRst"]
        if raw not in {0, 1}:
            return BAD_VALUE
        tripped = judged.numbers("rack.any_trip")
        racks = [self.plant.racks[row] for row in self.rows if raw and tripped[row] == 1.0]
        return Plan(tuple(Order(Action.RESET_TRIP, rack.tag) for rack in racks))
