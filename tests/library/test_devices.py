"""Every device file of the library: loaded, simulated, and read and written by the driver over a real socket.

What the simulated device is given must come back through the driver, value by value, in base units and our signs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controller.image.outputs import WriteState
from controller.modbus.raw_blocks import RowState
from controller.modbus.row_decoder import RowDecoder
from controller.plant.device_types import DeviceKind, DeviceType, WriteKind
from controller.plant.expansion.devices import _fit
from controller.plant.model import Binding
from controller.plant.signals import Owner, SignalForm
from controller.plant.site_files import LIBRARY
from controller.simulator.simulated_field import SimulatedField
from tests.field_io.rig import Rig, library_type, make_plant, running

NAMES = sorted(path.stem for path in (LIBRARY / "devices").glob("*.yaml"))
VENDORS = [name for name in NAMES if not re.match(r"generic-|sunspec-", name)]
OWNER = {
    DeviceKind.BANK_BMS: Owner.BANK,
    DeviceKind.RACK_BMS: Owner.RACK,
    DeviceKind.PCS: Owner.PCS,
    DeviceKind.METER: Owner.METER,
    DeviceKind.DIGITAL_IO: Owner.INTERLOCK,
}
# A value that such a quantity may have, with digits that a wrong scale, order or sign would change.
PLAUSIBLE = {
    "rack.voltage": 781.3, "rack.current": -123.4, "rack.soc": 0.437, "rack.soh": 0.981,
    "rack.charge_current_limit": 138.2, "rack.discharge_current_limit": 197.6, "rack.cell_voltage_max": 3.345,
    "rack.cell_voltage_min": 3.217, "rack.cell_temperature_max": 31.4, "rack.cell_temperature_min": 22.6,
    "rack.insulation_resistance": 1_234_000.0, "pcs.active_power": -234_567.0, "pcs.reactive_power": 45_678.0,
    "pcs.frequency": 49.87, "pcs.ac_voltage": 401.7, "pcs.dc_voltage": 812.6, "pcs.dc_current": -287.4,
    "pcs.temperature": 47.3, "pcs.discharge_power_limit": 1_150_000.0, "pcs.charge_power_limit": 1_020_000.0,
    "pcs.watchdog_timeout": 5.0, "meter.active_power": -345_678.0, "meter.reactive_power": 56_789.0,
    "meter.apparent_power": 350_312.0, "meter.power_factor": -0.987, "meter.frequency": 50.03,
    "meter.voltage": 412.4, "meter.current": 523.0, "meter.energy_out": 7_654_000.0, "meter.energy_in": 8_765_000.0,
}  # fmt: skip
COARSE = 0.012
"""A SunSpec device may choose its scale factors; what is left over is within this share of the value."""


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_map_says_where_it_was_read_and_how_sure_we_are(name):
    source = library_type(name).source

    assert source is not None
    assert re.search(r"\d", source.pages)
    assert source.checked_by == "document only, never on hardware"


def test_there_are_public_maps_of_several_vendors():
    assert len({library_type(name).maker for name in VENDORS}) >= 4


def bound(demo_plant, device_type: DeviceType):
    """Return the demo plant with one device of this type, whose readings stand still."""
    fitted = _fit(device_type, demo_plant.racks[0].battery, None)
    plant = make_plant(demo_plant, [(fitted, 0, OWNER[device_type.kind])])
    if device_type.repeat is not None:
        bindings = (*plant.devices[0].bindings, Binding(Owner(device_type.repeat.equipment), 0))
        plant = replace(plant, devices=(replace(plant.devices[0], bindings=bindings),))
    field = SimulatedField(plant)
    for point in device_type.points:
        owner = point.signal.owner
        if point.signal.command or owner in {Owner.CELL, Owner.SENSOR}:
            continue
        field.readings.flat[field.readings.place(point.signal.name, 0)] = given(point)
    field.readings._taken = dict.fromkeys(field.readings._take, field.virtual.time_s)
    return plant, field


def given(point) -> float:
    signal, codes = point.signal, [code for _, code in point.codes]
    match signal.form:
        case SignalForm.QUANTITY:
            return PLAUSIBLE[signal.name]
        case SignalForm.CODE:
            return float(codes[len(codes) // 2])
        case SignalForm.BITS:
            return float(1 << codes[-1] | 1 << codes[0]) if codes else 5.0
        case SignalForm.BOOL:
            return 1.0
        case _:
            return 4321.0


@pytest.mark.parametrize("name", NAMES)
async def test_what_the_simulator_was_given_comes_back_through_the_driver(demo_plant, name):
    device_type = library_type(name)
    plant, field = bound(demo_plant, device_type)
    rig = Rig(plant, {0: {1: field.devices[0]}})
    async with running(rig):
        await rig.until(lambda: all((group.raw.state == RowState.GOOD).all() for group in rig.groups))
        found = {
            signal: decoded
            for group in rig.groups
            for signal, decoded in RowDecoder(group.register_map, group.raw.block, group.raw.spans)
            .decode(group.raw.data)
            .items()
        }

    assert set(found) == {p.signal.name for p in device_type.points if p.poll_block}
    for point in device_type.points:
        signal = point.signal
        if signal.command or not point.poll_block:
            continue
        got = found[signal.name]
        if signal.owner in {Owner.CELL, Owner.SENSOR}:
            expected = field.readings.array(signal.name)[0]
            values = got.values[0, 0, : len(expected)].astype(float)
        else:
            expected, values = np.array([given(point)]), got.values[0, :1].astype(float)
        assert got.valid.ravel()[: len(expected)].all(), signal.name
        scaling = rig.groups[0].register_map.fields[signal.name]
        step = (
            COARSE * np.abs(expected)
            if scaling.factor_addresses is not None
            else np.abs(scaling.scaling.numerator / scaling.scaling.denominator)
        )
        tolerance = (0.51 * step if signal.form is SignalForm.QUANTITY else 0.0) + 1e-6 * np.abs(expected)
        assert (np.abs(values - expected) <= tolerance).all(), (signal.name, values, expected)


COMMANDED = [name for name in NAMES if library_type(name).point("pcs.active_power_setpoint") is not None]


@pytest.mark.parametrize("name", COMMANDED)
async def test_a_set_point_reaches_the_simulated_converter(demo_plant, name):
    plant, field = bound(demo_plant, library_type(name))
    rig = Rig(plant, {0: {1: field.devices[0]}})
    async with running(rig):
        requests = rig.outputs["pcs.active_power_setpoint"]
        requests.ask(0, -123_000.0)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED

    assert field.virtual.converters[0]._asked[0] == pytest.approx(-123_000.0, abs=500)


@pytest.mark.parametrize("name", NAMES)
def test_what_wears_a_register_is_not_written_cyclically(name):
    worn = [p for p in library_type(name).points if p.writable is WriteKind.PERSISTENT]

    assert all(p.refresh_s is None for p in worn)


@pytest.mark.parametrize("path", sorted((LIBRARY / "devices").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_device_file_begins_with_what_it_is(path: Path):
    assert path.read_text(encoding="utf-8").startswith("# ")
