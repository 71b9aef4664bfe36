"""Protection's step of the scan: measurements in, orders out; and the reset of what it has latched."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from controller.alarms.equipment import AXIS_OF_OWNER, EquipmentList
from controller.image.image import Image
from controller.image.quality import Quality
from controller.plant.protection_rows import Level, ResetClass
from controller.protection.levels import advance, name_cells
from controller.protection.measure import measure
from controller.protection.orders import give_orders
from controller.protection.result import ProtectionResult, Silence
from controller.protection.silence import find_silence
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable, reset_rank

BoolArray = NDArray[np.bool_]


def protect(table: ProtectionTable, state: ProtectionState, image: Image, now_ns: int, dt_s: float) -> ProtectionResult:
    """Judge this scan's measurements.

    Args:
        table: The compiled rows.
        state: Changed here; owned by the scan.
        image: Measurements; of computed quantities only `pcs.active_power_command`, as it was written last.
        now_ns: Monotonic time of this scan.
        dt_s: Time since the last scan that delays may count; the scan decides what a long pause counts for.

    Returns:
        The orders; the same object as long as nothing that they follow from has changed.
    """
    measure(table, state, image, now_ns, dt_s)
    advance(table, state, image, round(dt_s * 1e9))
    name_cells(table, state)
    silence = find_silence(table, state, now_ns)
    facts = _facts(table, state, silence, image)
    if state.result is None or facts != state.facts:
        state.facts = facts
        state.result = give_orders(table, state, silence, image)
    return state.result


def _facts(table: ProtectionTable, state: ProtectionState, silence: Silence, image: Image) -> tuple[bytes, ...]:
    """Everything that orders follow from."""
    bms = image["rack.tripped"]
    arrays = (state.level, state.latched, state.known, state.raised.cell, bms.value, bms.quality)
    return (*(a.tobytes() for a in arrays), *(() if silence is table.no_silence else silence.facts()))


def reset(
    table: ProtectionTable, state: ProtectionState, permitted: ResetClass, elements: BoolArray | None = None
) -> BoolArray:
    """Reset latched trips and return which elements were reset [M].

    Rule: a latch goes only when its cause is gone, which is that the value has been inside its reset limit for its
    off-delay and is so now, by a usable measurement; and only if the row's reset class permits it.

    Args:
        table: The compiled rows.
        state: Changed here.
        permitted: The highest class that whoever asks may reset.
        elements: What is asked for [M]; all, if absent.
    """
    ready = state.latched & can_reset(table, state, permitted)
    if elements is not None:
        ready &= elements
    state.latched[ready] = False
    return ready


def can_reset(table: ProtectionTable, state: ProtectionState, permitted: ResetClass) -> BoolArray:
    """Return which elements would let go of their latch [M]."""
    gone = (state.level < Level.TRIP) & state.known & (state.worst <= table.reset)
    ready: BoolArray = gone & (table.reset_rank <= reset_rank(permitted))
    return ready


def why_not_reset(table: ProtectionTable, state: ProtectionState, element: int, permitted: ResetClass) -> str:
    """Return why an element's latch stays, in words; "" if it would go."""
    if not state.latched[element] or can_reset(table, state, permitted)[element]:
        return ""
    row = table.locate(element)[0].row
    if not state.known[element]:
        return f"{row.name}: its measurement is lost"
    if table.reset_rank[element] > reset_rank(permitted):
        return f"{row.name}: only a reset of class {row.reset_class} may"
    return f"{row.name}: the cause is not gone"


def trips_that_stay(
    table: ProtectionTable, state: ProtectionState, permitted: ResetClass, elements: BoolArray | None = None
) -> tuple[str, ...]:
    """Return which latches a reset would leave, each with its equipment and why; arguments as of `reset`."""
    stays = state.latched & ~can_reset(table, state, permitted)
    if elements is not None:
        stays &= elements
    names = EquipmentList(table.plant).names if stays.any() else {}
    return tuple(
        f"{names[AXIS_OF_OWNER[table_row.row.owner]][index]} {why_not_reset(table, state, element, permitted)}"
        for element in np.flatnonzero(stays).tolist()
        for table_row, index in (table.locate(element),)
    )


def published(result: ProtectionResult) -> Iterable[tuple[str, NDArray[np.generic], NDArray[np.uint8] | Quality]]:
    """Return what faces see of protection."""
    yield "rack.trip_latched", result.rack_trip_latched, Quality.GOOD
    yield "rack.any_trip", result.rack_any_trip, result.rack_any_trip_quality
    yield "rack.trip_cause", result.rack_trip_cause, Quality.GOOD
