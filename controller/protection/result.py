"""What protection hands on: orders, permissives, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.protection.details import Details

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Missing(IntFlag):
    """Permissives that are not there; the bits are what SCADA sees."""

    IN_SERVICE = 1
    NO_TRIP = 2  # of ours, latched or standing
    NO_BMS_TRIP = 4
    MEASUREMENTS = 8
    STOP_RELEASED = 16  # of the converter, the block or the plant
    BUS_RELEASED = 32
    CHAINS_KNOWN = 64  # the hard-wired chains of its area are read


MISSING_WORDS = {
    Missing.IN_SERVICE: "it is out of service",
    Missing.NO_TRIP: "a trip is not reset",
    Missing.NO_BMS_TRIP: "its BMS has tripped or does not say",
    Missing.MEASUREMENTS: "measurements that protection needs are lost",
    Missing.STOP_RELEASED: "a stop is in force",
    Missing.BUS_RELEASED: "its bus is held at zero",
    Missing.CHAINS_KNOWN: "the state of a hard-wired chain is not known",
}


def missing_words(missing: int) -> tuple[str, ...]:
    """Return what stands in the way, in words."""
    return tuple(words for bit, words in MISSING_WORDS.items() if missing & bit)


class Unseen(NamedTuple):
    """Equipment of one owner that protection does not see.

    `blind`: something is not usable now. `lost`: and it was read before, or the grace after the start is over.
    `silent`: it has been so for too long.
    """

    blind: BoolArray
    lost: BoolArray
    silent: BoolArray


class Silence(NamedTuple):
    """What is not seen of racks [R], converters [P] and hard-wired chains [I]. `cells_missing` [R]: some cells."""

    racks: Unseen
    pcs: Unseen
    chains: Unseen
    cells_missing: BoolArray

    def facts(self) -> tuple[bytes, ...]:
        """Return everything in it, to be compared."""
        return tuple(a.tobytes() for a in (*self.racks, *self.pcs, *self.chains, self.cells_missing))


@dataclass(frozen=True, slots=True)
class ProtectionResult:
    """What protection demands; it never changes afterwards. Racks [R], buses [B], converters [P], blocks [K].

    `level`, `latched` [M] per element; `onset_ns` [3, M]: the sample that first met each level's limit; `raised`:
    what was seen at the last rise, `trips`: at the latched trip. `rack_trip`: no current through this rack.
    `rack_trip_cause`: code of the row that tripped the rack first, 0 = none. `rack_connect_missing`,
    `pcs_start_missing`: bits of `Missing`, 0 = permitted.
    """

    level: NDArray[np.uint8]
    latched: BoolArray
    onset_ns: IntArray
    raised: Details
    trips: Details
    rack_trip: BoolArray
    rack_disconnect: BoolArray
    inhibit_charge: BoolArray
    inhibit_discharge: BoolArray
    bus_zero: BoolArray
    bus_zero_data: BoolArray  # [B] by no row, but because data of its equipment stay lost
    bus_zero_chain: BoolArray  # [B] by neither, but because a hard-wired chain stays unknown
    bus_no_increase: BoolArray
    bus_silent: BoolArray
    pcs_stop: BoolArray
    pcs_stop_stays: BoolArray  # [P] the converter's own stop or its block's, by a row that latches
    block_stop: BoolArray
    plant_stop: bool
    rack_trip_latched: BoolArray
    rack_any_trip: BoolArray
    rack_any_trip_quality: NDArray[np.uint8]
    rack_trip_cause: IntArray
    rack_connect_missing: IntArray
    pcs_start_missing: IntArray
    silence: Silence
