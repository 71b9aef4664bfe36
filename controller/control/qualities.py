"""The quality of everything that control computes: never better than what it was computed from.

Rule: every published quantity names here what it rests on, and one that is not named can't be published, so that good
is never a default. What needs all of its inputs (a sum of powers) is as good as the worst. What is taken over the
inputs that are known (a count, a mean SOC) is uncertain as soon as one is not, and as bad as the best of them when none
is. What control decides itself (commands, limits, sequences of the plant) is good: it knows what it decided. A number
that could not be computed (NaN) is never usable, whatever it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.relations import Relations
from controller.control.status import RackStatus
from controller.image.image import Image
from controller.image.plant_arrays import PlantArrays
from controller.image.quality import Quality, of_all, of_known
from controller.plant.model import MeterRole, Plant

QualityArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
_GOOD, _UNCERTAIN = np.uint8(Quality.GOOD), np.uint8(Quality.UNCERTAIN)
_ABSENT, _NEVER_READ = np.uint8(Quality.ABSENT), np.uint8(Quality.NEVER_READ)


@dataclass(frozen=True, slots=True, eq=False)
class Qualities:
    """By quantity, an array over its equipment; and of the plant's values in the order that was asked for."""

    of_equipment: Mapping[str, QualityArray]
    of_plant: QualityArray


@dataclass(frozen=True, slots=True, eq=False)
class Grounds:
    """What the qualities rest on; `estimate`: of each rack's estimate [R], `tripped`: the plant says so."""

    plant: Plant
    arrays: PlantArrays
    relations: Relations
    image: Image
    racks: RackStatus
    estimate: QualityArray
    tripped: bool

    def measured(self, quantity: str) -> QualityArray:
        """Return the quality of a measured quantity as it was in this scan."""
        return self.image[quantity].quality[: self.image[quantity].value.shape[0]]


def qualities_of(grounds: Grounds, plant_fields: Sequence[str]) -> Qualities:
    """Return the qualities of a scan, those of the plant in the order of its fields."""
    of_equipment = {**_racks(grounds), **_buses(grounds), **_pcs(grounds), **_blocks(grounds)}
    of_plant = {**_at_poi(grounds), **_totals(grounds), **dict.fromkeys(_DECIDED, _GOOD)}
    return Qualities(of_equipment, np.array([of_plant[name] for name in plant_fields], np.uint8))


_DECIDED = (
    "active_power_setpoint_w",
    "reactive_power_setpoint_var",
    "active_power_accepted_w",
    "reactive_power_accepted_var",
    "active_power_in_effect_w",
    "reactive_power_in_effect_var",
    "setpoint_remaining_s",
    "active_setpoint_remaining_s",
    "reactive_setpoint_remaining_s",
    "export_limit_w",
    "import_limit_w",
    "export_limit_remaining_s",
    "operating_state",
    "sequence_state",
    "mode",
    "control_owner",
    "limit_reason",
    "limit_cause",
    "setpoint_source",
    "racks_installed",
    "scada_heartbeat",
)


def _racks(grounds: Grounds) -> dict[str, QualityArray]:
    racks, arrays = grounds.racks, grounds.arrays
    contactor, decided = grounds.measured("rack.contactor"), np.zeros(len(racks.closed), np.uint8)
    certain = racks.tripped | racks.locked_out | ~arrays.rack_in_service
    current = grounds.measured("rack.current")
    sampled = grounds.image["rack.current"].time_ns > 0
    return {
        "rack.power": np.maximum(grounds.measured("rack.voltage"), current),
        "rack.data_age": np.where(current == _ABSENT, _ABSENT, np.where(sampled, _GOOD, _NEVER_READ)),
        "rack.charge_current_allowed": decided,
        "rack.discharge_current_allowed": decided,
        "rack.operating_state": np.where(certain, _GOOD, contactor),
        "rack.limit_reason": decided,
        "rack.contactor_closed": contactor.copy(),
        "rack.available": np.where(certain, _GOOD, contactor),
        "rack.locked_out": decided,
    }


def _buses(grounds: Grounds) -> dict[str, QualityArray]:
    members = grounds.racks.connections.member > 0.0
    decided = np.zeros(len(members), np.uint8)
    return {
        "bus.voltage": of_known(members, grounds.measured("rack.voltage")),
        "bus.charge_power_allowed": decided,
        "bus.discharge_power_allowed": decided,
        "bus.limit_reason": decided,
    }


