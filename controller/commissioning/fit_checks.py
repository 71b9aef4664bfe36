"""Whether a test that a cell type is to be fitted to can be what it says: units, sign, columns, range.

A fit explains whatever it is given; a test in another unit, or of half the range, becomes a cell that no cell is like.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.commissioning.recording_checks import MILLI_PER_H, THOUSAND, USUAL_QUANTILE
from controller.commissioning.recording_files import FileError, Floats
from controller.estimation.cell_model import CellTest

VOLTAGE_V = 0.5, 70.0
"""From one cell to a block of lead acid."""
HOT_DEGC = 70.0
"""No cell is tested in the mean beyond."""
STANDS_STILL_V = 0.002
GAP_S = 30.0
BEYOND_RATIO = 0.2
"""So far beyond empty and full a count may drift, and a capacity be another than its nameplate."""
EMPTY_RATIO = 0.05
"""So far below empty a drive may count where a slow test has told the capacity."""
SLOW_SPANS = 0.95, 1.05
"""Of the capacity: what a slow test over the whole range counts."""
COUNTS_RATIO = 2.0
"""The tester's counter and current times time differ by less, however coarse the rows."""
COUNTED_RATIO = 0.02
FLOWS_PER_H = 0.001
SLOW_PER_H = 0.125
"""Of the capacity: a test of smaller currents is one of the open-circuit voltage."""


def check_test(test: CellTest, capacity_ah: float, path: Path) -> None:
    """Refuse a test that can't be so; FileError says the likely cause and how to mend it."""
    volts, amps = (values[np.isfinite(values)] for values in (test.voltage_v, test.current_a))
    if not len(volts) or not len(amps):
        raise FileError(f"{path}: no {'current' if len(volts) else 'voltage'} is a number")
    if volts.min() <= 0.0 < amps.min():
        raise FileError(
            f"{path}: voltage_v goes down to {volts.min():.4g} V while current_a is always above zero: exchanged?"
        )
    middle_v = float(np.median(volts))
    if not VOLTAGE_V[0] <= middle_v <= VOLTAGE_V[1]:
        raise FileError(
            f"{path}: the median voltage is {middle_v:.4g} V, expected {VOLTAGE_V[0]:g} to {VOLTAGE_V[1]:g} V of one"
            " cell or block (millivolts? convert)"
        )
    if float(np.ptp(volts)) < STANDS_STILL_V:
        raise FileError(f"{path}: voltage_v stands still at {middle_v:.4g} V: nothing can be fitted to a rest")
    if (warmth := float(np.nanmean(test.temperature_degc))) > HOT_DEGC:
        raise FileError(
            f"{path}: the temperature is {warmth:.3g} in the mean, expected degC (degF or K? convert; {warmth:.3g} degF"
            f" are {(warmth - 32.0) / 1.8:.3g} degC)"
        )
    usual_a = float(np.quantile(np.abs(amps), USUAL_QUANTILE))
    if usual_a > MILLI_PER_H * capacity_ah:
        raise FileError(
            f"{path}: current_a is usually {usual_a:.4g} A for {capacity_ah:.4g} Ah: is it in mA"
            f" ({usual_a / THOUSAND:.3g} A), or the capacity in another unit than Ah?"
        )
    _check_range(test, capacity_ah, path)


def _check_range(test: CellTest, capacity_ah: float, path: Path) -> None:
    """Refuse a test whose counted charge leaves the cell."""
    low, high = float(np.nanmin(test.soc_ratio)), float(np.nanmax(test.soc_ratio))
    if low >= -BEYOND_RATIO and high <= 1.0 + BEYOND_RATIO:
        return
    start = f"starts at {100 * test.soc_ratio[0]:.0f} %"
    span_ah = (high - low) * capacity_ah
    if high - low > THOUSAND / 4:
        cause = f"is current_a in mA, or time_s in ms? It counts {span_ah:.4g} Ah"
    elif high > 1.0 + BEYOND_RATIO:
        cause = (
            "+ is discharge: is the sign reversed (--columns current_a=-NAME)? does it start empty (a plan says so)?"
        )
    else:
        cause = f"it counts {span_ah:.4g} Ah of {capacity_ah:.4g} Ah: is --capacity right, and does it start there?"
    raise FileError(f"{path}: a test that {start} goes from {100 * low:.0f} to {100 * high:.0f} %; {cause}")


def check_dynamic(test: CellTest, capacity_ah: float, path: Path) -> None:
    """Refuse a test of small currents that is no slow test over the whole range either."""
    usual_a = float(np.nanquantile(np.abs(test.current_a), USUAL_QUANTILE))
    if usual_a > SLOW_PER_H * capacity_ah:
        return
    if usual_a < FLOWS_PER_H * capacity_ah:
        raise FileError(f"{path}: no current flows (usually {usual_a:.3g} A): nothing can be fitted to a rest")
    span = float(np.ptp(test.soc_ratio[np.isfinite(test.soc_ratio)]))
    raise FileError(
        f"{path}: a slow test (usually {usual_a:.3g} A) over {100 * span:.0f} % of {capacity_ah:.4g} Ah; expected the"
        f" whole range: is --capacity right (it counts {span * capacity_ah:.4g} Ah), or a part of it missing? A plan's"
        " `use: fit` takes it as a drive"
    )


def check_slow_span(span_ratio: float, capacity_ah: float, path: Path) -> None:
    """Refuse a slow test over the whole range that counts more than the capacity it is told."""
    if span_ratio > SLOW_SPANS[1]:
        raise FileError(
            f"{path}: a slow test counts {span_ratio * capacity_ah:.4g} Ah, {span_ratio:.3g} times the capacity of"
            f" {capacity_ah:.4g} Ah: is --capacity right?"
        )


def check_above_empty(test: CellTest, capacity_ah: float, path: Path) -> None:
    """Refuse a drive that draws more from a cell than its slow test has told to be in it."""
    lowest = float(np.nanmin(test.soc_ratio))
    if lowest < -EMPTY_RATIO:
        raise FileError(
            f"{path}: it counts down to {100 * lowest:.0f} % of the {capacity_ah:.4g} Ah that the slow test has: are"
            " its current and the slow test's of one size, and does it start where it is told to?"
        )


def check_counter(time_s: Floats, current_a: Floats, drawn_ah: Floats, capacity_ah: float, path: Path) -> None:
    """Refuse rows without a gap whose current times time is not what the tester counted."""
    steps_s = np.diff(time_s)
    near = steps_s <= GAP_S
    flowed_ah = float(np.ptp(np.cumsum(np.where(near, current_a[1:] * steps_s, 0.0)))) / 3600.0
    counted_ah = float(np.ptp(np.cumsum(np.where(near, np.diff(drawn_ah), 0.0))))
    least_ah = COUNTED_RATIO * capacity_ah
    if counted_ah > max(COUNTS_RATIO * flowed_ah, least_ah) or flowed_ah > max(COUNTS_RATIO * counted_ah, least_ah):
        raise FileError(
            f"{path}: charge_ah moves by {counted_ah:.4g} Ah while current_a and time_s make {flowed_ah:.4g} Ah: is"
            " time_s in s, and current_a in A?"
        )
