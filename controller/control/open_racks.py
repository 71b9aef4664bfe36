"""Racks whose contactors are reported open: does current flow through them all the same?

Rule: two seconds of current through contactors that are reported open are a weld; one second is enough where the rack
must be open (tripped, locked out). State and current are read at different moments: only a sample of the current
that is newer than the first report of "open" is proof. It stands for the time since the sample before it; two of them
are needed, and a second report. So neither the scan's period nor the polls' make a weld of a healthy rack.

The time is counted through pauses: a bus that goes to zero because of the rack takes the current away that would prove
it, so no current at zero power proves nothing. Only while others on the bus carry power does a rack without current
count as open, and its time runs back; without any proof it fades in minutes.

A welded rack counts as connected until it is reported closed or reset. One that must be open is *stuck*: its
converters stop, and stay stopped until a person resets the rack, with its contactors open and no current through them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere
from controller.plant.signals import ContactorState

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

WELDED_AFTER_S = 2.0
STUCK_AFTER_S = 1.0
PROVING_SAMPLES = 2
PROOF_RATIO = 0.5
"""So fast the time runs back while others on the bus carry power; racks are not all sampled at one instant."""
FADE_RATIO = 1.0 / 60.0

_CLOSED, _OPEN = int(ContactorState.CLOSED), int(ContactorState.OPEN)


class Sampled(NamedTuple):
    """One value of each rack [R], and when each was sampled."""

    value: NDArray[Any]
    time_ns: NDArray[np.int64]


class OpenRacks:
    """Memory of what flowed through open contactors [R]. Owned by control's state."""

    def __init__(self, rack_bus: NDArray[np.int64]) -> None:
        """Nothing has flowed."""
        racks = len(rack_bus)
        self._rack_bus, self._buses = rack_bus, int(rack_bus.max(initial=-1)) + 1
        self._flowed_s: FloatArray = np.zeros(racks)
        self._proofs = np.zeros(racks, np.int64)  # samples that the time consists of
        self._opened_ns, self._sampled_ns = np.zeros(racks, np.int64), np.zeros(racks, np.int64)
        self._flowing: BoolArray = np.zeros(racks, np.bool_)
        self._contactor = np.full(racks, _OPEN, np.int32)
        self._quiet = True
        self.welded: BoolArray = np.zeros(racks, np.bool_)
        self.stuck: BoolArray = np.zeros(racks, np.bool_)

    def watch(self, contactor: Sampled, flowing: Sampled, must_be_open: BoolArray) -> None:
        """Count what the samples since the scan before say.

        `contactor` [R] as last known, `flowing` [R]: more current than a sensor's offset.
        """
        is_open = contactor.value == _OPEN
        np.copyto(self._opened_ns, contactor.time_ns, where=is_open & (self._contactor != _OPEN))
        since_ns = np.maximum(self._sampled_ns, self._opened_ns)
        np.copyto(self._sampled_ns, flowing.time_ns)
        np.copyto(self._contactor, contactor.value)
        self._flowing = flowing.value
        through = flowing.value & is_open
        if self._quiet and not anywhere(through):
            return
        self._count(through, (flowing.time_ns - since_ns).clip(0) * 1e-9)
        proven = (self._proofs >= PROVING_SAMPLES) & (contactor.time_ns > self._opened_ns)
        longest_s = np.where(must_be_open, STUCK_AFTER_S, WELDED_AFTER_S)
        closed = contactor.value == _CLOSED
        self.welded = (self.welded | (through & proven & (self._flowed_s >= longest_s))) & ~closed
        self.stuck = self.stuck | (self.welded & must_be_open)
        self._quiet = not (self._flowed_s.any() or self.welded.any() or self.stuck.any())

    def _count(self, through: BoolArray, new_s: FloatArray) -> None:
        """Count `new_s` [R] of samples, zero where there is none."""
        loaded = np.bincount(self._rack_bus[self._flowing & ~through], minlength=self._buses) > 0
        back = np.where(loaded[self._rack_bus], PROOF_RATIO, FADE_RATIO)
        self._flowed_s += new_s * np.where(through, 1.0, -back)
        np.clip(self._flowed_s, 0.0, WELDED_AFTER_S, out=self._flowed_s)
        self._proofs += through & (new_s > 0.0)
        self._flowed_s[self._contactor == _CLOSED] = 0.0
        self._proofs[self._flowed_s == 0.0] = 0

    def reset(self, racks: slice | list[int]) -> None:
        """Believe these racks again; a stuck one only if it is open, without current."""
        asked = np.zeros(len(self.welded), np.bool_)
        asked[racks] = True
        released = asked & ~(self.stuck & (self._flowing | (self._contactor != _OPEN)))
        self.welded, self.stuck = self.welded & ~released, self.stuck & ~released
        self._flowed_s[released] = self._proofs[released] = 0
