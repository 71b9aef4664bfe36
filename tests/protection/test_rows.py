"""Every way a row can look at a measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.plant.protection_rows import Action, Direction, Level, Qualifier, Reduction, ResetClass
from controller.plant.signals import ContactorState, Owner, PcsState
from controller.protection.protect import protect
from controller.protection.row_checks import ProtectionError
from controller.protection.state import ProtectionState
from controller.protection.table import compile_table

RACK = 2
TRIP, ALARM, WARNING = Level.TRIP, Level.ALARM, Level.WARNING
STOP, ZERO, WARN = Action.DISCONNECT_RACK, Action.ZERO_BUS, Action.ANNUNCIATE


def level(bench, name, equipment=RACK, owner=Owner.RACK):
    return bench.step().level[bench.element(name, equipment, owner)]


@pytest.mark.parametrize(
    ("reduction", "direction", "limit", "cells", "cell"),
    [
        (Reduction.HIGHEST, Direction.HIGH, 3.6, {5: 3.61, 9: 3.2}, 5),
        (Reduction.LOWEST, Direction.LOW, 2.9, {5: 3.4, 9: 2.89}, 9),
        (Reduction.SPREAD, Direction.HIGH, 0.3, {5: 3.35, 9: 3.0}, 9),
        (Reduction.SPREAD, Direction.HIGH, 0.3, {5: 3.6, 9: 3.25}, 5),
    ],
)
def test_many_cells_become_the_one_that_matters(make_bench, make_row, reduction, direction, limit, cells, cell):
    reset = 3.3 if reduction is not Reduction.SPREAD else 0.1
    bench = make_bench(
        make_row("x", "cell.voltage", (TRIP, limit, 0.0, STOP), reduction=reduction, direction=direction, reset=reset)
    )
    for index, value in cells.items():
        bench.set("cell.voltage", value, RACK, cell=index)
    assert level(bench, "x") == TRIP
    element = bench.element("x", RACK)
    assert bench.state.trips.cell[element] == cell
    sign = 1 if direction is Direction.HIGH else -1
    assert sign * bench.state.trips.value[element] >= sign * limit - 1e-6


def test_a_limit_is_met_exactly_at_its_value(make_bench, make_row):
    """3.55 V in 32 bits is a hair below 3.55, and is 3.55 V all the same."""
    bench = make_bench(make_row("x", "cell.voltage", (WARNING, 3.55, 0.0, WARN), reset=3.40))
    bench.set("cell.voltage", 3.549, RACK, cell=0)
    assert level(bench, "x") == Level.NONE
    bench.set("cell.voltage", 3.55, RACK, cell=0)
    assert level(bench, "x") == WARNING
    bench.set("cell.voltage", 3.40, RACK, cell=0)
    assert level(bench, "x") == Level.NONE


def test_each_signal_of_a_rack_is_looked_at_when_it_arrives(make_bench, make_row):
    bench = make_bench(
        make_row("v", "cell.voltage", (TRIP, 3.6, 0.0, STOP), reset=3.4),
        make_row("t", "cell.temperature", (TRIP, 55.0, 0.0, STOP), reset=40.0),
    )
    bench.step()
    bench.now_ns += 1
    bench.set("cell.temperature", 60.0, RACK, cell=7)
    result = bench.scan()
    assert np.flatnonzero(result.level).tolist() == [bench.element("t", RACK)]
    assert result.trips.cell[bench.element("t", RACK)] == 7


def test_the_worst_of_several_signals_counts(make_bench, make_row):
    also = (("rack.cell_voltage_max", Reduction.NONE), ("rack.voltage", Reduction.NONE))
    bench = make_bench(
        make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), also=also[:1], reset=3.4),
        make_row("y", "cell.voltage", (TRIP, 900.0, 0.0, STOP), also=also, reset=800.0),
    )
    assert level(bench, "x") == Level.NONE
    bench.set("rack.cell_voltage_max", 3.7, RACK)
    assert level(bench, "x") == TRIP
    element = bench.element("x", RACK)
    assert (bench.state.trips.value[element], bench.state.trips.cell[element]) == (3.7, -1)
    bench.set("rack.voltage", 901.0, RACK)
    assert level(bench, "y") == TRIP
    assert bench.state.trips.value[bench.element("y", RACK)] == 901.0


def test_one_usable_signal_is_enough(make_bench, make_row):
    also = (("rack.cell_voltage_max", Reduction.NONE),)
    bench = make_bench(make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), also=also, reset=3.4))
    bench.set("rack.cell_voltage_max", 3.7, RACK)
    bench.spoil("cell.voltage", RACK)
    result = bench.step()
    assert result.rack_disconnect[RACK]
    assert not result.bus_no_increase.any()


@pytest.mark.parametrize(
    ("reduction", "current", "tripped"),
    [
        (Reduction.CHARGE, -120.0, True),
        (Reduction.CHARGE, 120.0, False),
        (Reduction.DISCHARGE, 120.0, True),
        (Reduction.DISCHARGE, -120.0, False),
        (Reduction.MAGNITUDE, -120.0, True),
        (Reduction.MAGNITUDE, 120.0, True),
        (Reduction.MAGNITUDE, 80.0, False),
    ],
)
def test_currents_are_looked_at_by_direction(make_bench, make_row, reduction, current, tripped):
    bench = make_bench(make_row("x", "rack.current", (TRIP, 100.0, 0.0, ZERO), reduction=reduction, reset=90.0))
    bench.set("rack.current", current, RACK)
    assert bench.step().bus_zero.tolist() == [tripped, False]


def test_age_counts_from_the_last_sample_and_needs_no_quality(make_bench, make_row):
    rows = (
        make_row("age", "rack.voltage", (WARNING, 5.0, 0.0, WARN), reduction=Reduction.AGE, reset=2.0),
        make_row("cells", "cell.voltage", (WARNING, 5.0, 0.0, WARN), reduction=Reduction.AGE, reset=2.0),
    )
    bench = make_bench(*rows)
    bench.step()
    bench.silence(Owner.RACK, RACK)
    bench.steps(4)
    assert level(bench, "age") == WARNING
    assert bench.state.level[bench.element("cells", RACK)] == WARNING
    bench.frozen.clear()
    assert level(bench, "age") == Level.NONE


def test_age_before_the_first_sample_counts_from_the_start(make_bench, make_row):
    bench = make_bench(make_row("x", "rack.voltage", (ALARM, 5.0, 0.0, WARN), reduction=Reduction.AGE, reset=2.0))
    bench.silence(Owner.RACK, RACK)
    bench.image["rack.voltage"].time_ns[RACK] = 0
    bench.image["rack.voltage"].quality[RACK] = Quality.NEVER_READ
    bench.steps(5)
    assert bench.state.level[bench.element("x", RACK)] == Level.NONE
    assert level(bench, "x") == ALARM


def test_a_counter_that_stands_still_is_old_however_fresh_its_samples(make_bench, make_row):
    bench = make_bench(
        make_row("x", "bank.heartbeat", (WARNING, 5.0, 0.0, WARN), owner=Owner.BANK, reduction=Reduction.AGE, reset=2.0)
    )
    for beat in range(10):
        bench.set("bank.heartbeat", beat)
        assert level(bench, "x", 0, Owner.BANK) == Level.NONE
    bench.steps(4)
    assert level(bench, "x", 0, Owner.BANK) == WARNING
    bench.set("bank.heartbeat", 0)
    assert level(bench, "x", 0, Owner.BANK) == Level.NONE


@pytest.mark.parametrize("signal", ["rack.cell_temperature_max", "cell.temperature"])
def test_a_rate_needs_its_window(make_bench, make_row, signal):
    row = make_row("x", signal, (TRIP, 3.0, 0.0, STOP), reduction=Reduction.RATE, reset=0.5, window_s=60.0)
    bench = make_bench(row)
    result = None
    for second in range(29):
        bench.set(signal, 25.0 + second, RACK)
        result = bench.step()
        assert not result.bus_no_increase.any(), "no rate yet is no lost measurement"
    assert result is not None
    assert not result.level.any()
    bench.set(signal, 54.0, RACK)
    bench.step()
    bench.set(signal, 55.0, RACK)
    assert bench.step().rack_disconnect[RACK]
    assert bench.state.trips.value[bench.element("x", RACK)] == pytest.approx(60.0, rel=0.1)
    assert np.flatnonzero(bench.state.latched).tolist() == [bench.element("x", RACK)]


def test_a_rate_across_a_gap_is_no_rate(make_bench, make_row):
    row = make_row("x", "rack.voltage", (TRIP, 3.0, 0.0, STOP), reduction=Reduction.RATE, reset=0.5, window_s=10.0)
    bench = make_bench(row)
    bench.steps(20)
    bench.scan()
    bench.spoil("rack.voltage", RACK)
    bench.steps(60)
    bench.set("rack.voltage", 1000.0, RACK)
    assert level(bench, "x") == Level.NONE, "what it was before the gap says nothing of now"


def test_a_falling_rate_is_found_where_low_is_dangerous(make_bench, make_row):
    row = make_row(
        "x",
        "rack.voltage",
        (WARNING, -60.0, 0.0, WARN),
        reduction=Reduction.RATE,
        direction=Direction.LOW,
        reset=-1.0,
        window_s=10.0,
    )
    bench = make_bench(row)
    for second in range(12):
        bench.set("rack.voltage", 780.0 - 2 * second, RACK)
        bench.step()
    assert bench.state.level[bench.element("x", RACK)] == WARNING


@pytest.mark.parametrize(
    ("command", "power", "beyond"),
    [
        (500e3, 500e3, 0.0),
        (500e3, 300e3, 0.0),  # less than commanded: it limits itself
        (500e3, 620e3, 120e3),
        (500e3, -120e3, 120e3),
        (-500e3, -620e3, 120e3),
        (-500e3, 120e3, 120e3),
        (0.0, 120e3, 120e3),
        (0.0, -120e3, 120e3),
    ],
)
def test_power_beyond_the_command_on_any_side(make_bench, make_row, command, power, beyond):
    row = make_row(
        "x",
        "pcs.active_power",
        (TRIP, 100e3, 0.0, Action.STOP_PCS),
        owner=Owner.PCS,
        reduction=Reduction.BEYOND_COMMAND,
        reset=20e3,
    )
    bench = make_bench(row)
    bench.set("pcs.active_power_command", command, 1)
    bench.set("pcs.active_power", power, 1)
    result = bench.step()
    assert result.pcs_stop.tolist() == [False, beyond > 0]
    seen = bench.state.worst[bench.element("x", 1, Owner.PCS)]
    assert seen == pytest.approx(beyond) or (beyond == 0.0 and seen <= 0.0)
    bench = make_bench(row)
    bench.set("pcs.active_power", power)
    bench.spoil("pcs.active_power_command", ..., Quality.NEVER_READ)
    result = bench.step()
    assert not result.pcs_stop.any(), "without a command there is nothing to be beyond"
    assert not result.bus_no_increase.any()


def test_bits_and_codes_are_numbers(make_bench, make_row):
    bench = make_bench(make_row("x", "rack.alarms", (WARNING, 1.0, 0.0, WARN), reset=0.0))
    bench.set("rack.alarms", 0)
    assert level(bench, "x") == Level.NONE
    bench.set("rack.alarms", 1 << 22, RACK)
    assert level(bench, "x") == WARNING


@pytest.mark.parametrize(
    ("qualifier", "contactor", "current", "looked_at"),
    [
        (Qualifier.CONNECTED, ContactorState.CLOSED, 0.0, True),
        (Qualifier.CONNECTED, ContactorState.OPEN, 0.0, False),
        (Qualifier.CONNECTED, ContactorState.UNKNOWN, 0.0, False),
        (Qualifier.DISCONNECTED, ContactorState.OPEN, 0.0, True),
        (Qualifier.DISCONNECTED, ContactorState.CLOSED, 0.0, False),
        (Qualifier.CHARGING, ContactorState.CLOSED, -20.0, True),
        (Qualifier.CHARGING, ContactorState.CLOSED, 20.0, False),
        (Qualifier.CHARGING, ContactorState.CLOSED, -5.0, False),
        (Qualifier.DISCHARGING, ContactorState.CLOSED, 20.0, True),
        (Qualifier.DISCHARGING, ContactorState.CLOSED, -20.0, False),
        (Qualifier.AT_REST, ContactorState.CLOSED, -5.0, True),
        (Qualifier.AT_REST, ContactorState.CLOSED, 20.0, False),
    ],
)
def test_a_row_is_looked_at_in_its_state(make_bench, make_row, qualifier, contactor, current, looked_at):
    bench = make_bench(
        make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), qualifier=qualifier, qualifier_current_a=10.0, reset=3.4)
    )
    bench.set("cell.voltage", 3.7, RACK, cell=0)
    bench.set("rack.contactor", contactor)
    bench.set("rack.current", current)
    assert (level(bench, "x") == TRIP) == looked_at


def test_an_unknown_state_freezes_the_timer(make_bench, make_row):
    row = make_row("x", "cell.voltage", (TRIP, 3.6, 2.0, STOP), qualifier=Qualifier.CONNECTED, reset=3.4)
    bench = make_bench(row)
    bench.set("cell.voltage", 3.7, RACK, cell=0)
    bench.steps(2)
    bench.spoil("rack.contactor", RACK)
    assert not bench.steps(5).latched.any()
    bench.set("rack.contactor", ContactorState.CLOSED, RACK)
    bench.step()
    assert bench.step().latched.any()


def test_an_inhibit_outlives_the_state_that_it_ends(make_bench, make_row):
    """Charging stops because of the inhibit; that must not lift the inhibit."""
    row = make_row(
        "x", "cell.temperature", (ALARM, 40.0, 0.0, Action.INHIBIT_CHARGE), qualifier=Qualifier.CHARGING, reset=35.0
    )
    bench = make_bench(row)
    bench.set("cell.temperature", 41.0, RACK)
    bench.set("rack.current", -50.0, RACK)
    assert bench.step().inhibit_charge[RACK]
    bench.set("rack.current", 0.0, RACK)
    assert bench.steps(5).inhibit_charge[RACK]
    bench.set("cell.temperature", 34.0, RACK)
    assert not bench.step().inhibit_charge[RACK]


@pytest.mark.parametrize(
    ("owner", "signal", "state_signal", "state"),
    [
        (Owner.PCS, "pcs.temperature", "pcs.state", PcsState.STANDBY),
        (Owner.METER, "meter.active_power", "meter.breaker", 1),
        (Owner.BANK, "bank.state", "bank.state", ContactorState.OPEN),
    ],
)
def test_every_owner_has_its_own_connection(make_bench, make_row, owner, signal, state_signal, state):
    row = make_row("x", signal, (WARNING, -1e9, 0.0, WARN), owner=owner, qualifier=Qualifier.CONNECTED, reset=-2e9)
    bench = make_bench(row)
    assert level(bench, "x", 0, owner) == WARNING
    bench = make_bench(row)
    bench.set(state_signal, state)
    assert level(bench, "x", 0, owner) == Level.NONE


def test_what_no_device_serves_is_not_protected_and_not_missed(make_bench, make_row, demo):
    devices = tuple(d for d in demo.devices if not any(b.owner is Owner.RACK and b.equipment == 14 for b in d.bindings))
    bench = make_bench(make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), reset=3.4), devices=devices)
    bench.set("cell.voltage", 3.7, 14)
    result = bench.step()
    assert not result.level.any()
    assert not result.bus_no_increase.any()
    assert not bench.table.armed[bench.element("x", 14)]


def test_a_rack_without_sensors_is_no_error(make_bench, make_row, demo):
    racks = tuple(replace(r, battery=replace(r.battery, temperatures=0)) for r in demo.racks)
    bench = make_bench(make_row("x", "cell.temperature", (TRIP, 55.0, 0.0, STOP), reset=40.0), racks=racks)
    assert not bench.step().level.any()


def test_a_plant_without_rows_is_free(demo):
    devices = tuple(d for d in demo.devices if d.bindings[0].owner is not Owner.INTERLOCK)
    plant = replace(demo, protection=(), interlocks=(), devices=devices)
    table = compile_table(plant)
    result = protect(table, ProtectionState(table), Image(plant_layout(plant)), 0, 1.0)
    assert result.level.size == 0
    assert not result.pcs_start_missing.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": "cell.voltage", "reduction": Reduction.MAGNITUDE}, "'magnitude' can't be taken of cell.voltage"),
        ({"signal": "rack.voltage", "reduction": Reduction.SPREAD}, "'spread' can't be taken of rack.voltage"),
        ({"signal": "rack.alarms", "reduction": Reduction.MAGNITUDE}, "'magnitude' needs a quantity"),
        ({"signal": "rack.voltage", "reduction": Reduction.BEYOND_COMMAND}, "needs pcs.active_power, not rack.voltage"),
        ({"signal": "pcs.temperature"}, "pcs.temperature does not belong to a rack"),
        ({"signal": "rack.voltage", "reduction": Reduction.AGE}, "lost data alone never opens a contactor"),
        (
            {"signal": "interlock.healthy", "owner": Owner.INTERLOCK, "qualifier": Qualifier.CONNECTED},
            "an interlock has no state 'connected'",
        ),
        ({"signal": "bank.state", "owner": Owner.BANK, "qualifier": Qualifier.CHARGING}, "measures no current"),
    ],
)
def test_a_row_that_cannot_work_is_refused_by_name(demo, make_row, changes, message):
    row = make_row("x", changes.pop("signal"), (TRIP, 1.0, 0.0, STOP), **changes, file="protections.yaml", line=7)
    with pytest.raises(ProtectionError, match=f"protections.yaml:7: x: .*{message}"):
        compile_table(replace(demo, protection=(row,)))


def test_interlocks_without_a_row_are_refused(demo, make_row):
    row = make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP))
    with pytest.raises(ProtectionError, match=r"interlock\.healthy"):
        compile_table(replace(demo, protection=(row,)))


def test_a_trip_of_class_auto_does_not_latch(make_bench, make_row):
    row = make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), reset=3.4, reset_class=ResetClass.AUTO)
    bench = make_bench(row)
    bench.set("cell.voltage", 3.7, RACK, cell=0)
    result = bench.step()
    assert result.rack_disconnect[RACK]
    assert not result.latched.any()
    bench.set("cell.voltage", 3.3, RACK, cell=0)
    assert not bench.step().rack_disconnect.any()


def test_names_that_are_not_there(bench):
    with pytest.raises(KeyError):
        bench.table.element(Owner.RACK, "no_such_row", 0)


def test_a_row_is_about_the_batteries_that_it_names_and_no_others(make_bench, make_row, demo):
    other = replace(demo.racks[0].battery, name="other")
    racks = tuple(replace(r, battery=other) if r.block == 1 else r for r in demo.racks)
    rows = [
        make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), only=(demo.racks[0].battery.name,)),
        make_row("y", "cell.voltage", (TRIP, 3.7, 0.0, STOP), only=("other",)),
    ]
    bench = make_bench(*rows, racks=racks)
    bench.set("cell.voltage", 3.65)
    tripped = bench.step().rack_trip
    assert tripped.tolist() == [r.block == 0 for r in racks]
    bench.set("cell.voltage", 3.75)
    assert bench.step().rack_trip.all()


def test_what_a_row_is_not_about_is_not_missed(make_bench, make_row, demo):
    """Lost cells of racks whose battery no row names are nobody's blindness."""
    bench = make_bench(make_row("x", "cell.voltage", (TRIP, 3.6, 0.0, STOP), only=("other",)))
    bench.spoil("cell.voltage")
    assert not bench.step().silence.racks.blind.any()


