"""Whether a test that a cell type is to be fitted to can be what it says: units, sign, columns, range.

A fit explains whatever it is given; a test in another unit, or of half the range, becomes a cell that no cell is like.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.commissioning.recording_checks import MILLI_PER_H, THOUSAND, USUAL_QUANTILE
from controller.commissioning.recording_files import FileError
from controller.estimation.cell_model import CellTest

VOLTAGE_V = 0.5, 70.0
"""From one cell to a block of lead acid."""
STANDS_STILL_V = 0.002
BEYOND_RATIO = 0.2
"""So far beyond empty and full a count may drift, and a capacity be another than its nameplate."""
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
