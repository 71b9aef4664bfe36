"""How old each value may grow: the declared data period D of every signal and equipment, as the devices are polled.

Rule: D is the poll period of the block that serves the value, or the device's own refresh where that is slower.
A value is uncertain after `uncertain_periods` * D and lost after `bad_periods` * D (`plant.control.stale`). Its
sample time is uncertain by D: the register may have been written at any time since the refresh before.
Computed quantities have no period of their own: they live as long as the snapshot that holds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import Layout, owner_shapes
from controller.image.quality import judge
from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant, StaleLadder
from controller.plant.signals import Owner

NEVER_NS = 2**62
"""An age that nothing reaches: for values without a period."""


@dataclass(frozen=True, slots=True)
class Ages:
    """One quantity's periods, per equipment [n]: D, and the ages at which a value turns uncertain and bad."""

    period_ns: NDArray[np.int64]
    uncertain_after_ns: NDArray[np.int64]
    bad_after_ns: NDArray[np.int64]

    @property
    def longest_ns(self) -> int:
        """Return the longest period in which it is served; 0 where it is nowhere."""
        return int(self.period_ns.max(initial=0, where=self.period_ns < NEVER_NS))

    def quality_now(self, quality: NDArray[np.uint8], time_ns: NDArray[np.int64], now_ns: int) -> NDArray[np.uint8]:
        """Return the quality as it is now; cell arrays [n, cells] share one time per rack."""
        if quality.ndim == 1:
            return judge(quality, time_ns, now_ns, self.uncertain_after_ns, self.bad_after_ns)
        return judge(quality, time_ns[:, None], now_ns, self.uncertain_after_ns[:, None], self.bad_after_ns[:, None])


DataPeriods = dict[str, Ages]


def flat_ages(periods: DataPeriods, layout: Layout) -> Ages:
    """Return all periods of the rack section as one vector, with the indices of `Image.measured_quality`."""
    region = layout.measured_region("quality")
    flat = Ages(*(np.full(region.stop - region.start, NEVER_NS, np.int64) for _ in range(3)))
    for name, ages in periods.items():
        if not QUANTITIES[name].per_cell:
            first = layout.offsets[f"{name}.quality"] - region.start
            place = slice(first, first + len(ages.period_ns))
            flat.period_ns[place] = ages.period_ns
            flat.uncertain_after_ns[place] = ages.uncertain_after_ns
            flat.bad_after_ns[place] = ages.bad_after_ns
    return flat


def data_periods(plant: Plant) -> DataPeriods:
    """Return the ages of every measured quantity; equipment that no device serves never ages (it is never read)."""
    shapes = owner_shapes(plant)
    periods = {q.name: np.full(shapes[q.owner][0], NEVER_NS, np.int64) for q in QUANTITIES.values() if q.measured}
    for name, equipment, period_s in _served(plant):
        periods[name][equipment] = min(periods[name][equipment], round(period_s * 1e9))
    return {name: _ages(period_ns, plant.control.stale) for name, period_ns in periods.items()}


def _served(plant: Plant) -> Iterator[tuple[str, int, float]]:
    """Yield (signal, equipment index, D in s) for everything that is polled."""
    for device in plant.devices:
        for point in device.type.points:
            if not point.poll_block or point.signal.name not in QUANTITIES:
                continue
            period_s = max(device.period_s(point.poll_block), device.type.refresh_s or 0.0)
            for binding in device.bindings:
                if binding.owner is binding_owner(point.signal.owner):
                    yield point.signal.name, binding.equipment, period_s


def binding_owner(owner: Owner) -> Owner:
    """Return the equipment that a device binds for this owner: cells and sensors come with their rack."""
    return Owner.RACK if owner in {Owner.CELL, Owner.SENSOR} else owner


def _ages(period_ns: NDArray[np.int64], stale: StaleLadder) -> Ages:
    known = period_ns < NEVER_NS
    uncertain = np.where(known, period_ns * stale.uncertain_periods, NEVER_NS)
    bad = np.where(known, period_ns * stale.bad_periods, NEVER_NS)
    return Ages(period_ns, uncertain.astype(np.int64), bad.astype(np.int64))
