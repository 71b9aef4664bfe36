"""The two set-points of model 704, WSet and VarSet: what a write of their registers asks for, what they read.

A set-point is in force while it is enabled. Rules:
* `Ena` 1 with the registers as they then are is a set-point command; so is every later write of any of its registers
  (a rewrite refreshes, and starts the time-out anew). While it is not enabled they are only kept. `Ena` 0 sets the
  site's fall-back.
* A set-point that another face gave counts as enabled, so that a restarted face goes on where it was.
* `RvrtTms` > 0 replaces the site's time-out, up to the site's maximum; 0 is the site's. `RvrtRem` counts down.
* When the time is over, a set-point with `EnaRvrt` 1 and a `Rvrt` that was written stays enabled, and `Rvrt` stands in
  its place, in the plant and in the registers; else it is disabled, and the site's fall-back holds.
* The mode says which register counts: in W or var, or in per cent of the mode's base. The other register of the pair
  is only kept. Per cent of the *available* vars (`VarSetMod` 2) would move by itself and is exception 3.
What reads back is the plant's, once a snapshot is younger than the plant's answer to the last write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller.control.commands import Action
from controller.scada.modbus.requests import Order
from controller.scada.modbus.sunspec_registers import Path
from controller.scada.modbus.sunspec_writes import RATIO_SCALE, UNDER_WAY, Written, expect, flag, seconds_left

_PARTS = ("Ena", "Mod", "", "Rvrt", "Pct", "PctRvrt", "EnaRvrt", "RvrtTms")


@dataclass(frozen=True, slots=True)
class SetpointKind:
    """One of the two: what it is called, in what modes it is taken, what it may be; and the quantities that show it."""

    name: str  # WSet or VarSet
    mode: int  # in W or var
    bases: Mapping[int, float]  # of the modes in per cent: what 100 % is
    action: Action
    requested: str
    accepted: str
    remaining: str
    low: float
    high: float
    fallback: float
    timeout_max_s: float
    scale: float

    def paths(self) -> tuple[Path, ...]:
        """Return the points that may be written."""
        return tuple((704, self.name + part) for part in _PARTS)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the plant shows of one set-point: as it was asked for, as it counts, its life, and when that was so."""

    requested: float
    accepted: float
    remaining_s: float
    published_ns: int

    @property
    def is_in_force(self) -> bool:
        """Whether it lives, whoever gave it."""
        return self.remaining_s > 0.0 and not math.isnan(self.requested)


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
    """A set-point as last written here; NaN and None: never. `released`: it was disabled here last."""

    mode: int
    enabled: bool = False
    released: bool = False
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

    def orders(self, written: Written, shown: Shown, now_ns: int) -> tuple[Order, ...]:
        """Take what was written of it and return what it asks for; BadValueError changes nothing."""
        kind = self.kind
        parts = {part: written[704, kind.name + part] for part in _PARTS if (704, kind.name + part) in written}
        if not parts:
            return ()
        before = self._settled(shown)
        was_enabled = self._is_enabled(before, shown)
        mode = parts.get("Mod", before.mode)
        expect(mode == kind.mode or mode in kind.bases)
        amounts, asked = self._take(parts, ("", "Pct"), before.amounts, mode)
        fallbacks, fallback = self._take(parts, ("Rvrt", "PctRvrt"), before.fallbacks, mode)
        enabled = flag(parts.get("Ena", was_enabled))
        registers = SetpointRegisters(
            mode=mode,
            enabled=enabled,
            released=not enabled and (was_enabled or before.released),
            value=self._value(before, shown) if asked is None else asked,
            fallback=before.fallback if fallback is None else fallback,
            amounts=amounts,
            fallbacks=fallbacks,
            fallback_enabled=flag(parts.get("EnaRvrt", before.fallback_enabled)),
            timeout_s=parts.get("RvrtTms", before.timeout_s),
            written_ns=UNDER_WAY if enabled or was_enabled else now_ns,
        )
        expect(registers.timeout_s <= kind.timeout_max_s)
        self.registers = registers
        if enabled:
            return (self._order(registers),)
        return (Order(kind.action, value=kind.fallback),) if was_enabled else ()

    def confirm(self, now_ns: int) -> None:
        """The plant took what was under way: snapshots from now on show it."""
        if self.registers.written_ns == UNDER_WAY:
            self.registers = replace(self.registers, written_ns=now_ns)

    def values(self, shown: Shown) -> dict[Path, float]:
        """Return what the registers read."""
        kind, registers = self.kind, self._settled(shown)
        enabled = self._is_enabled(registers, shown)
        fallback = kind.fallback if registers.fallback is None else registers.fallback
        value, value_percent = self._both(self._value(registers, shown), registers.amounts)
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
            "RvrtRem": seconds_left(shown.remaining_s) if enabled and shown.is_in_force else 0.0,
        }
        return {(704, kind.name + part): value for part, value in parts.items()}

    def _settled(self, shown: Shown) -> SetpointRegisters:
        """Return the registers as they now stand: what ran out has fallen back, or is disabled."""
        kept = self.registers
        if not kept.enabled or shown.is_in_force or shown.published_ns <= kept.written_ns:
            return kept
        fallback = kept.fallback if kept.fallback_enabled else None
        if fallback is None or not math.isclose(shown.accepted, fallback, abs_tol=self.kind.scale):
            return replace(kept, enabled=False)  # after a stop too nothing of it is left
        return replace(kept, value=fallback, amounts=kept.fallbacks)

    def _is_enabled(self, registers: SetpointRegisters, shown: Shown) -> bool:
        """Whether a set-point stands, from here or elsewhere; the site's fall-back after `Ena` 0 is none."""
        fell_back = shown.published_ns <= registers.written_ns or shown.requested == self.kind.fallback
        return registers.enabled or (shown.is_in_force and not (registers.released and fell_back))

    def _value(self, registers: SetpointRegisters, shown: Shown) -> float:
        """Return the set-point as it reads: the plant's while it lives and knows the last write, else as written."""
        lives = shown.is_in_force and shown.published_ns > registers.written_ns and self._is_enabled(registers, shown)
        return shown.requested if lives or math.isnan(registers.value) else registers.value

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
            written[in_percent] * RATIO_SCALE if in_percent in written else before.ratio,
        )
        is_new = (in_percent if mode in self.kind.bases else in_power) in written or mode != self.registers.mode
        counts = amounts.in_mode(self.kind, mode) if is_new else None
        expect(counts is None or self.kind.low <= counts <= self.kind.high)
        return amounts, counts

    def _both(self, value: float, kept: Amounts) -> tuple[float, float]:
        """Return a number as both registers read it: the one that doesn't count as it was written, if it was."""
        base = self.kind.bases.get(self.registers.mode)
        if base is None:
            ratio = value / next(iter(self.kind.bases.values()))
            return value, 100.0 * (ratio if kept.ratio is None else kept.ratio)
        return (value if kept.power is None else kept.power), 100.0 * value / base