def _chains(make_row):
    halves = {
        "tripped": (("estop",), Action.STOP_PLANT),
        "fire": (("fire",), Action.STOP_BLOCK),
    }
    return [
        make_row(
            name,
            "interlock.healthy",
            (TRIP, 0.0, 0.0, action),
            owner=Owner.INTERLOCK,
            direction=Direction.LOW,
            reset=1.0,
            reset_class=ResetClass.LOCAL,
            only=only,
        )
        for name, (only, action) in halves.items()
    ]


def test_fire_in_one_block_stops_that_block_and_an_emergency_stop_the_plant(demo, make_row):
    plant = replace(demo, protection=tuple(_chains(make_row)))
    table, fire = compile_table(plant), next(i for i in plant.interlocks if i.name == "FIRE01")
    state, image = ProtectionState(table), Image(plant_layout(plant))
    healthy = image["interlock.healthy"]
    healthy.value[:], healthy.quality[:], healthy.time_ns[:] = 1, Quality.GOOD, 1
    assert not protect(table, state, image, 1, 1.0).block_stop.any()
    healthy.value[fire.index] = 0
    result = protect(table, state, image, 2, 1.0)
    assert result.block_stop.tolist() == [True, False]
    assert not result.plant_stop
    estop = next(i for i in plant.interlocks if i.name == "ESTOP")
    healthy.quality[estop.index] = Quality.NO_COMMUNICATION
    result = protect(table, state, image, 3, 1.0)
    assert not result.plant_stop
    assert result.bus_no_increase.all()
    healthy.quality[estop.index], healthy.value[estop.index] = Quality.GOOD, 0
    assert protect(table, state, image, 4, 1.0).plant_stop


def test_every_interlock_needs_a_row(demo, make_row):
    with pytest.raises(ProtectionError, match="interlocks without a protection row"):
        compile_table(replace(demo, protection=tuple(_chains(make_row)[:1])))
