"""The closed loop on the POI meter: the converters are commanded what the POI must show, plus the losses between.

Rule: the plant's model of its losses (transformers, auxiliaries) is added at once, of the auxiliaries three times what
the site states at most, whatever their meter shows; the rest is trimmed slowly from the meter, only with new samples
and only while the reference stands still, so that dead time can't wind it up. On a
stale meter, an open breaker, a converter that limits itself, or outside the voltage and frequency window the trim
freezes and holds; release is bumpless because the trim is all that the loop remembers. At zero nothing is trimmed: a
plant at rest does not discharge its racks into its own auxiliaries.

What the loop makes up for beyond the losses is load and generation that nobody meters, up to a part of the rating that
the site states (`poi_trim`), a step at a time that the meter must answer (`poi_witness`). If it does not, or shows more
beside the converters than the site states, the loop holds too, and the set-point is followed by the converters' own
powers. A reference that the meter does not show for half a minute is told.

A power that the meter does not tell, or not believably, is told after two seconds. The set-point is still followed, by
the converters' own powers, the modelled losses and the trim as it was; but what the trim was made for may be gone, so
set-point and trim together stay within the limits of the POI, and no meter of auxiliaries makes room beyond them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controller.control.poi_witness import MeterWitness
from controller.image.possible import AUXILIARY_RATIO
from controller.plant.model import MeterRole, Plant

TRIM_TIME_S = 3.0
SETTLING_S = 2.5
"""After a change of the reference: dead time, ramp and the age of the meter's value."""
STILL_RATIO = 0.005
MISSED_RATIO = 0.02
"""Of the rating: the meter may differ so much from the reference before it counts as missed."""
MISSED_AFTER_S = 30.0
UNKNOWN_AFTER_S = 2.0
VOLTAGE_WINDOW_RATIO = 0.1
FREQUENCY_WINDOW_HZ = 1.5
GRID_OUTSIDE_AFTER_S = 1.0
"""It is told only then: one sample is none, unless a converter bears it out."""


@dataclass(slots=True)
class PoiLoop:
    """Memory of the loop for one quantity (W or var)."""

    trim: float = 0.0
    reference: float = 0.0
    still_s: float = 0.0
    sample_ns: int = 0
    missed_s: float = 0.0  # for so long the meter has not shown the reference
    stood: float = 0.0  # the trim when the converters stood last
    sure: float = 0.0  # and when the meter was last sure
    unknown_s: float = 0.0  # for so long the meter has not told its quantity


class PoiSample(NamedTuple):
    """The meters now; NaN unknown. `time_ns` of the powers. No control meter: all NaN, breaker as closed."""

    active_w: float
    reactive_var: float
    time_ns: int
    voltage_v: float
    frequency_hz: float
    breaker_closed: bool
    auxiliary_w: float  # of all auxiliaries, metered or nominal


class Trimmed(NamedTuple):
    """The rating of the POI in the loop's unit, and how far the loop may trim, as a part of it."""

    rating: float
    trim_ratio: float
    leash: float = math.inf

    @property
    def bound(self) -> float:
        """The furthest that the loop may trim."""
        return self.trim_ratio * self.rating


def trim_step(
    loop: PoiLoop, reference: float, measured: float, time_ns: int, bounds: Trimmed, dt_s: float, *, frozen: bool
) -> float:
    """Return the trim to add to `reference`; the loop is brought up to date in place.

    It goes no further than `bounds.leash` from where the converters stood last.
    """
    rating = bounds.rating
    moved = abs(reference - loop.reference) > STILL_RATIO * rating
    loop.still_s = 0.0 if moved or frozen else loop.still_s + dt_s
    if moved:
        loop.reference = reference
    missed = loop.still_s >= SETTLING_S and abs(reference - measured) > MISSED_RATIO * rating
    loop.missed_s = loop.missed_s + dt_s if missed and not frozen else 0.0
    loop.unknown_s = loop.unknown_s + dt_s if math.isnan(measured) else 0.0
    elapsed_ns = time_ns - loop.sample_ns
    loop.sample_ns = max(loop.sample_ns, time_ns)
    if frozen or elapsed_ns <= 0 or loop.still_s < SETTLING_S or math.isnan(measured):
        return loop.trim
    step_s = min(elapsed_ns * 1e-9, 0.5 * TRIM_TIME_S)
    trim = loop.trim + (reference - measured) * (step_s / TRIM_TIME_S)
    trim = max(loop.stood - bounds.leash, min(loop.stood + bounds.leash, trim))
    loop.trim = max(-bounds.bound, min(bounds.bound, trim))
    return loop.trim


