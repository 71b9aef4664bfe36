"""802, 803 and 804 against one rack, one module, one cell at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import WORST_USABLE, Quality
from controller.plant.model import OutOfService, Plant
from controller.plant.signals import BmsAlarm
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.sunspec_bank import Bank, bank_values
from controller.scada.modbus.sunspec_registers import ChainRegisters, exponent_for
from tests.scada.modbus.parts import filled_image, snapshot_of

NOW_NS = 1_000_000_000_000
MODULE = "lithium_ion_string_module."


@pytest.fixture(scope="module")
def mixed_plant(demo_plant: Plant) -> Plant:
    """The demo plant with every fifth rack of another make: fewer cells, modules and sensors."""
    racks = [
        replace(rack, battery=replace(rack.battery, cells_in_series=96, modules=8, temperatures=16))
        if rack.index % 5 == 2
        else rack
        for rack in demo_plant.racks
    ]
    return replace(demo_plant, racks=tuple(racks))


@pytest.fixture(scope="module")
def blank(mixed_plant):
    return filled_image(mixed_plant, plant_layout(mixed_plant), NOW_NS)


def _bank(plant: Plant, block: int = 1) -> Bank:
    rows = np.array([r.index for r in plant.racks if r.block == block])
    return Bank(plant, "block", block, rows, 1.2e6)


def _values(plant: Plant, image: Image, bank: Bank, now_ns: int = NOW_NS) -> dict[tuple[int, str], Any]:
    judged = Judged(snapshot_of(image, NOW_NS), data_periods(plant), now_ns)
    return bank_values(judged, bank, strings=True, racks=len(bank.rows))


def _copy(image: Image) -> Image:
    copy = Image(image.layout)
    copy.copy_from(image)
    return copy


def _known(image: Image, name: str, row: int, count: int) -> list[float]:
    values = image[name]
    return [float(values.value[row, n]) if values.quality[row, n] <= WORST_USABLE else math.nan for n in range(count)]


def _extremes(values: list[float]) -> list[float]:
    """Return highest and its place, lowest and its place, mean; NaN where nothing is known."""
    known = [(value, n) for n, value in enumerate(values, 1) if not math.isnan(value)]
    if not known:
        return [math.nan] * 5
    high, low = max(known, key=lambda k: (k[0], -k[1])), min(known)
    return [*high, *low, sum(value for value, _ in known) / len(known)]


@given(seed=st.integers(0, 2**32), lost=st.sampled_from([0.0, 0.1, 0.9, 1.0]))
def test_modules_and_strings_are_what_their_cells_are(mixed_plant, blank, seed, lost):
    rng = np.random.default_rng(seed)
    image, bank = _copy(blank), _bank(mixed_plant)
    for name in ("cell.voltage", "cell.temperature"):
        cells = image[name]
        cells.value[:] = rng.integers(0, 50, cells.value.shape)
        cells.quality[:] = np.where(rng.random(cells.value.shape) < lost, Quality.DEVICE_FAILURE, Quality.GOOD)
    for name in ("rack.cell_voltage_max", "rack.cell_voltage_min"):
        image[name].quality[:] = Quality.ABSENT  # so that the cells alone tell
    found = _values(mixed_plant, image, bank)
    module = 0
    for place, row in enumerate(bank.rows.tolist()):
        battery = mixed_plant.racks[row].battery
        volts = _known(image, "cell.voltage", row, battery.cells_in_series)
        degrees = _known(image, "cell.temperature", row, battery.temperatures)
        cells, sensors = battery.cells_in_series // battery.modules, battery.temperatures // battery.modules
        in_modules = []
        for m in range(battery.modules):
            in_modules.append(_extremes(volts[m * cells : (m + 1) * cells]))
            assert found[804, MODULE + "ModNCell"][module] == cells
            _same(_row(found, MODULE + "ModCellV", "Cell", module), in_modules[-1])
            _same(
                _row(found, MODULE + "ModCellTmp", "Cell", module), _extremes(degrees[m * sensors : (m + 1) * sensors])
            )
            module += 1
        high, low = _extremes([m[0] for m in in_modules]), _extremes([m[2] for m in in_modules])
        mean = _extremes([m[4] for m in in_modules])[4]
        _same(_row(found, "CellV", "Mod", place), [*high[:2], *low[2:4], mean])
    assert module == found[804, MODULE + "ModNCell"].size


def _row(found: dict[tuple[int, str], Any], name: str, where: str, n: int) -> list[float]:
    parts = ("Max", f"Max{where}", "Min", f"Min{where}", "Avg")
    return [float(found[804, name + part][n]) for part in parts]


def _same(found: list[float], expected: list[float]) -> None:
    assert found == pytest.approx(expected, nan_ok=True)


def test_what_the_bms_states_of_its_cells_goes_first(mixed_plant, blank):
    found = _values(mixed_plant, blank, _bank(mixed_plant))
    assert found[804, "CellVMax"].tolist() == [n + 0.5 for n in range(13, 25)]


def test_a_sum_is_known_only_if_every_rack_in_service_is(mixed_plant, blank):
    image, bank = _copy(blank), _bank(mixed_plant)
    total = sum(n + 0.5 for n in range(13, 25))
    assert _values(mixed_plant, image, bank)[802, "A"] == total
    image["rack.current"].quality[14] = Quality.NO_COMMUNICATION
    assert math.isnan(_values(mixed_plant, image, bank)[802, "A"])
    away = OutOfService("fan", "ann", "")
    racks = [replace(r, out_of_service=away) if r.index == 14 else r for r in mixed_plant.racks]
    plant = replace(mixed_plant, racks=tuple(racks))
    assert _values(plant, image, _bank(plant))[802, "A"] == total - 15.5


def test_a_silent_rack_says_so_and_nothing_else(mixed_plant, blank):
    image, bank = _copy(blank), _bank(mixed_plant)
    image["rack.alarms"].value[:] = 1 << BmsAlarm.OVER_VOLTAGE_ALARM
    image["rack.any_trip"].value[:] = 0
    image["rack.any_trip"].value[13] = 1
    late_ns = NOW_NS + int(data_periods(mixed_plant)["rack.voltage"].bad_after_ns[14]) + 1
    for name in ("rack.voltage", "rack.alarms"):
        image[name].time_ns[:] = late_ns
        image[name].time_ns[14] = NOW_NS
    found = _values(mixed_plant, image, bank, late_ns)
    over_voltage, tripped = 1 << BmsAlarm.OVER_VOLTAGE_ALARM, 1 << BmsAlarm.OTHER_ALARM
    assert found[804, "Evt1"].tolist()[:4] == [over_voltage, over_voltage | tripped, 1, over_voltage]
    assert found[802, "Evt1"] == over_voltage | tripped | 1


@pytest.mark.parametrize(
    ("closed", "state", "power_w", "soc", "expected"),
    [
        (0, 1, 0.0, 0.5, {"ChaSt": 1, "State": 1, "SetOp": 2.0, "SetInvState": 1.0}),
        (0, 2, 0.0, 0.5, {"ChaSt": 1, "State": 2, "SetOp": 2.0, "SetInvState": 3.0}),
        (1, 3, 5e4, 0.5, {"ChaSt": 3, "State": 3, "SetOp": 1.0, "SetInvState": 3.0}),
        (1, 3, -5e4, 0.5, {"ChaSt": 4, "State": 3, "SetOp": 1.0, "SetInvState": 3.0}),
        (1, 3, 0.0, 0.97, {"ChaSt": 5, "State": 3, "SetOp": 1.0, "SetInvState": 3.0}),
        (1, 3, 0.0, 0.05, {"ChaSt": 2, "State": 3, "SetOp": 1.0, "SetInvState": 3.0}),
        (1, 4, 0.0, 0.5, {"ChaSt": 6, "State": 4, "SetOp": 1.0, "SetInvState": 2.0}),
        (1, 6, 0.0, 0.5, {"ChaSt": 6, "State": 99, "SetOp": 1.0, "SetInvState": 1.0}),
        (1, 0, 0.0, 0.5, {"ChaSt": 6, "State": math.nan, "SetOp": 1.0, "SetInvState": math.nan}),
    ],
)
def test_the_states_of_a_bank(mixed_plant, blank, closed, state, power_w, soc, expected):
    image = _copy(blank)
    image["rack.contactor_closed"].value[:] = closed
    image["block.operating_state"].value[:] = state
    image["rack.power"].value[:] = power_w
    image["block.soc"].value[:] = soc
    found = _values(mixed_plant, image, _bank(mixed_plant))
    assert {name: float(found[802, name]) for name in expected} == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("closed", "tripped", "locked_out", "reason", "status"),
    [(1, 0, 0, 0, 3), (1, 1, 0, 0, 3), (0, 1, 1, 1, 0), (0, 0, 1, 2, 0), (0, 0, 0, 4, 1)],
)
def test_why_a_string_is_off(mixed_plant, blank, closed, tripped, locked_out, reason, status):
    image = _copy(blank)
    for name, value in (("contactor_closed", closed), ("any_trip", tripped), ("locked_out", locked_out)):
        image[f"rack.{name}"].value[:] = value
    found = _values(mixed_plant, image, _bank(mixed_plant))
    assert set(found[803, "string.StrDisRsn"]) == {reason}
    assert set(found[803, "string.StrSt"]) == {status}


def test_the_voltage_is_the_connected_racks_or_else_all(mixed_plant, blank):
    image = _copy(blank)
    image["rack.contactor_closed"].value[:] = 0
    image["rack.contactor_closed"].value[[13, 14]] = 1
    assert _values(mixed_plant, image, _bank(mixed_plant))[802, "V"] == 15.0
    image["rack.contactor_closed"].value[:] = 0
    assert _values(mixed_plant, image, _bank(mixed_plant))[802, "V"] == 19.0


def test_a_bank_without_a_known_rack_knows_nothing(mixed_plant):
    found = _values(mixed_plant, Image(plant_layout(mixed_plant)), _bank(mixed_plant))
    rated = {"AHRtg", "WHRtg", "WChaRteMax", "WDisChaRteMax", "SoCMax", "SoCMin", "Typ", "VMax", "VMin", "SetOp"}
    always = {"AlmRst", "Evt1", "Evt2", "EvtVnd1", "EvtVnd2"}
    known = {name for (model, name), value in found.items() if model == 802 and not np.isnan(value)}
    assert known == rated | always


# ------------------------------------------------------------------------------------------------------------ registers


@given(largest=st.floats(1e-3, 1e12), room=st.sampled_from([32_767, 65_534]))
def test_a_scale_factor_keeps_what_fits_and_as_many_digits_as_it_can(largest, room):
    exponent = exponent_for(largest, room)
    assert round(largest / 10.0**exponent) <= room
    if exponent > -3:
        assert largest * 1.2 / 10.0 ** (exponent - 1) > room


def test_a_rating_of_zero_has_the_finest_scale_factor():
    assert exponent_for(0.0) == -3


def test_what_does_not_fit_reads_as_not_implemented():
    chain = ChainRegisters([(1, {}), (701, {})], {(701, "W_SF"): 2, (701, "TotWh_SF"): 0}, {})
    values = {(701, "W"): 0.0, (701, "TotWhInj"): 0.0, (701, "Alrm"): 0.0}

    def shown(path: str, value: float) -> bytes:
        data = chain.encode({**values, (701, path): value})
        at = 2 * (next(iter(chain.places({(701, path): 0}))) - chain.base)
        return data[at : at + {"W": 2, "TotWhInj": 8, "Alrm": 4}[path]]

    assert shown("W", -3_276_700.0) == (-32_767).to_bytes(2, signed=True)
    for value in (-3_276_800.0, 3_276_800.0, math.nan, math.inf):
        assert shown("W", value) == b"\x80\x00"
    assert shown("TotWhInj", 2.0**40) == (2**40).to_bytes(8)
    assert shown("TotWhInj", -1.0) == b"\xff" * 8
    assert shown("Alrm", 2.0**31 + 5) == (2**31 + 5).to_bytes(4)
    assert shown("Alrm", 2.0**32 - 1) == b"\xff" * 4
