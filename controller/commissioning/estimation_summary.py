"""What `bess estimate` prints: where a recording ended and what was wrong with it, for people or as a JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from controller.commissioning.offline_estimation import INSUFFICIENT, EstimatedRecording
from controller.estimation.offline import OfflineResult, quality_word
from controller.estimation.warranty import SOC_EDGES, TEMPERATURE_EDGES_DEGC
from controller.image.quantities import POWER_HORIZONS

LEAST_UNCOUNTED_S = 60.0
"""The first sample and the last seconds are never counted: not worth a word."""


def summary(estimated: EstimatedRecording, *, as_json: bool = False) -> str:
    """Return where the recording ended and what was wrong with it, for people or as one JSON object."""
    result, bad = estimated.result, estimated.bad
    last = {name: float(values[-1]) for name, values in result.columns.items()}
    word = quality_word(last["quality"])
    if as_json:
        known = {name: value if np.isfinite(value) else None for name, value in last.items()}
        counts = {"rows": bad.rows, "findings": len(result.findings), "bad_samples": dict(bad.kinds)}
        cells = {"fits_cell_type": result.misfit is None, "cells_without_voltage": dict(bad.cells)}
        told = {**remaining_life_row(result), **_bins_row(result), "remarks": list(bad.remarks)}
        return json.dumps({**known, "quality": word, **counts, **cells, **told})
    age = last["anchor_age_s"]
    anchor = f"last anchor {age / 3600.0:.1f} h ago" if np.isfinite(age) else "no anchor yet"
    lines = [
        f"SOC {_percent(last, 'soc')}, {word}, {anchor}",
        f"capacity {last['capacity_ah']:.4g} Ah [{last['capacity_low_ah']:.4g} .. {last['capacity_high_ah']:.4g}]",
        *_state_words(result, last),
        _remaining_life_words(result),
    ]
    lines += [text] if (text := bad.text()) else []
    lines += [f"{f.severity.name.lower()}: cell {f.cell}: {f.kind.value}: {f.evidence}" for f in result.findings]
    return "\n".join(lines)


def _state_words(result: OfflineResult, last: Mapping[str, float]) -> Iterator[str]:
    """Yield health, energy, power, heat and what has flowed."""
    leaning = "" if result.last.resistance_measured[0] else " (as the cell type's: too few steps of the current yet)"
    yield f"SOH capacity {_percent(last, 'soh')}, resistance {_percent(last, 'soh_resistance')}{leaning}"
    yield f"energy to empty {_size(last['energy_to_empty_wh'], 'Wh')}, to full {_size(last['energy_to_full_wh'], 'Wh')}"
    for way in ("discharge", "charge"):
        limits = (f"{horizon} {_size(last[f'power_{way}_{horizon}_w'], 'W')}" for horizon in POWER_HORIZONS)
        yield f"{way} power for {', '.join(limits)}"
    yield f"hottest core {_size(last['core_degc'], 'degC')}"
    uncounted_s = last["uncounted_s"]
    more = f"; {uncounted_s / 60.0:,.0f} min not counted" if uncounted_s > LEAST_UNCOUNTED_S else ""
    yield (
        f"out {last['charge_out_ah']:.4g} Ah, {last['energy_out_wh']:.4g} Wh; in {last['charge_in_ah']:.4g} Ah,"
        f" {last['energy_in_wh']:.4g} Wh; {last['cycles']:.3g} full cycles{more}"
    )


def _size(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}" if np.isfinite(value) else "unknown"


def _bins_row(result: OfflineResult) -> dict[str, object]:
    """Return for how long SOC (while its quality was good) and temperature stood in each bin, ascending."""
    counted = result.last.warranty
    return {
        "resistance_measured": bool(result.last.resistance_measured[0]),
        "soc_edges_ratio": list(SOC_EDGES),
        "soc_bins_s": counted.soc_s[:, 0].tolist(),
        "temperature_edges_degc": list(TEMPERATURE_EDGES_DEGC),
        "temperature_bins_s": counted.temperature_s[:, 0].tolist(),
    }


def remaining_life_row(result: OfflineResult) -> dict[str, float | str | None]:
    """Return the interval of days to the end of life, and whether it is earned: `good` or `insufficient data`."""
    low, high = float(result.last.remaining_days_low[0]), float(result.last.remaining_days_high[0])
    if not np.isfinite(low):
        return {
            "remaining_life_low_days": None,
            "remaining_life_high_days": None,
            "remaining_life_quality": INSUFFICIENT,
        }
    return {"remaining_life_low_days": low, "remaining_life_high_days": high, "remaining_life_quality": "good"}


def _remaining_life_words(result: OfflineResult) -> str:
    row = remaining_life_row(result)
    if row["remaining_life_quality"] == INSUFFICIENT:
        return f"remaining life: {INSUFFICIENT} (a year of monthly capacities, and a fade beyond their uncertainty)"
    return f"remaining life {row['remaining_life_low_days']:.0f} .. {row['remaining_life_high_days']:.0f} days"


def _percent(last: Mapping[str, float], name: str) -> str:
    value, low, high = (100.0 * last[f"{name}{part}_ratio"] for part in ("", "_low", "_high"))
    return f"{value:.1f} % [{low:.1f} .. {high:.1f}]"
