"""Racks whose cells are visited together: so many that a visit fits into a scan, each group at its own time.

A visit of all cells of a plant at once would make every tenth second a long scan. Groups of ten thousand cells, a
millisecond each (smaller ones cost nearly as much), take turns, evenly over the visit period, and a group is replaced
whole, so that the others need not be copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.anomalies import AnomalyState, initial_anomalies
from controller.estimation.cell_filter import CellState, initial_cells
from controller.estimation.config import EstimatorConfig

Floats = NDArray[np.float64]

CELLS_A_VISIT = 10_000


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Racks `first` to `last` (excluded): their cells, what was noticed of them, and when they were visited.

    `seen_ns` [rack] is the source time of the cells last taken, `drawn_ratio` [rack] the charge counted by then.
    """

    first: int
    last: int
    visited_ns: int
    seen_ns: NDArray[np.int64]
    drawn_ratio: Floats
    cells: CellState
    anomalies: AnomalyState

    @property
    def racks(self) -> slice:
        """Its racks."""
        return slice(self.first, self.last)


def initial_groups(config: EstimatorConfig, never: int, now_ns: int) -> tuple[CellGroup, ...]:
    """Return the groups of a plant, of which nothing is known, their visits spread over the period."""
    cells = int(config.cells_in_series.max())
    racks_each = max(CELLS_A_VISIT // cells, 1)
    firsts = range(0, config.racks, racks_each)
    period_ns = int(config.visit_period_s * 1e9)
    return tuple(
        _initial(
            config, cells, first, min(first + racks_each, config.racks), never, now_ns - k * period_ns // len(firsts)
        )
        for k, first in enumerate(firsts)
    )


def _initial(config: EstimatorConfig, cells: int, first: int, last: int, never: int, now_ns: int) -> CellGroup:
    racks = last - first
    return CellGroup(
        first=first,
        last=last,
        visited_ns=now_ns,
        seen_ns=np.full(racks, never, dtype=np.int64),
        drawn_ratio=np.zeros(racks),
        cells=initial_cells(racks, cells),
        anomalies=initial_anomalies(racks, cells, config.temperature_sensors, now_ns),
    )
