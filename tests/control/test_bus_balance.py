"""A current that is measured the wrong way round is found under load, and only then."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from controller.control.bus_balance import BusBalance
from controller.control.commands import Action
from controller.control.relations import relations_of
from controller.image.plant_arrays import plant_arrays
from controller.plant.model import Plant
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.simulator.faults.menu import FaultMenu

MW = 1e6


@pytest.fixture
def plant_at_work(demo_plant: Plant) -> LocalPlant:
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(25):
        local.advance(1.0)
    return local


def _found(local: LocalPlant, power_w: float, duration_s: int) -> set[str]:
    """Return the racks that are found at the end of so much time at a power."""
    for _ in range(duration_s):
        local.command(Action.SET_ACTIVE_POWER, value=power_w)
        local.advance(1.0)
    wrong = local.state.control.racks.balance.wrong
    return {rack.name for rack, is_wrong in zip(local.plant.racks, wrong, strict=True) if is_wrong}


@pytest.mark.parametrize("power_w", [1 * MW, -1 * MW], ids=["discharging", "charging"])
@pytest.mark.parametrize("names", [{"B02-R05"}, {f"B01-R{n:02d}" for n in range(1, 13)}], ids=["a rack", "a bus"])
def test_turned_currents_are_found_under_load(plant_at_work: LocalPlant, power_w: float, names: set[str]) -> None:
    menu = FaultMenu(plant_at_work.fake.devices)
    assert _found(plant_at_work, power_w, 20) == set()
    for name in names:
        assert menu.execute(f"sign {name} Current") == "ok"

    assert _found(plant_at_work, power_w, 20) == names


def test_it_is_over_under_load_and_not_at_rest(plant_at_work: LocalPlant) -> None:
    menu = FaultMenu(plant_at_work.fake.devices)
    menu.execute("sign B02-R05 Current")
    assert _found(plant_at_work, MW, 20) == {"B02-R05"}
    assert _found(plant_at_work, 0.0, 20) == {"B02-R05"}
    menu.execute("clear")

    assert _found(plant_at_work, 0.0, 20) == {"B02-R05"}
    assert _found(plant_at_work, MW, 10) == set()


def test_a_converter_that_measures_too_much_is_no_rack_s_fault(plant_at_work: LocalPlant) -> None:
    assert FaultMenu(plant_at_work.fake.devices).execute("scale PCS02 ActivePower 1.5") == "ok"

    assert _found(plant_at_work, MW, 30) == set()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("reads_w", "racks_w", "named"), [(-20e3, 20e3, "PCS01"), (20e3, -20e3, "racks"), (20e3, 20e3, "")]
)
def test_who_runs_against_the_command_is_named(
    demo_plant: Plant, sign: float, reads_w: float, racks_w: float, named: str
) -> None:
    """At 20 kW, below what is judged as power beyond its command, a converter's racks were named in its place."""
    arrays = plant_arrays(demo_plant)
    balance = BusBalance(relations_of(demo_plant, arrays), arrays)
    of_first = arrays.rack_bus == 0
    measured = SimpleNamespace(
        rack_voltage_v=np.full(len(of_first), 800.0),
        rack_current_a=np.where(of_first, sign * racks_w / 800.0 / of_first.sum(), 0.0),
        pcs_active_power_w=np.array([sign * reads_w, 0.0]),
    )
    connections = SimpleNamespace(on_bus=np.ones(len(of_first), np.bool_))
    for second in range(1, 12):
        balance.look(measured, connections, np.array([sign * 20e3, 0.0]), second * 10**9)  # type: ignore[arg-type]
    assert balance.turned.tolist() == [named == "PCS01", False]
    assert balance.wrong.tolist() == (of_first & (named == "racks")).tolist()


def test_a_current_that_hardly_flows_explains_no_gap(plant_at_work: LocalPlant) -> None:
    """It runs against the bus's power, as one that froze at rest does, but turning it round would close nothing."""
    menu = FaultMenu(plant_at_work.fake.devices)
    for fault in ("sign B02-R05 Current", "scale B02-R05 Current 0.02"):
        assert menu.execute(fault) == "ok"

    assert _found(plant_at_work, 1.5 * MW, 30) == set()
