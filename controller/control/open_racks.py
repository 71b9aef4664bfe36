"""Racks whose contactors are reported open: does current flow through them all the same?

Rule: two seconds of current through contactors that are reported open are a weld; one second is enough where the rack
must be open (tripped, locked out). The time is counted through pauses: a bus that goes to zero because of the rack
takes the current away that would prove it, so no current at zero power proves nothing. Only while others on the bus
carry power does a rack without current count as open, and its time runs back; without any proof it fades in minutes.

A welded rack counts as connected until it is reported closed or reset. One that must be open is *stuck*: its
converters stop, and stay stopped until a person resets the rack, with its contactors open and no current through them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.masks import anywhere
from controller.plant.signals import ContactorState

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

WELDED_AFTER_S = 2.0
STUCK_AFTER_S = 1.0
PROOF_RATIO = 0.5
"""So fast the time runs back while others on the bus carry power; racks are not all sampled at one instant."""
FADE_RATIO = 1.0 / 60.0

_CLOSED, _OPEN = int(ContactorState.CLOSED), int(ContactorState.OPEN)


class OpenRacks:
    """Memory of what flowed through open contactors [R]. Owned by control's state."""

    def __init__(self, rack_bus: NDArray[np.int64]) -> None:
        """Nothing has flowed."""
        racks = len(rack_bus)
        self._rack_bus, self._buses = rack_bus, int(rack_bus.max(initial=-1)) + 1
        self._flowed_s: FloatArray = np.zeros(racks)
        self._flowing: BoolArray = np.zeros(racks, np.bool_)
        self._contactor = np.full(racks, _OPEN, np.int32)
        self._quiet = True
        self.welded: BoolArray = np.zeros(racks, np.bool_)
        self.stuck: BoolArray = np.zeros(racks, np.bool_)

    def watch(self, contactor: NDArray[np.int32], flowing: BoolArray, must_be_open: BoolArray, dt_s: float) -> None:
        """Count another `dt_s`. `contactor` [R] as last known, `flowing` [R]: more current than a sensor's offset."""
        self._contactor, self._flowing = contactor, flowing
        through = flowing & (contactor == _OPEN)
        if self._quiet and not anywhere(through):
            return
        loaded = np.bincount(self._rack_bus[flowing & ~through], minlength=self._buses) > 0
        back = np.where(loaded[self._rack_bus], PROOF_RATIO, FADE_RATIO)
        self._flowed_s += dt_s * np.where(through, 1.0, -back)
        np.clip(self._flowed_s, 0.0, WELDED_AFTER_S, out=self._flowed_s)
        closed = contactor == _CLOSED
        self._flowed_s[closed] = 0.0
        longest_s = np.where(must_be_open, STUCK_AFTER_S, WELDED_AFTER_S)
        self.welded = (self.welded | (through & (self._flowed_s >= longest_s))) & ~closed
        self.stuck = self.stuck | (self.welded & must_be_open)
        self._quiet = not (self._flowed_s.any() or self.welded.any() or self.stuck.any())

    def reset(self, racks: slice | list[int]) -> None:
        """Believe these racks again; a stuck one only if it is open, without current."""
        asked = np.zeros(len(self.welded), np.bool_)
        asked[racks] = True
        released = asked & ~(self.stuck & (self._flowing | (self._contactor != _OPEN)))
        self.welded, self.stuck = self.welded & ~released, self.stuck & ~released
        self._flowed_s[released] = 0.0
