"""A bench in fake time: the demo plant with rows of the test's own, measurements by hand, one scan a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Reduction, ResetClass
from controller.plant.signals import ContactorState, Owner, PcsState
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import load_site
from controller.protection.protect import protect, reset
from controller.protection.result import ProtectionResult
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable, compile_table

S = 10**9
HEALTHY = {
    "rack.voltage": 780.0,
    "rack.current": 0.0,
    "rack.cell_voltage_max": 3.3,
    "rack.cell_voltage_min": 3.3,
    "rack.cell_temperature_max": 25.0,
    "rack.cell_temperature_min": 25.0,
    "rack.insulation_resistance": 2e6,
    "rack.contactor": ContactorState.CLOSED,
    "rack.tripped": 0,
    "cell.voltage": 3.3,
    "cell.temperature": 25.0,
    "bank.state": ContactorState.CLOSED,
    "bank.heartbeat": 1,
    "pcs.active_power": 0.0,
    "pcs.active_power_command": 0.0,
    "pcs.temperature": 30.0,
    "pcs.dc_current": 0.0,
    "pcs.state": PcsState.RUNNING,
    "meter.active_power": 0.0,
    "meter.breaker": 2,
    "interlock.healthy": 1,
}


def row(name: str, signal: str, *limits: tuple[Level, float, float, Action], **changes: Any) -> ProtectionRow:
    """Return a row on the cells' highest value unless told otherwise: limits as (level, limit, delay, action)."""
    levels = tuple(Graded(*limit) for limit in limits)
    values: dict[str, Any] = {
        "owner": Owner.RACK,
        "direction": Direction.HIGH,
        "reduction": Reduction.HIGHEST if signal.startswith("cell.") else Reduction.NONE,
        "reset": 0.0,
        "off_delay_s": 0.0,
        "reset_class": ResetClass.REMOTE,
    }
    return ProtectionRow(name=name, signal=signal, levels=levels, **{**values, **changes})


CELL_VOLTAGE_HIGH = row(
    "cell_voltage_high",
    "cell.voltage",
    (Level.WARNING, 3.50, 1.0, Action.ANNUNCIATE),
    (Level.ALARM, 3.55, 1.0, Action.INHIBIT_CHARGE),
    (Level.TRIP, 3.65, 2.0, Action.DISCONNECT_RACK),
    reset=3.40,
    off_delay_s=3.0,
)
INTERLOCK = row(
    "tripped",
    "interlock.healthy",
    (Level.TRIP, 0.0, 0.0, Action.STOP_BLOCK),
    owner=Owner.INTERLOCK,
    direction=Direction.LOW,
    reset=1.0,
    reset_class=ResetClass.LOCAL,
)


class Bench:
    """The plant, its image and its protection; time moves by `step` only."""

    def __init__(self, plant: Plant, table: ProtectionTable) -> None:
        self.plant, self.table = plant, table
        self.state = ProtectionState(self.table)
        self.image = Image(plant_layout(plant))
        self.periods = data_periods(plant)
        self.now_ns = 1000 * S
        self.frozen: set[tuple[str, int]] = set()
        for name, value in HEALTHY.items():
            self.set(name, value)

    def set(self, name: str, value: float, index: Any = ..., cell: Any = None) -> None:
        """Write a measurement as if sampled now; padding is written too."""
        values = self.image[name]
        values.value[index if cell is None else (index, cell)] = value
        values.quality[index] = Quality.GOOD
        values.time_ns[index] = self.now_ns

    def spoil(self, name: str, index: Any = ..., quality: Quality = Quality.DEVICE_FAILURE) -> None:
        """Make a measurement unusable as a sentinel does: a sample arrives, its value is none."""
        self.image[name].quality[index] = quality

    def silence(self, owner: Owner, index: int) -> None:
        """Let everything about an equipment fall silent."""
        for name, quantity in QUANTITIES.items():
            if quantity.measured and name.split(".")[0] in _SERVED_BY[owner]:
                self.frozen.add((name, index))

    def step(self, seconds: float = 1.0) -> ProtectionResult:
        """Sample all that is not silent, let the rest age, and scan once."""
        self.now_ns += round(seconds * S)
        for name in HEALTHY:
            values = self.image[name]
            silent = [index for frozen, index in self.frozen if frozen == name]
            values.time_ns[np.setdiff1d(np.arange(len(values.time_ns)), silent) if silent else ...] = self.now_ns
            if silent and name in self.periods:
                values.quality[silent] = self.periods[name].quality_now(values.quality, values.time_ns, self.now_ns)[
                    silent
                ]
        return self.scan(seconds)

    def scan(self, seconds: float = 1.0) -> ProtectionResult:
        """Scan without new samples and without moving the clock."""
        return protect(self.table, self.state, self.image, self.now_ns, seconds)

    def steps(self, count: int, seconds: float = 1.0) -> ProtectionResult:
        """Return the result of the last of several steps."""
        for _ in range(count - 1):
            self.step(seconds)
        return self.step(seconds)

    def reset(self, permitted: ResetClass = ResetClass.LOCAL, elements: Any = None) -> int:
        """Reset and return how many latches went."""
        return int(reset(self.table, self.state, permitted, elements).sum())

    def element(self, name: str, equipment: int, owner: Owner = Owner.RACK) -> int:
        """Return an element of the table."""
        return self.table.element(owner, name, equipment)


_SERVED_BY = {Owner.RACK: ("rack", "cell"), Owner.PCS: ("pcs",), Owner.INTERLOCK: ("interlock",)}

MakeBench = Callable[..., Bench]


@pytest.fixture(scope="session")
def demo() -> Plant:
    """Return the demo plant as it ships."""
    plant = load_site(LIBRARY / "sites" / "demo").plant
    assert plant is not None
    return plant


@pytest.fixture(scope="session")
def make_bench(demo: Plant) -> MakeBench:
    """Return a maker of benches: rows (the interlock row is always there), and changes of the plant."""

    compiled: dict[tuple[ProtectionRow, ...], ProtectionTable] = {}

    def make(*rows: ProtectionRow, **changes: Any) -> Bench:
        plant = replace(demo, protection=(*rows, INTERLOCK), **changes)
        if changes:
            return Bench(plant, compile_table(plant))
        return Bench(plant, compiled.setdefault(rows, compiled.get(rows) or compile_table(plant)))

    return make


@pytest.fixture(scope="session")
def make_row() -> Callable[..., ProtectionRow]:
    return row


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """Return a bench with one graded row on cell voltages, settled and healthy."""
    settled = make_bench(CELL_VOLTAGE_HIGH)
    settled.step()
    return settled
