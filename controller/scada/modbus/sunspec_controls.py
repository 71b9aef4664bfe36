"""What a SunSpec master may write, and what it asks of the plant: set-points (704), start and stop (715), resets.

A set-point of model 704 is in force while it is enabled. Rules:
* `WSetEna` 1 with the registers as they then are is a set-point command; so is every later write of any of its
  registers (a rewrite refreshes). While it is not enabled they are only kept. `WSetEna` 0 sets the site's fall-back.
* A set-point that another face gave counts as enabled, so that a restarted face goes on where it was.
* `WSetRvrtTms` > 0 replaces the site's time-out, up to the site's maximum; 0 is the site's. `WSetRvrt` is what the
  set-point then falls back to, unless `WSetEnaRvrt` was written 0; never written = the site's fall-back.
* The mode says which register counts: `WSet` in watts (`WSetMod` 1) or `WSetPct` of WMax (0); `VarSet` in vars
  (`VarSetMod` 4) or `VarSetPct` of WMax (0), VarMaxInj (1) or VAMax (3). The other register of the pair is only kept.
  Per cent of the *available* vars (2) would move by itself and is exception 3.
* `WMaxLimPct` with `WMaxLimPctEna` 1 is an export limit in per cent of WMax, one among all sources' (the lowest wins);
  it stays until it is disabled or `WMaxLimPctRvrtTms` is over. Disabled, this master limits no more.
What reads back is the plant's, once a snapshot is younger than the last write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller.control.commands import Action
from controller.modbus.errors import ExceptionCode
from controller.plant.model import Plant
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.requests import Order, Plan
from controller.scada.modbus.sunspec_registers import Path

Written = Mapping[Path, int]
"""Raw numbers by point, in register order."""
BAD_VALUE = ExceptionCode.ILLEGAL_DATA_VALUE
STOP, START = 0, 1
_PARTS = ("Ena", "Mod", "", "Rvrt", "Pct", "PctRvrt", "EnaRvrt", "RvrtTms")
_LIMIT_PARTS = ("Ena", "", "RvrtTms")
_RATIO_SCALE = 1e-4  # registers hold hundredths of a per cent


class BadValueError(ValueError):
    """A number that can't be meant: exception 3, and nothing of the write is done."""


@dataclass(frozen=True, slots=True)
class SetpointKind:
    """One of the two set-points of model 704: what it is called, in what modes it is taken, what it may be."""

    name: str  # WSet or VarSet
    mode: int  # in W or var
    bases: Mapping[int, float]  # of the modes in per cent: what 100 % is
    action: Action
    requested: str  # the quantity
    low: float
    high: float
    fallback: float
    timeout_max_s: float
    scale: float

    def paths(self) -> tuple[Path, ...]:
        """Return the points that may be written."""
        return tuple((704, self.name + part) for part in _PARTS)


@dataclass(frozen=True, slots=True)
class Amounts:
    """A number in both its registers, as last written: W or var, and a share of the mode's base; None: never."""

    power: float | None = None
    ratio: float | None = None

    def in_mode(self, kind: SetpointKind, mode: int) -> float | None:
        """Return the number that counts in a mode, in W or var."""
        base = kind.bases.get(mode)
        if base is None:
            return self.power
        return None if self.ratio is None else self.ratio * base


@dataclass(frozen=True, slots=True)
class SetpointRegisters:
    """A set-point as last written here; NaN and None: never."""

    mode: int
    enabled: bool = False
    value: float = math.nan
    fallback: float | None = None
    amounts: Amounts = Amounts()
    fallbacks: Amounts = Amounts()
    fallback_enabled: bool = True
    timeout_s: int = 0
    written_ns: int = 0


