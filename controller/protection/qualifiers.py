"""Qualifiers: in which state of its equipment a row is looked at (connected, charging, at rest).

Rule: a state that is not known is neither yes nor no: the row's timers freeze, as with a lost value. A row whose state
ended keeps its level until its value is back inside the reset limit, so that an inhibit can't undo itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.quality import usable
from controller.plant.protection_rows import Qualifier
from controller.plant.signals import BreakerState, ContactorState, Owner, PcsState
from controller.protection.table import ProtectionTable

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StateSignals:
    """Which signal tells whether equipment is connected, in which codes, and which current flows through it."""

    connection: str
    closed: tuple[int, ...]
    open: tuple[int, ...]
    unknown: tuple[int, ...]  # by which the device itself says that it does not know
    current: str = ""


STATE_SIGNALS = {
    Owner.RACK: StateSignals(
        "rack.contactor",
        closed=(ContactorState.CLOSED,),
        open=(ContactorState.OPEN,),
        unknown=(ContactorState.UNKNOWN,),
        current="rack.current",
    ),
    Owner.BANK: StateSignals(
        "bank.state", closed=(ContactorState.CLOSED,), open=(ContactorState.OPEN,), unknown=(ContactorState.UNKNOWN,)
    ),
    Owner.PCS: StateSignals(
        "pcs.state",
        closed=(PcsState.RUNNING, PcsState.THROTTLED),
        open=(PcsState.OFF, PcsState.SLEEPING, PcsState.STANDBY, PcsState.FAULT),
        unknown=(PcsState.UNKNOWN,),
        current="pcs.dc_current",
    ),
    Owner.METER: StateSignals(
        "meter.breaker", closed=(BreakerState.CLOSED,), open=(BreakerState.OPEN,), unknown=(BreakerState.BAD,)
    ),
}


def qualify(table: ProtectionTable, image: Image, near: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Return (is in its state, that is known), both [M]; asked only of rows that are `near` a limit anywhere [M]."""
    meets, sure = np.ones(table.size, np.bool_), np.ones(table.size, np.bool_)
    for table_row in table.qualified:
        row, place = table_row.row, table_row.place
        if np.count_nonzero(near[place]):
            meets[place], sure[place] = _state(image, row.owner, row.qualifier, row.qualifier_current_a)
    return meets, sure


def _state(image: Image, owner: Owner, qualifier: Qualifier, current_a: float) -> tuple[BoolArray, BoolArray]:
    signals = STATE_SIGNALS[owner]
    if qualifier in {Qualifier.CONNECTED, Qualifier.DISCONNECTED}:
        values = image[signals.connection]
        codes = signals.closed if qualifier is Qualifier.CONNECTED else signals.open
        return _is_one_of(values.value, codes), usable(values.quality) & ~_is_one_of(values.value, signals.unknown)
    values = image[signals.current]
    flowing = np.abs(values.value) > current_a
    match qualifier:
        case Qualifier.CHARGING:
            meets = flowing & (values.value < 0)
        case Qualifier.DISCHARGING:
            meets = flowing & (values.value > 0)
        case _:
            meets = ~flowing
    return meets, usable(values.quality)


def _is_one_of(value: NDArray[np.int32], codes: tuple[int, ...]) -> BoolArray:
    found = np.zeros(value.shape, np.bool_)
    for code in codes:
        found |= value == int(code)
    return found
