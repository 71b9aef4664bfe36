"""What is known of racks and converters in a scan: worked out anew only when a fact that it rests on has changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.limits.buses import Connections

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class RackStatus:
    """What is known of each rack [R], and what follows from it."""

    closed: BoolArray
    tripped: BoolArray
    locked_out: BoolArray
    open_with_current: BoolArray
    stuck: BoolArray  # and it must be open
    connections: Connections
    candidates: FloatArray  # what bounds the racks until a fact changes (`rack_limits`)


@dataclass(frozen=True, slots=True, eq=False)
class PcsStatus:
    """What is known of each converter [P]."""

    stop: BoolArray  # it must not run
    stop_stays: BoolArray  # and a person must release it
    armed: BoolArray  # its own watchdog is read back as enabled
    unarmed: BoolArray  # it is read back, and not enabled as it must be
    in_dc_window: BoolArray  # the voltage of its bus lies in its window
    has_racks: BoolArray  # a rack of its bus is connected
    ready: BoolArray  # and protection permits its start
    unseen: BoolArray  # its state was not read in this scan
    present: BoolArray  # or not for longer than its grace time
    runs: BoolArray  # it says that it runs


@dataclass(frozen=True, slots=True)
class Shown:
    """States and counts as SCADA sees them; `key` is what they follow from."""

    key: tuple[object, ...]
    rack_operating_state: CodeArray
    rack_available: BoolArray
    pcs_operating_state: CodeArray
    pcs_sequence_state: CodeArray
    pcs_available: BoolArray
    pcs_lost: BoolArray
    block_operating_state: CodeArray
    block_racks_connected: NDArray[np.int64]
    racks_connected: int
    racks_available: int