class SetpointControl:
    """The registers of one set-point."""

    def __init__(self, kind: SetpointKind) -> None:
        """Begin with nothing written."""
        self.kind = kind
        self.registers = SetpointRegisters(kind.mode)

    def orders(self, written: Mapping[str, int], shown: Shown, now_ns: int) -> tuple[Order, ...]:
        """Take what was written (by part of the name) and return what it asks for; BadValueError changes nothing."""
        kind, before = self.kind, self.registers
        if not written:
            return ()
        mode = written.get("Mod", before.mode)
        _expect(mode == kind.mode or mode in kind.bases)
        was_enabled = before.enabled or shown.is_in_force
        amounts, asked = self._take(written, ("", "Pct"), before.amounts, mode)
        fallbacks, fallback = self._take(written, ("Rvrt", "PctRvrt"), before.fallbacks, mode)
        registers = SetpointRegisters(
            mode=mode,
            enabled=_flag(written.get("Ena", was_enabled)),
            value=self.value(shown, enabled=was_enabled) if asked is None else asked,
            fallback=before.fallback if fallback is None else fallback,
            amounts=amounts,
            fallbacks=fallbacks,
            fallback_enabled=_flag(written.get("EnaRvrt", before.fallback_enabled)),
            timeout_s=written.get("RvrtTms", before.timeout_s),
            written_ns=now_ns,
        )
        _expect(registers.timeout_s <= kind.timeout_max_s)
        self.registers = registers
        if registers.enabled:
            return (self._order(registers),)
        return (Order(kind.action, value=kind.fallback),) if was_enabled else ()

    def value(self, shown: Shown, *, enabled: bool) -> float:
        """Return the set-point as it reads: what was written and is not yet in a snapshot, else the plant's."""
        kept = self.registers
        is_newer = kept.written_ns >= shown.published_ns
        was_written = not math.isnan(kept.value)
        return kept.value if was_written and (is_newer or not enabled) else shown.value

    def _order(self, registers: SetpointRegisters) -> Order:
        return Order(
            self.kind.action,
            value=0.0 if math.isnan(registers.value) else registers.value,
            timeout_s=float(registers.timeout_s) or None,
            fallback=registers.fallback if registers.fallback_enabled else None,
        )

    def _take(
        self, written: Mapping[str, int], names: tuple[str, str], before: Amounts, mode: int
    ) -> tuple[Amounts, float | None]:
        """Return both registers as they now are, and what counts of them if one of them or the mode was written."""
        in_power, in_percent = names
        amounts = Amounts(
            written[in_power] * self.kind.scale if in_power in written else before.power,
            written[in_percent] * _RATIO_SCALE if in_percent in written else before.ratio,
        )
        is_new = (in_percent if mode in self.kind.bases else in_power) in written or mode != self.registers.mode
        counts = amounts.in_mode(self.kind, mode) if is_new else None
        _expect(counts is None or self.kind.low <= counts <= self.kind.high)
        return amounts, counts

    def values(self, shown: Shown) -> dict[Path, float]:
        """Return what the registers read."""
        kind, registers = self.kind, self.registers
        enabled = registers.enabled or shown.is_in_force
        remaining_s = shown.remaining_s if shown.is_in_force else 0.0
        fallback = kind.fallback if registers.fallback is None else registers.fallback
        value, value_percent = self._both(self.value(shown, enabled=enabled), registers.amounts)
        fallback, fallback_percent = self._both(fallback, registers.fallbacks)
        parts = {
            "Ena": float(enabled),
            "Mod": float(registers.mode),
            "": value,
            "Rvrt": fallback,
            "Pct": value_percent,
            "PctRvrt": fallback_percent,
            "EnaRvrt": float(registers.fallback_enabled),
            "RvrtTms": float(registers.timeout_s),
            "RvrtRem": float(math.ceil(remaining_s)),
        }
        return {(704, kind.name + part): value for part, value in parts.items()}

    def _both(self, value: float, kept: Amounts) -> tuple[float, float]:
        """Return a number as both registers read it: the one that doesn't count as it was written, if it was."""
        base = self.kind.bases.get(self.registers.mode)
        if base is None:
            ratio = value / next(iter(self.kind.bases.values()))
            return value, 100.0 * (ratio if kept.ratio is None else kept.ratio)
        return (value if kept.power is None else kept.power), 100.0 * value / base


@dataclass(frozen=True, slots=True)
class LimitRegisters:
    """An export limit as last written here."""

    enabled: bool = False
    ratio: float = math.nan
    timeout_s: int = 0
    written_ns: int = 0


