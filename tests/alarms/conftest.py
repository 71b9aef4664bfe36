"""The demo plant with a short protection table: what the alarm tests stand on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.alarms.conditions import Conditions
from controller.alarms.life_cycle import Alarms, new_alarms
from controller.alarms.table import AlarmTable
from controller.plant.model import Plant
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Reduction, ResetClass
from controller.plant.signals import Owner
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import load_site

ROWS = (
    ProtectionRow(
        "cell_voltage_high",
        Owner.RACK,
        "cell.voltage",
        Direction.HIGH,
        Reduction.HIGHEST,
        (
            Graded(Level.WARNING, 3.50, 1.0, Action.ANNUNCIATE),
            Graded(Level.ALARM, 3.55, 1.0, Action.INHIBIT_CHARGE),
            Graded(Level.TRIP, 3.65, 1.0, Action.DISCONNECT_RACK),
        ),
        reset=3.40,
        off_delay_s=0.0,
        reset_class=ResetClass.REMOTE,
    ),
    ProtectionRow(
        "data_age",
        Owner.RACK,
        "rack.voltage",
        Direction.HIGH,
        Reduction.AGE,
        (Graded(Level.WARNING, 5.0, 0.0, Action.ANNUNCIATE),),
        reset=2.0,
        off_delay_s=0.0,
        reset_class=ResetClass.AUTO,
    ),
)


@pytest.fixture(scope="session")
def plant() -> Plant:
    """Return the demo plant with two protection rows."""
    loaded = load_site(LIBRARY / "sites" / "demo").plant
    assert loaded is not None
    return replace(loaded, protection=ROWS)


@pytest.fixture(scope="session")
def table(plant: Plant) -> AlarmTable:
    return AlarmTable(plant)


@pytest.fixture
def alarms(table: AlarmTable) -> Alarms:
    return new_alarms(table)


@pytest.fixture
def conditions(table: AlarmTable) -> Conditions:
    return Conditions(table)
