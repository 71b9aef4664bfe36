"""`WMaxLimPct` of model 704: an export limit in per cent of WMax, one among all sources' (the lowest wins).

Rules:
* While `WMaxLimPctEna` is 1 each write of one of its registers is a limit command, and starts the time-out anew.
* It stays until it is disabled or, with `WMaxLimPctRvrtTms` > 0, until that time is over. Then `WMaxLimPctRvrt` stands
  in its place, for good, where `WMaxLimPctEnaRvrt` is 1; else this master limits no more. Before they are written they
  read 1 and 100 %.
* `WMaxLimPctEna` reads 1 as long as this or any other source limits; `WMaxLimPct` and `WMaxLimPctRvrtRem` then tell of
  the limit in effect, whoever set it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.control.commands import Action
from controller.scada.modbus.requests import Order
from controller.scada.modbus.sunspec_registers import Path
from controller.scada.modbus.sunspec_writes import RATIO_SCALE, UNDER_WAY, Written, expect, flag, seconds_left

_NAME = "WMaxLimPct"
_PARTS = ("Ena", "", "Rvrt", "EnaRvrt", "RvrtTms")


@dataclass(frozen=True, slots=True)
class ShownLimit:
    """What the plant shows of its export limit, and when that was so."""

    limit_w: float
    remaining_s: float
    published_ns: int


@dataclass(frozen=True, slots=True)
class LimitRegisters:
    """An export limit as last written here; NaN: never."""

    enabled: bool = False
    ratio: float = math.nan
    fallback_ratio: float = 1.0
    fallback_enabled: bool = True
    timeout_s: int = 0
    written_ns: int = 0


class LimitControl:
    """The registers of the limit. `rating_w` is no limit at all; the power is what 100 % is."""

    def __init__(self, power_w: float, rating_w: float) -> None:
        """Begin with nothing written."""
        self._power_w, self._rating_w = power_w, rating_w
        self.registers = LimitRegisters()

    @staticmethod
    def paths() -> tuple[Path, ...]:
        """Return the points that may be written."""
        return tuple((704, _NAME + part) for part in _PARTS)

    def orders(self, written: Written, shown: ShownLimit, now_ns: int) -> tuple[Order, ...]:
        """Take what was written of it and return what it asks for; BadValueError changes nothing."""
        parts = {part: written[704, _NAME + part] for part in _PARTS if (704, _NAME + part) in written}
        if not parts:
            return ()
        before = self._settled(now_ns)
        was_enabled = self._is_enabled(before, shown)
        ratio = self._ratio(before, shown) if math.isnan(before.ratio) else before.ratio
        registers = LimitRegisters(
            enabled=flag(parts.get("Ena", was_enabled)),
            ratio=parts[""] * RATIO_SCALE if "" in parts else ratio,
            fallback_ratio=parts["Rvrt"] * RATIO_SCALE if "Rvrt" in parts else before.fallback_ratio,
            fallback_enabled=flag(parts.get("EnaRvrt", before.fallback_enabled)),
            timeout_s=parts.get("RvrtTms", before.timeout_s),
        )
        expect(math.isnan(registers.ratio) or 0.0 <= registers.ratio <= 1.0)
        expect(0.0 <= registers.fallback_ratio <= 1.0)
        asks = registers.enabled or was_enabled
        self.registers = replace(registers, written_ns=UNDER_WAY if asks else now_ns)
        return (self._order(registers),) if asks else ()

    def confirm(self, now_ns: int) -> None:
        """The plant took what was under way: snapshots from now on show it, and its time runs."""
        if self.registers.written_ns == UNDER_WAY:
            self.registers = replace(self.registers, written_ns=now_ns)

    def values(self, shown: ShownLimit, now_ns: int) -> dict[Path, float]:
        """Return what the registers read."""
        registers = self._settled(now_ns)
        enabled = self._is_enabled(registers, shown)
        parts = {
            "Ena": float(enabled),
            "": 100.0 * self._ratio(registers, shown),
            "Rvrt": 100.0 * registers.fallback_ratio,
            "EnaRvrt": float(registers.fallback_enabled),
            "RvrtTms": float(registers.timeout_s),
            "RvrtRem": seconds_left(shown.remaining_s) if enabled else 0.0,
        }
        return {(704, _NAME + part): value for part, value in parts.items()}

    def _order(self, registers: LimitRegisters) -> Order:
        if not registers.enabled:
            return Order(Action.SET_EXPORT_LIMIT, value=self._rating_w)
        timed, falls_back = registers.timeout_s > 0, registers.fallback_enabled
        return Order(
            Action.SET_EXPORT_LIMIT,
            value=self._limit_w(1.0 if math.isnan(registers.ratio) else registers.ratio),
            timeout_s=float(registers.timeout_s) if timed else None,
            fallback=self._limit_w(registers.fallback_ratio) if timed and falls_back else None,
        )

    def _limit_w(self, ratio: float) -> float:
        return min(self._power_w * ratio, self._rating_w)

    def _settled(self, now_ns: int) -> LimitRegisters:
        """Return the registers as they now stand: what ran out has fallen back, or is disabled."""
        kept = self.registers
        if not kept.enabled or not kept.timeout_s or now_ns < kept.written_ns + kept.timeout_s * 1_000_000_000:
            return kept
        ratio = kept.fallback_ratio if kept.fallback_enabled else kept.ratio
        return replace(kept, enabled=kept.fallback_enabled, ratio=ratio)

    def _is_enabled(self, registers: LimitRegisters, shown: ShownLimit) -> bool:
        is_newer = registers.written_ns >= shown.published_ns
        return registers.enabled or (not is_newer and shown.limit_w < self._rating_w)

    def _ratio(self, registers: LimitRegisters, shown: ShownLimit) -> float:
        standing = not self._is_enabled(registers, shown)
        if not math.isnan(registers.ratio) and (standing or registers.written_ns >= shown.published_ns):
            return registers.ratio
        return min(shown.limit_w / self._power_w, 1.0)
