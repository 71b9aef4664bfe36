"""From the process image to sources: one number per element, turned so that higher is worse, -inf where unusable.

Rule: of a row's signals the worst usable one counts. Unusable is what the image calls worse than uncertain, what is
not a number, and what no device serves. A hard-wired chain that is not read is unknown, which is neither healthy nor
tripped: `silence` says what that does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.quality import usable
from controller.image.quantities import Section
from controller.plant.protection_rows import Reduction
from controller.plant.signals import ContactorState
from controller.protection.sources import Gather, Source
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_OPEN = int(ContactorState.OPEN)


def measure(table: ProtectionTable, state: ProtectionState, image: Image, now_ns: int, dt_s: float) -> None:
    """Bring all measurements of the state up to this scan, `dt_s` after the one before."""
    if state.started_ns < 0:
        state.started_ns = now_ns
        state.seen_ns[:] = now_ns
    gather, sourced = table.gather, state.sourced
    section = image.buffers[Section.RACKS]
    quality = section[gather.quality]
    believed = usable(quality) & table.served
    state.time_ns = section.view(np.int64)[gather.time]
    _take_plain(gather, state, section)
    _take_cells(table, state, image)
    np.copyto(sourced, state.cell_figure, where=gather.per_cell)
    np.copyto(state.time_ns, state.cell_time_ns, where=gather.per_cell)
    np.copyto(believed, state.cell_usable, where=gather.per_cell)
    _take_others(state, image, gather, dt_s)
    _take_ages(table, state, believed, now_ns)
    believed &= ~np.isnan(sourced)
    np.copyto(sourced, -np.inf, where=~believed)
    np.copyto(state.seen_ns, state.time_ns, where=believed)
    state.worst = table.worst_of(sourced)
    state.known = state.worst > -np.inf
    contactor = image["rack.contactor"]
    np.copyto(state.last_seen_open, contactor.value == _OPEN, where=usable(contactor.quality))


def winner(table: ProtectionTable, state: ProtectionState) -> IntArray:
    """Return the source [M] that each element's worst value came from."""
    best = np.arange(table.size)
    for place, elements in table.layers:
        worse = state.sourced[place] > state.sourced[best[elements]]
        best[elements] = np.where(worse, np.arange(place.start, place.stop), best[elements])
    return best


def _take_plain(gather: Gather, state: ProtectionState, section: NDArray[np.uint8]) -> None:
    value = section.view(np.float64)[gather.value]
    value *= gather.turn
    np.abs(value, out=value, where=gather.magnitude)
    np.maximum(value, gather.lowest, out=value)
    value *= gather.sign
    state.sourced[gather.plain] = value


def _take_cells(table: ProtectionTable, state: ProtectionState, image: Image) -> None:
    """Take over the figures of cell signals that have changed; those that have not still stand in `cell_figure`."""
    changed = {name for name, summary in state.cells.items() if summary.refresh(image[name])}
    for source in table.gather.cells if changed else ():
        if source.signal in changed:
            place, summary = source.place, state.cells[source.signal]
            state.cell_time_ns[place] = summary.time_ns
            state.cell_usable[place] = summary.usable & table.served[place]
            figure, state.cell[place] = _cell_figure(state, image, source)
            state.cell_figure[place] = source.sign * figure


def _cell_figure(state: ProtectionState, image: Image, source: Source) -> tuple[FloatArray, IntArray]:
    if source.reduction is not Reduction.RATE:
        return state.cells[source.signal].figure(source.reduction)
    rates = state.rates[source.place.start]
    rates.add(image[source.signal], state.cells[source.signal].present)
    return rates.rate, rates.cell


def _take_others(state: ProtectionState, image: Image, gather: Gather, dt_s: float) -> None:
    for source in gather.cell_ages:
        state.time_ns[source.place] = image[source.signal].time_ns
    for source in gather.codes:
        np.multiply(image[source.signal].value, float(source.sign), out=state.sourced[source.place])
    for source in gather.rates:
        rates = state.rates[source.place.start]
        rates.add(image[source.signal], rates.scalar)
        state.sourced[source.place] = source.sign * rates.rate
    if gather.commands:
        beyond_w = _beyond_command(state, image, dt_s)
        for source in gather.commands:
            state.sourced[source.place] = source.sign * beyond_w
    for source in gather.counters:
        counter = state.counters[source.place.start]
        counter.follow(image[source.signal])
        state.time_ns[source.place] = counter.changed_ns


def _beyond_command(state: ProtectionState, image: Image, dt_s: float) -> FloatArray:
    """Return by how much each converter's power lies outside zero to what it was commanded, NaN if unknown."""
    power, command = image["pcs.active_power"], image["pcs.active_power_command"]
    known = usable(command.quality)
    power_w = np.where(usable(power.quality), power.value, np.nan)
    state.commanded.follow(np.where(known, command.value, np.nan), power_w, dt_s)
    return np.where(known, state.commanded.beyond_w(power_w), np.nan)


def _take_ages(table: ProtectionTable, state: ProtectionState, believed: BoolArray, now_ns: int) -> None:
    """The age of a value counts whatever its quality; before the first sample it is the time since start."""
    ages = table.gather.ages
    since_ns = np.maximum(state.time_ns[ages], state.started_ns)
    state.sourced[ages] = table.gather.age_sign * (now_ns - since_ns) * 1e-9
    believed[ages] = table.served[ages]
