"""What protection remembers from scan to scan: measurements as sources, timers, levels, latches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Values
from controller.image.masks import everywhere
from controller.image.quality import usable
from controller.plant.protection_rows import Reduction
from controller.plant.signals import Owner
from controller.protection.cells import CellSummary
from controller.protection.command_envelope import CommandEnvelope
from controller.protection.delays import Delays
from controller.protection.details import Details
from controller.protection.rates import RateHistory
from controller.protection.result import ProtectionResult
from controller.protection.table import ProtectionTable

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Counter:
    """A counter that a device must advance: when it last did."""

    def __init__(self, equipments: int) -> None:
        """Nothing seen yet."""
        self.value: NDArray[np.uint32] = np.zeros(equipments, np.uint32)
        self.changed_ns: IntArray = np.zeros(equipments, np.int64)
        self.stands = False  # every one was seen at least once

    def follow(self, values: Values) -> None:
        """Take a new reading; only a usable one may say that the counter moved."""
        if self.stands and values.value.tobytes() == self.value.tobytes():
            return
        moved = usable(values.quality) & ((values.value != self.value) | (self.changed_ns == 0))
        self.value[moved], self.changed_ns[moved] = values.value[moved], values.time_ns[moved]
        self.stands = everywhere(self.changed_ns > 0)


class ProtectionState:
    """Owned by the scan and changed by `protect` and `reset` only. [M] elements, [T] sources, [3, M] levels."""

    def __init__(self, table: ProtectionTable) -> None:
        """Nothing measured, nothing running, nothing latched."""
        size, sources = table.size, len(table.served)
        self.started_ns = -1  # time of the first scan
        # Measurements, turned so that higher is worse; -inf where there is nothing usable.
        self.sourced: FloatArray = np.full(sources, -np.inf)
        self.time_ns: IntArray = np.zeros(sources, np.int64)
        self.seen_ns: IntArray = np.zeros(sources, np.int64)  # the newest usable sample
        self.cell: IntArray = np.full(sources, -1, np.int64)
        self.worst: FloatArray = np.full(size, -np.inf)
        self.known: BoolArray = np.zeros(size, np.bool_)
        self.last_seen_open: BoolArray = np.zeros(table.counts[Owner.RACK], np.bool_)
        self.cells = _summaries(table)
        self.cell_figure: FloatArray = np.full(sources, np.nan)
        self.cell_usable: BoolArray = np.zeros(sources, np.bool_)
        self.cell_time_ns: IntArray = np.zeros(sources, np.int64)
        self.rates = _rates(table)
        self.commanded = CommandEnvelope(table.arrays.pcs_power_w, table.arrays.pcs_ramp_w_per_s)
        self.counters = {s.place.start: Counter(s.count) for s in table.sources if s.is_counter}
        # Judgement.
        self.on_delays = Delays(table.delay_ns)
        self.off_delays = Delays(table.off_delay_ns)
        self.onset_ns: IntArray = np.zeros((3, size), np.int64)  # the sample that first met each limit
        self.level: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.latched: BoolArray = np.zeros(size, np.bool_)
        self.raised = Details(size)  # at the last rise of the level
        self.trips = Details(size)  # at the trip that is latched
        # The last orders, and what they followed from.
        self.facts: tuple[bytes, ...] = ()
        self.result: ProtectionResult | None = None


def _summaries(table: ProtectionTable) -> dict[str, CellSummary]:
    present = {Owner.CELL: table.arrays.cell_present, Owner.SENSOR: table.arrays.sensor_present}
    signals = {s.signal: s.signal_owner for s in table.sources if s.per_cell}
    return {name: CellSummary(present[owner]) for name, owner in signals.items() if present[owner].size}


def _rates(table: ProtectionTable) -> dict[int, RateHistory]:
    widths = {Owner.CELL: table.arrays.cell_present.shape[1], Owner.SENSOR: table.arrays.sensor_present.shape[1]}
    return {
        s.place.start: RateHistory(s.count, widths.get(s.signal_owner, 1), s.window_s, s.sign)
        for s in table.sources
        if s.reduction is Reduction.RATE
    }