def _pcs(grounds: Grounds) -> dict[str, QualityArray]:
    in_service = grounds.arrays.pcs_in_service
    decided, state = np.zeros(len(in_service), np.uint8), np.where(in_service, grounds.measured("pcs.state"), _GOOD)
    return {
        "pcs.active_power_command": decided,
        "pcs.reactive_power_command": decided,
        "pcs.charge_power_allowed": decided,
        "pcs.discharge_power_allowed": decided,
        "pcs.operating_state": state,
        "pcs.sequence_state": state,
        "pcs.limit_reason": decided,
        "pcs.limit_cause": decided,
        "pcs.available": state,
    }


def _blocks(grounds: Grounds) -> dict[str, QualityArray]:
    relations, arrays = grounds.relations, grounds.arrays
    racks, pcs = relations.block_of_rack > 0.0, relations.block_of_pcs > 0.0
    connected = of_known(racks & arrays.rack_in_service, grounds.measured("rack.contactor"))
    soc = of_known(racks & grounds.racks.closed, grounds.estimate)
    return {
        "block.active_power": of_all(pcs, grounds.measured("pcs.active_power")),
        "block.soc": np.maximum(soc, connected),
        "block.operating_state": of_known(pcs & arrays.pcs_in_service, grounds.measured("pcs.state")),
        "block.racks_connected": connected,
    }


def _at_poi(grounds: Grounds) -> dict[str, np.uint8]:
    """Of the POI meter; without one, the sum of the converters stands in and is uncertain at best."""
    meter = grounds.plant.poi.meter
    if meter >= 0:
        names = ("active_power", "reactive_power", "frequency", "voltage", "energy_out", "energy_in")
        active, reactive, frequency, voltage, energy_out, energy_in = (
            np.uint8(grounds.measured(f"meter.{name}")[meter]) for name in names
        )
    else:
        active, reactive = (
            max(_UNCERTAIN, _sum(grounds.measured(name))) for name in ("pcs.active_power", "pcs.reactive_power")
        )
        frequency = voltage = energy_out = energy_in = _UNCERTAIN
    return {
        "active_power_w": active,
        "reactive_power_var": reactive,
        "apparent_power_va": max(active, reactive),
        "power_factor_ratio": max(active, reactive),
        "frequency_hz": frequency,
        "voltage_v": voltage,
        "energy_out_wh": energy_out,
        "energy_in_wh": energy_in,
    }


def _totals(grounds: Grounds) -> dict[str, np.uint8]:
    in_service, closed = grounds.arrays.rack_in_service, grounds.racks.closed
    connected = _known(in_service, grounds.measured("rack.contactor"))
    energy = max(_known(closed, grounds.estimate), connected)
    power = max(energy, _limits(grounds), _known(grounds.arrays.pcs_in_service, grounds.measured("pcs.state")))
    installed = _known(np.ones_like(closed), grounds.estimate)
    chains = grounds.measured("interlock.healthy")
    sure = grounds.tripped or not bool((chains[: len(grounds.plant.interlocks)] > _UNCERTAIN).any())
    sustained = ("15min", "60min")
    return {
        "pcs_power_w": _sum(grounds.measured("pcs.active_power")),
        "auxiliary_power_w": _auxiliaries(grounds),
        "discharge_power_available_w": power,
        "charge_power_available_w": power,
        **{f"{way}_power_sustained_{span}_w": power for way in ("discharge", "charge") for span in sustained},
        "energy_to_discharge_wh": energy,
        "energy_to_charge_wh": energy,
        "soc_ratio": energy,
        "soc_installed_ratio": installed,
        "soh_ratio": installed,
        "racks_connected": connected,
        "racks_available": connected,
        "tripped": _GOOD if sure else _UNCERTAIN,
    }


def _limits(grounds: Grounds) -> np.uint8:
    """Of the BMSs' current limits; where a BMS serves none the rating stands in, which is known."""
    both = np.maximum(grounds.measured("rack.charge_current_limit"), grounds.measured("rack.discharge_current_limit"))
    return _known(grounds.racks.closed, np.where(both == _ABSENT, _GOOD, both))


def _auxiliaries(grounds: Grounds) -> np.uint8:
    """Of the auxiliaries' meters; the nominal power that stands in for what is not metered is uncertain."""
    plant, quality = grounds.plant, grounds.measured("meter.active_power")
    metered = [m.index for m in plant.meters if m.role is MeterRole.AUXILIARY]
    nominal = any(a.power_w and a.meter not in metered for a in plant.auxiliaries)
    worst = max((np.uint8(quality[m]) for m in metered), default=_GOOD)
    return _UNCERTAIN if nominal else min(worst, _UNCERTAIN)


def _sum(quality: QualityArray) -> np.uint8:
    return np.uint8(of_all(np.ones((1, len(quality)), np.bool_), quality)[0])


def _known(members: BoolArray, quality: QualityArray) -> np.uint8:
    return np.uint8(of_known(members[None, :], quality)[0])