def is_at_its_bound(loop: PoiLoop, bounds: Trimmed) -> bool:
    """Whether the reference is missed because the loop may not trim further."""
    return loop.missed_s > 0.0 and abs(loop.trim) >= bounds.bound


def take_answer(loop: PoiLoop, witness: MeterWitness) -> None:
    """Go back to where the meter was sure, if it did not answer; go on from here, if it did."""
    if witness.just_missed:
        loop.trim = loop.stood = loop.sure
    elif witness.stands:
        loop.stood = loop.trim
        loop.sure = loop.trim if witness.is_sure else loop.sure


def is_frozen(plant: Plant, sample: PoiSample) -> bool:
    """Whether the grid or the meter gives no ground to trim on. Unknown voltage and frequency do not freeze."""
    if math.isnan(sample.active_w) or not sample.breaker_closed:
        return True
    return any(are_outside(plant, sample))


def are_outside(plant: Plant, sample: PoiSample) -> tuple[bool, bool]:
    """Return whether voltage and frequency of the grid lie outside their windows; unknown ones do not."""
    poi = plant.poi
    outside_v = abs(sample.voltage_v - poi.voltage_v) > VOLTAGE_WINDOW_RATIO * poi.voltage_v
    return outside_v, abs(sample.frequency_hz - poi.frequency_hz) > FREQUENCY_WINDOW_HZ


@dataclass(frozen=True, slots=True)
class LossModel:
    """Losses between converters and POI: the transformers' iron and load losses, and the auxiliaries."""

    iron_w: float
    load_per_w: float  # load loss per W squared
    metered_w: tuple[tuple[int, float], ...]  # meter, and the nominal power of the auxiliaries behind it
    unmetered_w: float  # nominal power of the auxiliaries without a meter

    def loss_w(self, poi_w: float, auxiliary_w: float) -> float:
        """Return the expected losses at a power at the POI."""
        return self.iron_w + self.load_per_w * poi_w * poi_w + auxiliary_w

    def fed_w(self, poi_w: float, auxiliary_w: float, *, meter_tells: bool) -> float:
        """Return the losses that are made up for at once.

        Where the meter at the POI tells nothing, the auxiliaries count as far as is certain: to discharge the lesser
        of what is metered and what is stated, to charge the greater.
        """
        stated_w = self.unmetered_w + sum(nominal_w for _, nominal_w in self.metered_w)
        fed_w = min(auxiliary_w, AUXILIARY_RATIO * stated_w)
        if not meter_tells:
            fed_w = min(fed_w, stated_w) if poi_w > 0.0 else max(fed_w, stated_w)
        return self.loss_w(poi_w, fed_w)

    def auxiliary_w(self, meter_w: Sequence[float]) -> float:
        """Return the auxiliaries' power; of those whose meter says nothing (NaN), the nominal one."""
        total_w = self.unmetered_w
        for meter, nominal_w in self.metered_w:
            measured_w = abs(meter_w[meter])
            total_w += nominal_w if math.isnan(measured_w) else measured_w
        return total_w


def loss_model(plant: Plant) -> LossModel:
    """Return the model of a site: load spread over the transformers by their ratings."""
    rated_va = sum(t.apparent_va for t in plant.transformers)
    load_loss_w = sum(t.load_loss_w for t in plant.transformers)
    meters = {m.index: 0.0 for m in plant.meters if m.role is MeterRole.AUXILIARY}
    for auxiliary in plant.auxiliaries:
        if auxiliary.meter in meters:
            meters[auxiliary.meter] += auxiliary.power_w
    return LossModel(
        iron_w=sum(t.no_load_loss_w for t in plant.transformers),
        load_per_w=load_loss_w / rated_va**2 if rated_va > 0.0 else 0.0,
        metered_w=tuple(meters.items()),
        unmetered_w=sum(a.power_w for a in plant.auxiliaries if a.meter not in meters),
    )
