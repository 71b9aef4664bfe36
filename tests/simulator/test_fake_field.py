from __future__ import annotations

import numpy as np
import pytest

from controller.image.image import Image
from controller.image.latch import Latch
from controller.image.layout import plant_layout
from controller.image.outputs import OutputImage, WriteState
from controller.image.quality import Quality
from controller.modbus.poll_groups import poll_groups
from controller.modbus.raw_blocks import RowState
from controller.plant.signals import SIGNALS, ContactorState, PcsState, SignalForm
from controller.simulator.fake_field import SECOND_NS, FakeField
from controller.simulator.faults.menu import FaultMenu

RESOLUTION = {"V": 0.1, "A": 0.5, "degC": 0.1, "ratio": 0.001, "ohm": 1000.0, "W": 100.0, "var": 100.0, "VA": 100.0}
SIGNAL_RESOLUTION = {
    "meter.voltage": 1.0,
    **dict.fromkeys(("cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min"), 0.001),
}


class Rig:
    """Field, latch and outputs, run together in fake time."""

    def __init__(self, plant):
        self.plant = plant
        groups = poll_groups(plant)
        self.field = FakeField(plant, groups)
        self.menu = FaultMenu(self.field.devices)
        self.image = Image(plant_layout(plant))
        self.latch = Latch(plant, groups, self.image)
        self.outputs = OutputImage(plant)
        self.now_ns = 0

    def run(self, seconds, period_s=1.0, **told):
        for _ in range(round(seconds / period_s)):
            self.now_ns += round(period_s * SECOND_NS)
            self.field.latest(self.now_ns)
            self.latch.take(self.now_ns)
            self.field.write(self.outputs, **told)
            self.menu.advance()

    def start(self, active_w=5e5):
        for rack in self.plant.racks:
            self.outputs["rack.connect_request"].ask(rack.index, 1)
        self.run(6)
        for pcs in self.plant.pcs:
            self.outputs["pcs.operation"].ask(pcs.index, 1)
            self.outputs["pcs.active_power_setpoint"].ask(pcs.index, active_w)
        self.run(6)

    def value(self, signal):
        return self.image[signal].value

    def quality(self, signal):
        return self.image[signal].quality


@pytest.fixture
def rig(demo):
    return Rig(demo)


def test_every_signal_arrives_as_it_was_measured(any_plant):
    rig = Rig(any_plant)
    rig.start()
    rig.run(31)
    rig.now_ns += 30 * SECOND_NS
    rig.field.latest(rig.now_ns)
    rig.latch.take(rig.now_ns)
    readings = rig.field.devices.readings
    for signal in (s for s in SIGNALS.values() if not s.command):
        served = rig.quality(signal.name) != Quality.ABSENT
        found, sent = rig.value(signal.name)[served], np.broadcast_to(readings(signal.name), served.shape)[served]
        assert (rig.quality(signal.name)[served] == Quality.GOOD).all(), signal.name
        if signal.form is SignalForm.QUANTITY:
            step = SIGNAL_RESOLUTION.get(signal.name, RESOLUTION.get(signal.unit, 1.0))
            np.testing.assert_allclose(found, sent, atol=1.01 * step, err_msg=signal.name)
        else:
            np.testing.assert_array_equal(found, sent, err_msg=signal.name)


def test_requests_go_out_through_the_registers_and_act(any_plant):
    rig = Rig(any_plant)
    rig.start(active_w=-4e5)
    assert (rig.value("rack.contactor") == ContactorState.CLOSED).all()
    assert (rig.value("pcs.state") == PcsState.RUNNING).all()
    np.testing.assert_allclose(rig.value("pcs.active_power"), -4e5)
    assert (rig.outputs["pcs.active_power_setpoint"].state == WriteState.CONFIRMED).all()


def test_polls_follow_their_periods(rig):
    rig.run(10)
    arrivals = {(g.device_type.name, g.block): int(g.arrivals[0]) for g in rig.field.raw}
    assert arrivals["generic-bank-bms", "fast"] == 10
    assert arrivals["generic-bank-bms", "slow"] == 3
    assert arrivals["generic-bank-bms", "rare"] == 1
    before = rig.field.raw[0].arrivals.copy()
    rig.run(0.8, period_s=0.1)
    assert (rig.field.raw[0].arrivals == before).all()
    rig.run(0.2, period_s=0.1)
    assert (rig.field.raw[0].arrivals == before + 1).all()


def test_each_device_keeps_its_own_period(rig):
    meters = next(g for g in rig.field.raw if g.device_type.name == "generic-meter" and g.block == "fast")
    rig.run(2, period_s=0.1)
    assert meters.arrivals.tolist() == [11, 3]  # from 0 s on: GRID each 200 ms, AUX each second