class LimitControl:
    """The registers of `WMaxLimPct`: an export limit in per cent of WMax. `rating_w` is no limit at all."""

    name = "WMaxLimPct"

    def __init__(self, power_w: float, rating_w: float) -> None:
        """Begin with nothing written."""
        self._power_w, self._rating_w = power_w, rating_w
        self.registers = LimitRegisters()

    def paths(self) -> tuple[Path, ...]:
        """Return the points that may be written."""
        return tuple((704, self.name + part) for part in _LIMIT_PARTS)

    def orders(self, written: Mapping[str, int], shown_w: float, published_ns: int, now_ns: int) -> tuple[Order, ...]:
        """Take what was written and return what it asks for; BadValueError changes nothing."""
        before = self.registers
        if not written:
            return ()
        was_enabled = self._is_enabled(shown_w, published_ns)
        registers = LimitRegisters(
            enabled=_flag(written.get("Ena", was_enabled)),
            ratio=written[""] * _RATIO_SCALE if "" in written else self._ratio(shown_w, published_ns),
            timeout_s=written.get("RvrtTms", before.timeout_s),
            written_ns=now_ns,
        )
        _expect(math.isnan(registers.ratio) or 0.0 <= registers.ratio <= 1.0)
        self.registers = registers
        if registers.enabled:
            wanted_w = self._power_w * (1.0 if math.isnan(registers.ratio) else registers.ratio)
            limit_w, timeout_s = min(wanted_w, self._rating_w), float(registers.timeout_s) or None
            return (Order(Action.SET_EXPORT_LIMIT, value=limit_w, timeout_s=timeout_s),)
        return (Order(Action.SET_EXPORT_LIMIT, value=self._rating_w),) if was_enabled else ()

    def values(self, shown_w: float, published_ns: int) -> dict[Path, float]:
        """Return what the registers read: the limit in effect, whoever set it."""
        parts = {
            "Ena": float(self._is_enabled(shown_w, published_ns)),
            "": 100.0 * self._ratio(shown_w, published_ns),
            "RvrtTms": float(self.registers.timeout_s),
        }
        return {(704, self.name + part): value for part, value in parts.items()}

    def _is_enabled(self, shown_w: float, published_ns: int) -> bool:
        is_newer = self.registers.written_ns >= published_ns
        return self.registers.enabled if is_newer else shown_w < self._rating_w

    def _ratio(self, shown_w: float, published_ns: int) -> float:
        kept = self.registers
        standing = not self._is_enabled(shown_w, published_ns)
        if not math.isnan(kept.ratio) and (standing or kept.written_ns >= published_ns):
            return kept.ratio
        return min(shown_w / self._power_w, 1.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the plant shows of one set-point: as it was asked for, its life, and when that was published."""

    value: float
    remaining_s: float
    is_in_force: bool
    published_ns: int


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
        """Return what model 704's set-points read."""
        values: dict[Path, Any] = {}
        for control in self._setpoints:
            values |= control.values(_shown(judged, control.kind, published_ns))
        return values | self._limit.values(judged.number(_EXPORT_LIMIT), published_ns)

    def plan(self, written: Written, judged: Judged, published_ns: int, now_ns: int) -> Plan | ExceptionCode:
        """Return what a write asks for; exception 3 where a number can't be meant, and then nothing is changed."""
        before, before_limit = [control.registers for control in self._setpoints], self._limit.registers

        def undo() -> None:
            self._limit.registers = before_limit
            for control, registers in zip(self._setpoints, before, strict=True):
                control.registers = registers
            self.version += 1

        try:
            orders = [*self._setpoint_orders(written, judged, published_ns, now_ns), *_single_orders(written)]
        except BadValueError:
            undo()
            return BAD_VALUE
        self.version += 1
        return Plan(tuple(orders), undo)

    def _setpoint_orders(self, written: Written, judged: Judged, published_ns: int, now_ns: int) -> Iterable[Order]:
        for control in self._setpoints:
            name = control.kind.name
            parts = {p: written[704, name + p] for p in _PARTS if (704, name + p) in written}
            yield from control.orders(parts, _shown(judged, control.kind, published_ns), now_ns)
        limit = {
            p: written[704, LimitControl.name + p] for p in _LIMIT_PARTS if (704, LimitControl.name + p) in written
        }
        yield from self._limit.orders(limit, judged.number(_EXPORT_LIMIT), published_ns, now_ns)


_EXPORT_LIMIT = "plant.export_limit"


def _setpoints(plant: Plant, watt_scale: float, var_scale: float) -> tuple[SetpointControl, SetpointControl]:
    poi, control = plant.poi, plant.control
    active = SetpointKind(
        name="WSet",
        mode=1,
        bases={0: poi.power_w},
        action=Action.SET_ACTIVE_POWER,
        requested="plant.active_power_setpoint",
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
        low=-poi.apparent_va,
        high=poi.apparent_va,
        fallback=control.fallback_var,
        scale=var_scale,
    )
    return SetpointControl(active), SetpointControl(reactive)


def _shown(judged: Judged, kind: SetpointKind, published_ns: int) -> Shown:
    """The plant shows one remaining time, of the set-point that leads; a reactive one of 0 var is nobody's."""
    requested, remaining_s = judged.number(kind.requested), judged.number("plant.setpoint_remaining")
    asked = kind.action is Action.SET_ACTIVE_POWER or requested != 0.0
    in_force = remaining_s > 0.0 and asked and not math.isnan(requested)
    return Shown(requested, remaining_s, in_force, published_ns)


def _single_orders(written: Written) -> Iterable[Order]:
    for path, raw in written.items():
        if path in _SINGLE:
            yield from _SINGLE[path](raw)


def _heartbeat(raw: int) -> Iterable[Order]:
    yield Order(Action.SCADA_HEARTBEAT, value=raw)


def _reset(raw: int) -> Iterable[Order]:
    if _flag(raw):
        yield Order(Action.RESET_TRIPS)


def _operate(raw: int) -> Iterable[Order]:
    _expect(raw in {STOP, START})
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


def _flag(raw: int) -> bool:
    _expect(raw in {0, 1})
    return bool(raw)


def _expect(is_possible: bool) -> None:  # noqa: FBT001 - a condition
    if not is_possible:
        raise BadValueError
