"""Warranty counters of each rack: charge and energy through it, equivalent full cycles, time in SOC and heat bins.

They only grow. What is not known is not counted: a gap, a doubtful or impossible current, a voltage that is no number.
For how long nothing was counted is a counter itself, and absences of the controller belong to it. SOC bins are filled
twice, by our SOC (while its bounds are narrow) and by the BMS's, since contracts name the one or the other.

Charge and energy are metered at each sample; every `FOLD_PERIOD_S` they are added to the counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation import rack_records

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SOC_EDGES = (0.10, 0.25, 0.50, 0.75, 0.90)
TEMPERATURE_EDGES_DEGC = (0.0, 10.0, 25.0, 35.0, 45.0)
BINS = len(SOC_EDGES) + 1
FOLD_PERIOD_S = 10.0
LONGEST_SAMPLE_S = 120.0
"""Samples further apart meter nothing, whatever their usual period."""
BMS_STEP_RATIO = 0.01
"""A BMS states whole points: less is its last digit going to and fro."""
BMS_JUMP_RATIO = 0.025
FORMAT = 1


class WarrantyError(ValueError):
    """Saved counters that can't be read, or of another format."""


@dataclass(frozen=True, slots=True)
class Warranty:
    """Counters per rack [rack]; bins [bin, rack], ascending, the first below the first edge.

    Cycles are charge in and out over twice the nameplate; `bms_cycles` the same from the BMS's SOC, without its jumps.
    `uncounted_s`: for how long charge and energy were not counted.
    """

    out_ah: Floats
    in_ah: Floats
    out_wh: Floats
    in_wh: Floats
    cycles: Floats
    bms_cycles: Floats
    uncounted_s: Floats
    soc_s: Floats
    bms_soc_s: Floats
    temperature_s: Floats


@dataclass(frozen=True, slots=True)
class Meter:
    """What has flowed since the last fold: `flow_out`, `flow_in` [Ah | Wh, rack]; `counted_s` [rack] of metered time.

    `bms_ratio` [rack] is the BMS's SOC up to which its cycles are counted, NaN before it said one.
    """

    flow_out: Floats
    flow_in: Floats
    counted_s: Floats
    bms_ratio: Floats
    folded_ns: int


def initial_warranty(racks: int) -> Warranty:
    """Return counters at zero."""
    zero, bins = np.zeros(racks), np.zeros((BINS, racks))
    return Warranty(zero, zero, zero, zero, zero, zero, zero, bins, bins, bins)


def initial_meter(racks: int, now_ns: int) -> Meter:
    """Return a meter that has metered nothing."""
    none = np.zeros((2, racks))
    return Meter(none, none, np.zeros(racks), np.full(racks, np.nan), now_ns)


def metered(was: Meter, current_a: Floats, voltage_v: Floats, counted_s: Floats) -> Meter:
    """Return the meter after a mean current (+ = discharge) over the times that count [rack]; 0 s counts nothing."""
    sound_s = np.where(np.isfinite(voltage_v), counted_s, 0.0)
    charge_ah = current_a * sound_s / 3600.0
    flow = np.array((charge_ah, charge_ah * np.where(sound_s > 0.0, voltage_v, 0.0)))
    out = np.maximum(flow, 0.0)
    return replace(
        was,
        flow_out=was.flow_out + out,
        flow_in=was.flow_in + (out - flow),
        counted_s=was.counted_s + sound_s,
    )


def folded(
    was: Warranty,
    meter: Meter,
    capacity_ah: Floats,
    soc_ratio: Floats,
    bms_ratio: Floats,
    temperature_degc: Floats,
    now_ns: int,
) -> tuple[Warranty, Meter]:
    """Return the counters with the meter's sums in, and the meter begun anew.

    SOCs and temperature are as they are now [rack]; NaN (unknown, or too uncertain) fills no bin.
    """
    elapsed_s = max(now_ns - meter.folded_ns, 0) * 1e-9
    moved, bms_from = _bms_move(meter.bms_ratio, bms_ratio)
    counters = Warranty(
        out_ah=was.out_ah + meter.flow_out[0],
        in_ah=was.in_ah + meter.flow_in[0],
        out_wh=was.out_wh + meter.flow_out[1],
        in_wh=was.in_wh + meter.flow_in[1],
        cycles=was.cycles + 0.5 * (meter.flow_out[0] + meter.flow_in[0]) / capacity_ah,
        bms_cycles=was.bms_cycles + 0.5 * moved,
        uncounted_s=was.uncounted_s + np.maximum(elapsed_s - meter.counted_s, 0.0),
        soc_s=was.soc_s + _in_bins(soc_ratio, SOC_EDGES, elapsed_s),
        bms_soc_s=was.bms_soc_s + _in_bins(bms_ratio, SOC_EDGES, elapsed_s),
        temperature_s=was.temperature_s + _in_bins(temperature_degc, TEMPERATURE_EDGES_DEGC, elapsed_s),
    )
    return counters, replace(initial_meter(len(bms_ratio), now_ns), bms_ratio=bms_from)


def _bms_move(from_ratio: Floats, to_ratio: Floats) -> tuple[Floats, Floats]:
    """Return by how much the BMS's SOC moved [rack], 0 for its last digit and its jumps, and where counting stands."""
    move = np.abs(to_ratio - from_ratio)
    known = np.isfinite(move)
    counts = known & (move >= BMS_STEP_RATIO - 1e-9) & (move <= BMS_JUMP_RATIO)
    begins = ~np.isfinite(from_ratio) | (known & (move > BMS_JUMP_RATIO))
    return np.where(counts, move, 0.0), np.where(counts | begins, to_ratio, from_ratio)


def _in_bins(values: Floats, limits: Sequence[float], seconds: float) -> Floats:
    """Return the seconds in the bin of each value [bin, rack]."""
    place = np.searchsorted(limits, values, side="right")
    here = place[None, :] == np.arange(len(limits) + 1)[:, None]
    return np.asarray(seconds * (here & np.isfinite(values)))


def to_bytes(counters: Warranty, racks: Sequence[str]) -> bytes:
    """Return the counters of the named racks as bytes: they outlive a change of the plant around them."""
    return rack_records.to_bytes(counters, racks, FORMAT)


def from_bytes(data: bytes, racks: Sequence[str], away_s: float) -> Warranty:
    """Return the counters of these racks, `away_s` seconds uncounted; a rack without saved ones starts at zero.

    Racks are found by name, whatever their order. WarrantyError if the bytes can't be used.
    """
    try:
        counters, known = rack_records.from_bytes(data, racks, initial_warranty(len(racks)), FORMAT)
    except ValueError as error:
        raise WarrantyError(f"warranty counters: {error}") from error
    counters.uncounted_s[known] += max(away_s, 0.0)
    return counters
