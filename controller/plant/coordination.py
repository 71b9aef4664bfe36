"""If we die: is every converter at zero before a BMS opens its contactors, or would it open them under load?

    PCS time-out + its ramp to zero + margin <= BMS time-out

`validate` refuses a site that breaks this, `explain --watchdogs` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.model import Device, Pcs, Plant
from controller.plant.signals import Owner

MARGIN_S = 2.0
OPENING = frozenset({TimeoutAction.OPEN, TimeoutAction.TRIP})
"""What parts a device from its bus at once, whatever flows."""
NEVER_AT_ZERO = frozenset({TimeoutAction.HOLD, TimeoutAction.NONE})


@dataclass(frozen=True, slots=True)
class Coordination:
    """A converter against a BMS type of its bus that opens by itself: when the one is at zero, the other open."""

    pcs: Pcs
    converter: Device
    bms: Device
    at_zero_s: float  # time-out + ramp + margin; infinite: never
    opens_s: float

    @property
    def in_time(self) -> bool:
        """The contactors open without load."""
        return self.at_zero_s <= self.opens_s


def coordinations(plant: Plant) -> Iterator[Coordination]:
    """Yield every converter with every BMS type of its bus that opens its contactors when we fall silent."""
    converters = {b.equipment: d for d in plant.devices for b in d.bindings if b.owner is Owner.PCS}
    bms_of_rack = {b.equipment: d for d in plant.devices for b in d.bindings if b.owner is Owner.RACK}
    for bus in plant.buses:
        behind = {id(d.type): d for rack in reversed(bus.racks) if (d := bms_of_rack.get(rack)) is not None}
        for pcs in (plant.pcs[index] for index in bus.pcs if index in converters):
            for bms in behind.values():
                opens = bms.type.communication_timeout
                if opens is not None and opens.then in OPENING:
                    converter = converters[pcs.index]
                    waits_s = at_zero_s(pcs, converter.type.communication_timeout)
                    yield Coordination(pcs, converter, bms, waits_s, opens.after_s)


def at_zero_s(pcs: Pcs, timeout: CommunicationTimeout | None) -> float:
    """Return how long after our last word a converter is surely at zero; infinite where it holds or does nothing."""
    if timeout is None or timeout.then in NEVER_AT_ZERO:
        return math.inf
    return timeout.after_s + ramp_to_zero_s(pcs, timeout) + MARGIN_S


def ramp_to_zero_s(pcs: Pcs, timeout: CommunicationTimeout) -> float:
    """Return how long a converter takes from full power: the slower of the site's ramp and its device file's.

    What opens or trips blocks at once: the site's ramp has no part in it.
    """
    site_s = 0.0 if timeout.then in OPENING else pcs.power_w / pcs.ramp_w_per_s
    return max(timeout.ramp_s, site_s)
