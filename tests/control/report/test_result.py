"""What control publishes: names of the catalogue, shapes of the image, quality where something is unknown."""

from __future__ import annotations

import numpy as np

from controller.control.report.conditions import CONDITIONS
from controller.control.report.result import PLANT_QUANTITIES, ControlResult, plant_quality, published
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.image.quantities import COMPUTED, POWER_HORIZONS, QUANTITIES

COUNTERS = {
    "rack.charge_out",
    "rack.charge_in",
    "rack.energy_out",
    "rack.energy_in",
    "rack.full_cycles",
    "rack.full_cycles_bms",
    "rack.uncounted_time",
}
NOT_OF_CONTROL = {
    *COUNTERS,
    *(name for name in QUANTITIES if name.startswith(("rack.time_at_", "rack.soh_"))),
    *(f"rack.{way}_power_{horizon}" for way in ("discharge", "charge") for horizon in POWER_HORIZONS),
    "rack.soc_estimate",
    "rack.soc_estimator",
    "rack.remaining_life_low",
    "rack.remaining_life_high",
    "rack.current_gain_error",
    "rack.current_gain_error_low",
    "rack.current_gain_error_high",
    "rack.soc_low",
    "rack.soc_high",
    "rack.capacity",
    "rack.resistance",
    "rack.energy_to_empty",
    "rack.energy_to_full",
    "rack.anchor_age",
    "rack.core_temperature",
    "rack.resistance_at_25",
    "rack.trip_cause",
    "rack.trip_latched",
    "rack.any_trip",
    "rack.alarm_priority",
    "pcs.alarm_priority",
    "plant.alarm_priority",
    "plant.alarm_changes",
    "plant.active_alarms",
    "plant.unacknowledged_alarms",
    "plant.heartbeat",
    "plant.map_version",
    "plant.time_quality",
    "plant.scan_count",
    "plant.scan_overruns",
}


def _everything(result: ControlResult):
    """What control publishes, the plant's values among it one by one."""
    quality = plant_quality(result, np.array(result.plant, np.float64))
    return [*published(result), *zip(PLANT_QUANTITIES, result.plant, quality, strict=True)]


def test_every_computed_quantity_that_no_other_room_fills_is_published_and_fits_the_image(running):
    image = Image(plant_layout(running.plant))
    names = []
    for name, value, quality in _everything(running.result):
        image[name].value[:] = value
        image[name].quality[:] = quality
        names.append(name)
    assert len(names) == len(set(names))
    wanted = {q.name for q in COMPUTED} - NOT_OF_CONTROL
    assert wanted - set(names) == {n for n in QUANTITIES if n.startswith("plant.scan_lateness")}
    assert set(names) <= {q.name for q in COMPUTED}


def test_what_rests_on_something_unknown_says_so(running):
    running.field.silent |= {("rack", 3), ("meter", 0), ("pcs", 1)}
    running.run(2)
    found = {name: (value, quality) for name, value, quality in _everything(running.result)}
    assert found["rack.power"][1].tolist() == [Quality.NO_COMMUNICATION if r == 3 else Quality.GOOD for r in range(24)]
    assert found["plant.active_power"][1] == Quality.NO_COMMUNICATION
    assert found["plant.pcs_power"][1] == Quality.NO_COMMUNICATION
    assert found["block.active_power"][1].tolist() == [Quality.GOOD, Quality.NO_COMMUNICATION]
    assert found["plant.soc"][1] == Quality.UNCERTAIN, "whether that rack is connected is not known"
    assert found["plant.racks_connected"][1] == Quality.UNCERTAIN
    assert found["plant.racks_installed"][1] == Quality.GOOD


def test_every_condition_is_declared_and_has_its_equipments_shape(running):
    sizes = {"rack": 24, "bank": 1, "bus": 2, "pcs": 2, "plant": 1}
    assert running.result.conditions.keys() == CONDITIONS.keys()
    for name, active in running.result.conditions.items():
        assert active.shape == (sizes[CONDITIONS[name].owner],)
        assert active.dtype == np.bool_
        assert name.startswith(f"{CONDITIONS[name].owner}.")


def test_an_earlier_result_stays_what_it_was(running):
    before = running.result
    connected = before.racks.contactor_closed.copy()
    running.field.contactor[:12] = 1
    running.run(3)
    assert np.array_equal(before.racks.contactor_closed, connected)
    assert not before.conditions["rack.opened_by_itself"].any()
    assert running.result.conditions["rack.opened_by_itself"][:12].all()
