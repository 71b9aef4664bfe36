"""How far an order reaches: from the equipment whose row gives it to what it acts on.

Rule: upwards along the plant's graph, never to a neighbour. A rack or bank reaches its racks, its bus, the converters
of that bus, its block; a converter the same by its own bus; a meter or an interlock its block, or the whole plant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.model import Plant
from controller.plant.signals import Owner

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Hits = Mapping[Owner, BoolArray]
"""Which equipment gives an order, by owner."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Relations of a plant as indices; -1: none (a rack without a bank, an interlock of the whole plant)."""

    rack_bank: IntArray
    rack_bus: IntArray
    rack_block: IntArray
    pcs_bus: IntArray
    pcs_block: IntArray
    bus_block: IntArray
    area_blocks: Mapping[Owner, IntArray]
    blocks: int

    def racks(self, hits: Hits) -> BoolArray:
        """Return the racks that an order reaches [R]."""
        by_bus = _spread(hits[Owner.PCS], self.pcs_bus, len(self.bus_block))
        own = self._own_racks(hits)
        return own | by_bus[self.rack_bus] | self._area(hits)[self.rack_block]

    def buses(self, hits: Hits) -> BoolArray:
        """Return the buses that an order reaches [B]."""
        by_rack = _spread(self._own_racks(hits), self.rack_bus, len(self.bus_block))
        by_pcs = _spread(hits[Owner.PCS], self.pcs_bus, len(self.bus_block))
        return by_rack | by_pcs | self._area(hits)[self.bus_block]

    def pcs(self, hits: Hits) -> BoolArray:
        """Return the converters that an order reaches [P]."""
        by_rack = _spread(self._own_racks(hits), self.rack_bus, len(self.bus_block))
        return by_rack[self.pcs_bus] | hits[Owner.PCS] | self._area(hits)[self.pcs_block]

    def block_stops(self, hits: Hits) -> BoolArray:
        """Return the blocks that an order reaches [K]."""
        by_rack = _spread(self._own_racks(hits), self.rack_block, self.blocks)
        return by_rack | _spread(hits[Owner.PCS], self.pcs_block, self.blocks) | self._area(hits)

    def is_plant_wide(self, hits: Hits) -> bool:
        """Return whether any of the equipment belongs to no block, but to the plant."""
        return any(bool(hits[owner][blocks < 0].any()) for owner, blocks in self.area_blocks.items())

    def of_banks(self, banks: BoolArray) -> BoolArray:
        """Return the racks of these banks [R]."""
        return np.concatenate([banks, [False]])[self.rack_bank]

    def _own_racks(self, hits: Hits) -> BoolArray:
        return hits[Owner.RACK] | self.of_banks(hits[Owner.BANK])

    def _area(self, hits: Hits) -> BoolArray:
        area = np.zeros(self.blocks, np.bool_)
        for owner, blocks in self.area_blocks.items():
            area |= _spread(hits[owner] & (blocks >= 0), blocks, self.blocks)
        return area | self.is_plant_wide(hits)


def reach_of(plant: Plant) -> Reach:
    """Return the relations of a plant."""
    areas = {
        Owner.METER: np.array([m.block for m in plant.meters], np.int64),
        Owner.INTERLOCK: np.array([i.block for i in plant.interlocks], np.int64),
    }
    return Reach(
        rack_bank=np.array([r.bank for r in plant.racks], np.int64),
        rack_bus=np.array([r.bus for r in plant.racks], np.int64),
        rack_block=np.array([r.block for r in plant.racks], np.int64),
        pcs_bus=np.array([p.bus for p in plant.pcs], np.int64),
        pcs_block=np.array([p.block for p in plant.pcs], np.int64),
        bus_block=np.array([b.block for b in plant.buses], np.int64),
        area_blocks=areas,
        blocks=len(plant.blocks),
    )


def _spread(mask: BoolArray, target: IntArray, count: int) -> BoolArray:
    """Return which of `count` targets any true entry of the mask points at."""
    hit = np.zeros(count, np.bool_)
    hit[target[mask]] = True
    return hit
