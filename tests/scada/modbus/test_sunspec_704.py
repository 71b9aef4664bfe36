"""Every point of model 704, by SunSpec's own client, against a plant that answers: it works, or it is not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sunspec2.modbus.client
from sunspec2.modbus.modbus import ModbusClientException

from controller.control.limits.reasons import LimitReason
from controller.control.sequences.states import OperatingState
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.scada.modbus.face import ModbusServerFace
from tests.scada.modbus.parts import serving

WMAX_W, VAR_MAX_VAR = 2.4e6, 2.64e6
ANOTHER = {  # for every point that may be written: a number that it does not hold after `running`
    "WMaxLimPctEna": 1,
    "WMaxLimPct": 6_000,
    "WMaxLimPctRvrt": 7_000,
    "WMaxLimPctEnaRvrt": 0,
    "WMaxLimPctRvrtTms": 90,
    "WSetEna": 1,
    "WSetMod": 0,
    "WSet": 700_000,
    "WSetRvrt": 100_000,
    "WSetPct": 1_500,
    "WSetPctRvrt": 500,
    "WSetEnaRvrt": 0,
    "WSetRvrtTms": 30,
    "VarSetEna": 1,
    "VarSetMod": 3,
    "VarSet": 200_000,
    "VarSetRvrt": 50_000,
    "VarSetPct": 700,
    "VarSetPctRvrt": 300,
    "VarSetEnaRvrt": 0,
    "VarSetRvrtTms": 40,
}


@dataclass(slots=True)
class Rig:
    """A running plant in fake time, its Modbus face on a socket, and a SunSpec master at it."""

    local: LocalPlant
    device: Any

    @property
    def controls(self) -> Any:
        return self.device.models[704][0]

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.local.advance(1.0)

    def shows(self, quantity: str) -> float:
        return float(self.local.state.image[quantity].value[0])

    async def write(self, **values: float) -> None:
        """Write points one by one, in scaled units."""
        for name, value in values.items():
            point = getattr(self.controls, name)
            point.cvalue = value
            await asyncio.to_thread(point.write)

    async def read(self, *names: str) -> list[float | None]:
        await asyncio.to_thread(self.controls.read)
        return [getattr(self.controls, name).cvalue for name in names]


@contextlib.asynccontextmanager
async def rig_of(plant: Any) -> AsyncIterator[Rig]:
    assert plant.faces.modbus is not None
    local = local_plant(plant, seed=1, scan_period_s=1.0)
    for _ in range(5):
        local.advance(1.0)
    listed = point_list(plant)
    face = ModbusServerFace(replace(plant.faces.modbus, port=0), plant, listed, flat_map(listed), local, local.clock)
    _, _, port = (await face.start()).rpartition(":")
    async with serving(face.serve):
        device = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(1, "127.0.0.1", int(port), timeout=10)
        try:
            await asyncio.to_thread(device.scan)
            yield Rig(local, device)
        finally:
            device.close()


@pytest.fixture
async def rig(demo_plant):
    async with rig_of(demo_plant) as made:
        made.device.models[715][0].OpCtl.cvalue = 1
        await asyncio.to_thread(made.device.models[715][0].OpCtl.write)
        for _ in range(60):
            made.run(1)
            if made.shows("plant.operating_state") == OperatingState.RUNNING:
                break
        else:
            pytest.fail("the plant does not start")
        yield made


def _points(group: Any) -> Iterator[Any]:
    yield from group.points.values()
    for inner in group.groups.values():
        yield from _points(inner)


# ---------------------------------------------------------------------------------------------------- each point of 704


async def test_each_point_is_live_or_absent_and_refused(rig):
    """Live: what is written reads back after a scan. Absent: "not implemented", and a write is exception 2."""
    live = []
    for point in list(_points(rig.controls)):
        name, access = point.pdef["name"], point.pdef.get("access", "R")
        width, kind = int(point.len), point.pdef["type"]
        offset = rig.controls.model_addr + int(point.offset)
        before = await asyncio.to_thread(rig.device.read, offset, width)
        absent = before == _not_implemented(kind)
        if access == "RW" and not absent:
            live.append(name)
            data = ANOTHER[name].to_bytes(2 * width, signed=True)
            assert before != data, name
            await asyncio.to_thread(rig.device.write, offset, data)
            rig.run(1)
            assert await asyncio.to_thread(rig.device.read, offset, width) == data, name
        else:
            with pytest.raises(ModbusClientException, match="exception: 2"):
                await asyncio.to_thread(rig.device.write, offset, bytes(2 * width))
            assert await asyncio.to_thread(rig.device.read, offset, width) == before, name
    assert sorted(live) == sorted(ANOTHER)


def _not_implemented(kind: str) -> bytes:
    known = {"uint16": "FFFF", "enum16": "FFFF", "int16": "8000", "sunssf": "8000"}
    return bytes.fromhex({**known, "uint32": "FFFFFFFF", "int32": "80000000"}[kind])


# ------------------------------------------------------------------------------------------------------- WMaxLimPct


async def test_the_limit_holds_power_down_then_falls_back_then_is_lifted(rig):
    await rig.write(WSetMod=1, WSet=2e6, WSetRvrtTms=600, WSetEna=1)
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(2e6, rel=0.03)

    await rig.write(WMaxLimPct=25, WMaxLimPctRvrt=50, WMaxLimPctEnaRvrt=1, WMaxLimPctRvrtTms=20, WMaxLimPctEna=1)
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(0.25 * WMAX_W, rel=0.03)
    assert rig.shows("plant.limit_reason") == LimitReason.EXPORT_LIMIT
    assert await rig.read("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrtRem") == [1, 25.0, 15]

    rig.run(16)
    assert await rig.read("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrtRem") == [1, 50.0, 0]
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(0.5 * WMAX_W, rel=0.03)

    await rig.write(WMaxLimPctEna=0)
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(2e6, rel=0.03)
    assert await rig.read("WMaxLimPctEna", "WMaxLimPctRvrtRem") == [0, 0]


async def test_a_limit_that_falls_back_to_none_ends_with_its_time(rig):
    await rig.write(WMaxLimPct=10, WMaxLimPctEnaRvrt=0, WMaxLimPctRvrtTms=5, WMaxLimPctEna=1)
    rig.run(2)
    assert rig.shows("plant.export_limit") == pytest.approx(0.1 * WMAX_W)
    rig.run(5)
    assert rig.shows("plant.export_limit") == rig.local.plant.poi.export_limit_w
    assert await rig.read("WMaxLimPctEna") == [0]


async def test_a_limit_of_the_whole_nameplate_reads_enabled(rig):
    await rig.write(WMaxLimPct=100, WMaxLimPctEna=1)
    rig.run(2)
    assert await rig.read("WMaxLimPctEna", "WMaxLimPct") == [1, 100.0]


async def test_a_limit_and_what_it_falls_back_to_survive_a_restart_of_control(rig):
    await rig.write(WMaxLimPct=25, WMaxLimPctRvrt=50, WMaxLimPctRvrtTms=60, WMaxLimPctEna=1)
    rig.run(1)
    rig.local.restart()
    rig.run(1)
    assert rig.shows("plant.export_limit") == pytest.approx(0.25 * WMAX_W)
    rig.run(60)
    assert rig.shows("plant.export_limit") == pytest.approx(0.5 * WMAX_W)


# ------------------------------------------------------------------------------------------------------- set-points


async def test_a_set_point_counts_down_and_its_reversion_takes_its_place(rig):
    await rig.write(WSetMod=1, WSet=1.2e6, WSetRvrt=-0.3e6, WSetEnaRvrt=1, WSetRvrtTms=20, WSetEna=1)
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(1.2e6, rel=0.03)
    assert await rig.read("WSetEna", "WSet", "WSetRvrtRem") == [1, 1.2e6, 15]
    rig.run(20)
    assert await rig.read("WSetEna", "WSet", "WSetRvrtRem") == [1, -0.3e6, 0]
    assert rig.shows("plant.active_power") == pytest.approx(-0.3e6, rel=0.03)
    await rig.write(WSetRvrtTms=30)  # what is over does not come back by writing something else
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(-0.3e6, rel=0.03)


async def test_a_set_point_without_a_reversion_is_disabled_when_its_time_is_over(rig):
    await rig.write(WSetMod=1, WSet=1.2e6, WSetRvrt=0.5e6, WSetEnaRvrt=0, WSetRvrtTms=5, WSetEna=1)
    rig.run(10)
    assert await rig.read("WSetEna", "WSet", "WSetRvrtRem") == [0, 1.2e6, 0]
    assert rig.shows("plant.active_power") == pytest.approx(0.0, abs=0.01 * WMAX_W)
    await rig.write(WSet=1.3e6)
    rig.run(5)
    assert rig.shows("plant.active_power_setpoint") == 1.2e6  # only kept until it is enabled again
    assert rig.shows("plant.active_power") == pytest.approx(0.0, abs=0.01 * WMAX_W)


async def test_a_disabled_set_point_reads_disabled_at_once_and_lets_another_in(rig):
    await rig.write(WSetMod=1, WSet=1.2e6, WSetEna=1)
    rig.run(2)
    await rig.write(WSetEna=0)
    rig.run(1)
    assert await rig.read("WSetEna", "WSet", "WSetRvrtRem") == [0, 1.2e6, 0]
    rig.run(3)
    assert rig.shows("plant.active_power") == pytest.approx(0.0, abs=0.01 * WMAX_W)


async def test_vars_have_a_time_of_their_own(rig):
    await rig.write(VarSetMod=4, VarSet=0.4e6, VarSetRvrt=0.1e6, VarSetRvrtTms=15, VarSetEna=1)
    await rig.write(WSetMod=1, WSet=0.5e6, WSetRvrtTms=60, WSetEna=1)
    rig.run(5)
    assert await rig.read("VarSetRvrtRem", "WSetRvrtRem") == [10, 55]
    assert rig.shows("plant.reactive_power") == pytest.approx(0.4e6, rel=0.05)
    rig.run(15)
    assert await rig.read("VarSetEna", "VarSet", "WSetEna") == [1, 0.1e6, 1]
    assert rig.shows("plant.reactive_power") == pytest.approx(0.1e6, rel=0.1)


@pytest.mark.parametrize(("mode", "base_var"), [(0, WMAX_W), (1, VAR_MAX_VAR), (3, VAR_MAX_VAR)])
async def test_vars_in_per_cent_reach_the_plant(rig, mode, base_var):
    await rig.write(VarSetMod=mode, VarSetPct=10, VarSetRvrtTms=60, VarSetEna=1)
    rig.run(5)
    assert rig.shows("plant.reactive_power") == pytest.approx(0.1 * base_var, rel=0.05)


async def test_watts_in_per_cent_reach_the_plant(rig):
    await rig.write(WSetMod=0, WSetPct=-20, WSetPctRvrt=-10, WSetRvrtTms=10, WSetEna=1)
    rig.run(5)
    assert rig.shows("plant.active_power") == pytest.approx(-0.2 * WMAX_W, rel=0.03)
    rig.run(10)
    assert rig.shows("plant.active_power") == pytest.approx(-0.1 * WMAX_W, rel=0.03)
    assert await rig.read("WSetEna", "WSetPct") == [1, -10.0]


async def test_a_stop_disables_the_set_point(rig):
    await rig.write(WSetMod=1, WSet=1.2e6, WSetRvrt=0.5e6, WSetRvrtTms=600, WSetEna=1)
    rig.run(3)
    rig.device.models[715][0].OpCtl.cvalue = 0
    await asyncio.to_thread(rig.device.models[715][0].OpCtl.write)
    rig.run(3)
    assert await rig.read("WSetEna", "WSetRvrtRem") == [0, 0]