def test_a_value_that_no_register_takes_fails(rig):
    rig.outputs["pcs.active_power_setpoint"].ask(0, 1e12)
    rig.outputs["rack.connect_request"].ask(0, 7.0)
    rig.run(1)
    assert rig.outputs["pcs.active_power_setpoint"].state[0] == WriteState.FAILED
    assert rig.outputs["rack.connect_request"].state[0] == WriteState.FAILED


def test_what_no_device_serves_is_said(rig):
    rig.run(1)
    assert rig.outputs["bank.connect_request"].state[0] == WriteState.NONE
    rig.outputs["bank.connect_request"].ask(0, 1)
    rig.run(1)
    assert rig.outputs["bank.connect_request"].state[0] == WriteState.CONFIRMED


def test_a_withheld_heartbeat_lets_the_converters_watchdog_act(rig):
    rig.start()
    rig.run(10, withheld=(True, False))
    assert rig.value("pcs.active_power").tolist() == [0.0, 5e5]


@pytest.mark.parametrize("fault", ["silent", "wrong_tid", "zero_tid", "wrong_unit", "wrong_function", "truncate"])
@pytest.mark.parametrize("target", ["B02-R03", "BANK01", "PCS01", "GRID"])
def test_a_broken_link_brings_nothing_and_the_rest_goes_on(rig, fault, target):
    rig.run(5)
    before = [g.arrivals.copy() for g in rig.field.raw]
    assert rig.menu.execute(f"{fault} {target}") == "ok"
    rig.run(10)
    silent = next(d.index for d in rig.plant.devices if d.name == target)
    for group, arrived in zip(rig.field.raw, before, strict=True):
        for row, device in enumerate(group.devices):
            came = int(group.arrivals[row] - arrived[row])
            assert came == 0 if device == silent else came > 0 or group.block == "rare"
    rig.menu.execute("clear")
    rig.run(2)
    assert all((g.arrivals > b).any() for g, b in zip(rig.field.raw, before, strict=True) if g.block == "fast")


def test_a_device_that_answers_no_fails(rig):
    rig.run(3)
    rig.menu.execute("exception B02-R03 4")
    rig.run(2)
    index = next(d.index for d in rig.plant.devices if d.name == "B02-R03")
    for group in rig.field.raw:
        for row, device in enumerate(group.devices):
            if group.device_type.name == "generic-rack-bms" and group.block == "fast":
                assert (group.state[row] == RowState.FAILED) == (device == index)


def test_late_within_the_time_out_is_no_loss(rig):
    rig.menu.execute("late B02-R03 100ms")
    rig.run(3)
    assert rig.quality("rack.current")[14] == Quality.GOOD
    rig.menu.execute("late B02-R03 1.5s")
    before = [g.arrivals.copy() for g in rig.field.raw]
    rig.run(3)
    group = next(k for k, g in enumerate(rig.field.raw) if g.device_type.name == "generic-rack-bms")
    assert (rig.field.raw[group].arrivals - before[group]).tolist() == [3, 3, 0, *[3] * 9]


def test_a_rack_lost_behind_its_bank_loses_only_its_own_values(rig):
    rig.start()
    rig.menu.execute("silent B01-R03")
    rig.run(6)
    lost = np.arange(24) == 2
    for signal in ("rack.current", "rack.voltage", "rack.contactor", "rack.tripped", "rack.soc"):
        assert (rig.quality(signal) == np.where(lost, Quality.DEVICE_FAILURE, Quality.GOOD)).all()
    assert (rig.quality("cell.voltage")[2] == Quality.DEVICE_FAILURE).all()
    assert (rig.quality("cell.voltage")[3] == Quality.GOOD).all()
    assert rig.value("rack.alarms")[2] == 1  # the bank says that it has lost it
    standing = rig.value("rack.heartbeat")[2]
    rig.outputs["rack.connect_request"].ask(2, 2)
    rig.run(3)
    assert rig.value("rack.heartbeat")[2] == standing
    assert rig.outputs["rack.connect_request"].state[2] == WriteState.FAILED
    rig.menu.execute("clear B01-R03")
    rig.run(6)
    assert (rig.quality("rack.current") == Quality.GOOD).all()
    assert rig.value("rack.heartbeat")[2] > standing
    assert (rig.quality("cell.voltage")[2] == Quality.GOOD).all()


@pytest.mark.parametrize("fault", ["silent", "garbage"])
def test_a_device_that_hears_nothing_hears_no_heartbeat(demo_plant, fault):
    """Its own watchdog must act; those of the others must not."""
    rig = Rig(demo_plant)
    rig.start()
    assert rig.menu.execute(f"{fault} PCS01") == "ok"
    assert rig.menu.execute(f"{fault} B02-R03") == "ok"
    rig.run(8)
    deaf, hearing = rig.field.devices.virtual.converters
    silence_s = rig.field.devices.virtual.bms.state.silence_s

    assert deaf.active_power_w == 0.0
    assert hearing.active_power_w == pytest.approx(5e5, rel=0.05)
    assert (silence_s > 5.0).tolist() == [r.name == "B02-R03" for r in demo_plant.racks]
