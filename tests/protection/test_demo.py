"""The preset as it ships, on the demo plant."""

from __future__ import annotations

import numpy as np
import pytest

from controller.image.quality import Quality
from controller.plant.signals import ContactorState, Owner


@pytest.fixture
def demo_bench(make_bench, demo):
    """Return a bench with every row of the preset."""
    return make_bench(*(row for row in demo.protection if row.owner is not Owner.INTERLOCK))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_healthy_plant_raises_nothing(demo_bench, share):
    battery = demo_bench.plant.racks[0].battery
    rated_a = battery.discharge_current_max_a if share > 0 else battery.charge_current_max_a
    demo_bench.set("rack.current", share * rated_a)
    for beat in range(120):
        demo_bench.set("bank.heartbeat", beat)
        demo_bench.step()
    result = demo_bench.scan()
    raised = [demo_bench.table.locate(int(e))[0].row.name for e in np.flatnonzero(result.level)]
    assert raised == []
    assert not result.bus_no_increase.any()
    assert not result.rack_connect_missing.any()
    assert not result.pcs_start_missing.any()


def test_every_row_protects_something(demo_bench):
    assert all(demo_bench.table.armed[r.place].any() for r in demo_bench.table.rows)


def test_nothing_may_start_before_the_first_samples(demo_bench):
    for name in demo_bench.periods:
        demo_bench.spoil(name, ..., Quality.NEVER_READ)
    result = demo_bench.scan()
    assert not result.plant_stop, "what has not been read yet is no trip"
    assert result.bus_no_increase.all()
    assert result.rack_connect_missing.all()
    assert result.pcs_start_missing.all()
    assert not result.latched.any()
    assert not result.rack_disconnect.any()


def test_a_welded_contactor_stops_its_converter(demo_bench):
    """Reported open, and 50 A flow: the upstream converter is stopped, the rack is not asked again to open."""
    demo_bench.set("rack.contactor", ContactorState.OPEN, 13)
    demo_bench.set("rack.current", 50.0, 13)
    demo_bench.steps(5)
    result = demo_bench.step()
    assert result.pcs_stop.tolist() == [False, True]
    assert not result.rack_disconnect.any()
    assert result.rack_connect_missing[13]


def test_losing_everything_disconnects_nothing(demo_bench):
    demo_bench.steps(5)
    for index in range(24):
        demo_bench.silence(Owner.RACK, index)
    for index in range(2):
        demo_bench.silence(Owner.PCS, index)
    result = demo_bench.steps(120)
    assert result.bus_zero.all()
    assert not result.rack_disconnect.any()
    assert not np.any(result.rack_trip)
