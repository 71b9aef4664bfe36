"""All that the commands of one scan are judged by, and what they ask of other rooms."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.control.events import Event
from controller.control.inputs import ProtectionOrders, TripsThatStay
from controller.control.measurements import Measurements
from controller.control.state import ControlState
from controller.image.image import Image
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant

EVERYTHING = -1
"""A reset of no rack in particular."""


@dataclass(slots=True)
class Forwarded:
    """What commands ask of other rooms: resets (racks by index, -1 = everything) with the role that asks."""

    resets: list[tuple[int, str]] = field(default_factory=list)
    acknowledge: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a reply may rest on; `events` and `forwarded` are filled."""

    plant: Plant
    arrays: PlantArrays
    state: ControlState
    image: Image
    measured: Measurements
    protection: ProtectionOrders
    trips_that_stay: TripsThatStay
    retains: bool
    now_ns: int
    events: list[Event]
    forwarded: Forwarded = field(default_factory=Forwarded)
