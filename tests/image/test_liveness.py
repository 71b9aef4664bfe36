"""Signs of life: a device that answers but stands still loses belief, and gets it back with the next move."""

from __future__ import annotations

import numpy as np
import pytest

from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.liveness import Liveness
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.plant.signals import ContactorState

S = 10**9
FROZEN = 16


class Bench:
    """An image filled by hand once a second; everything moves but what is listed."""

    def __init__(self, plant: Plant) -> None:
        self.image = Image(plant_layout(plant))
        self.liveness = Liveness(plant, self.image, data_periods(plant))
        self.now_ns, self.beat, self.current_a = 1000 * S, 0, 50.0
        self.power_w = 0.0
        self.still: dict[str, int] = {}

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ns, self.beat = self.now_ns + S, self.beat + 1
            for name in ("rack.heartbeat", "bank.heartbeat", "pcs.heartbeat"):
                self._set(name, self.beat)
            self._set("rack.voltage", 780.0 + self.beat % 2)
            self._set("rack.current", self.current_a)
            self._set("pcs.active_power", self.power_w)
            self.liveness.take(cells_changed=False)

    def _set(self, name: str, value: float) -> None:
        values = self.image[name]
        moving = np.arange(len(values.value)) != self.still.get(name, -1)
        values.value[moving] = value
        values.quality[:], values.time_ns[:] = Quality.GOOD, self.now_ns

    def age_s(self, name: str, index: int) -> float:
        return (self.now_ns - int(self.image[name].time_ns[index])) / S


@pytest.fixture
def bench(demo_plant: Plant) -> Bench:
    bench = Bench(demo_plant)
    bench.run(5)
    return bench


@pytest.mark.parametrize(
    ("heartbeat", "index", "about", "whose", "other"),
    [("rack", 16, "rack", 16, 15), ("bank", 0, "rack", 11, 12), ("pcs", 1, "pcs", 1, 0)],
)
def test_what_a_standing_heartbeat_vouches_for_grows_old(bench, heartbeat, index, about, whose, other):
    value = "rack.current" if about == "rack" else "pcs.active_power"
    bench.still[f"{heartbeat}.heartbeat"] = index
    bench.run(3)
    assert bench.age_s(value, whose) == 0.0, "three periods, and 3 s, are allowed"
    bench.run(5)
    assert bench.age_s(value, whose) == 8.0
    assert bench.age_s(value, other) == 0.0
    assert bench.age_s(f"{heartbeat}.heartbeat", index) == 0.0
    bench.still.clear()
    bench.run(1)
    assert bench.age_s(value, whose) == 0.0


def test_values_without_noise_are_frozen_under_load(bench):
    bench.still["rack.voltage"] = 16
    bench.run(10)
    assert bench.age_s("rack.current", 16) == 0.0
    bench.run(1)
    assert bench.age_s("rack.current", 16) > 10.0
    assert bench.age_s("rack.current", 15) == 0.0
    bench.still.clear()
    bench.run(2)
    assert bench.age_s("rack.current", 16) == 0.0


def test_a_cell_that_moves_is_a_sign_of_life(bench):
    bench.still["rack.voltage"] = 16
    for beat in range(6):
        bench.run(4)
        cells = bench.image["cell.voltage"]
        cells.value[16, 3], cells.time_ns[16] = 3.3 + 0.001 * beat, bench.now_ns
        bench.liveness.take(cells_changed=True)
    assert bench.age_s("rack.current", 16) == 0.0
    bench.run(4)
    bench.image["cell.voltage"].time_ns[16] = bench.now_ns
    bench.liveness.take(cells_changed=True)
    bench.run(1)
    assert bench.age_s("rack.current", 16) > 10.0, "the cells have not moved from one sample to the next"


def test_a_rack_at_rest_may_stand_still(bench):
    bench.current_a = 1.0
    bench.still["rack.voltage"] = 16
    bench.run(100)
    assert bench.age_s("rack.current", 16) == 0.0


@pytest.mark.parametrize("others_a", [50.0, 1.0], ids=["seen by the racks beside it", "seen by the converter alone"])
def test_a_rack_that_froze_at_rest_is_found_once_its_bus_is_loaded(bench, others_a):
    """It says that it is connected, and shows the same small current whatever the bus carries."""
    bench.current_a = 1.0
    bench.image["rack.contactor"].value[:] = ContactorState.CLOSED
    bench.run(1)
    bench.still["rack.voltage"] = bench.still["rack.current"] = FROZEN
    bench.run(60)
    assert bench.age_s("rack.current", FROZEN) == 0.0, "nothing is loaded"
    bench.current_a, bench.power_w = others_a, 1e6
    bench.run(11)
    assert bench.age_s("rack.current", FROZEN) > 10.0
    assert bench.age_s("rack.current", FROZEN - 1) == 0.0


@pytest.mark.parametrize("moves", ["rack.voltage", "rack.current"])
def test_a_rack_that_was_found_frozen_stays_so_at_rest_until_it_moves(bench, moves):
    bench.current_a, bench.power_w = 50.0, 1e6
    bench.image["rack.contactor"].value[:] = ContactorState.CLOSED
    bench.run(2)
    bench.still["rack.voltage"] = bench.still["rack.current"] = FROZEN
    bench.image["rack.current"].value[FROZEN] = 0.0
    bench.run(12)
    assert bench.age_s("rack.current", FROZEN) > 10.0
    bench.current_a, bench.power_w = 0.0, 0.0
    bench.run(60)
    assert bench.age_s("rack.current", FROZEN) > 60.0, "rest is no sign of life"
    bench.image[moves].value[FROZEN] += 0.1
    bench.run(1)
    assert bench.age_s("rack.current", FROZEN) == 0.0


@pytest.mark.parametrize("opened", ["rack.contactor", "bank.state"])
def test_a_rack_beside_a_loaded_bus_may_stand_still(bench, opened):
    rack = 3  # of a bank
    bench.image["rack.contactor"].value[:] = ContactorState.CLOSED
    bench.image["bank.state"].value[:] = ContactorState.CLOSED
    bench.image[opened].value[:] = ContactorState.OPEN
    bench.still["rack.voltage"] = bench.still["rack.current"] = rack
    bench.image["rack.current"].value[rack] = 0.0
    bench.run(60)
    assert bench.age_s("rack.current", rack) == 0.0
