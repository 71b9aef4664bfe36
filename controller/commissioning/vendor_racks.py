"""A bank's list that shows one rack, or the first few: how often their block repeats, from what the list says.

Rule: rows of a rack stand once in the list; a note tells how many racks there are and how far apart. Two notes that say
different things, or rows that contradict the note, are complaints that name both: neither is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.commissioning.tables import Complaints
from controller.commissioning.vendor_entries import Entry
from controller.commissioning.vendor_notes import Repetition, is_of_racks, repetition_of, stride_of
from controller.commissioning.vendor_signals import is_of_cells

HOW_TO_SAY_IT = "a row 'Racks 1 to 9, each 600 registers further on' (with its numbers), or rows of every rack"


def with_racks(
    entries: Sequence[Entry], notes: Sequence[str], complaints: Complaints
) -> tuple[list[Entry], tuple[str, ...]]:
    """Return a bank's entries, those of its racks marked and repeated as the list says, and what was taken from it."""
    marked = [replace(e, of_rack=True) if _is_rack(e) else e for e in entries]
    texts = [*notes, *dict.fromkeys(e.comment for e in marked if stride_of(e.comment) is not None)]
    said = {note: found for note in texts if (found := repetition_of(note)) is not None}
    of_racks = [e for e in marked if e.of_rack]
    if not of_racks:
        return marked, ()
    if not said:
        single = [e for e in of_racks if e.racks == 1]
        told = f"{len(single)} rows are of one rack; how often they repeat is not said. Expected: {HOW_TO_SAY_IT}."
        half = next((e for e in single if stride_of(e.comment) is not None), None)
        if half is not None:
            told = f"{len(single)} rows are of one rack; {half.cell.ref} says how far apart racks stand, not how many"
            told += f" there are. Expected: a row 'Racks 1 to 9, each {stride_of(half.comment)} registers further on'."
        return marked, (told,) if single else ()
    if len(set(said.values())) > 1:
        both = " and ".join(f"{found} ('{note}')" for note, found in said.items())
        complaints.add(of_racks[0].cell, f"the list says two things of its racks: {both}", "one of them")
        return marked, ()
    note, repetition = next(iter(said.items()))
    return [_repeated(e, repetition, note, complaints) for e in marked], (
        f"Taken from '{note}': {repetition}. Read one value of the second rack to be sure.",
    )


def _is_rack(entry: Entry) -> bool:
    named = is_of_racks(entry.name, entry.title) or stride_of(entry.comment) is not None
    return entry.racks > 1 or named or (entry.count > 1 and is_of_cells(entry.name))


def _repeated(entry: Entry, repetition: Repetition, note: str, complaints: Complaints) -> Entry:
    """Return a rack's entry with the note's racks; where rows show their own step, it must be the note's."""
    if not entry.of_rack or entry.racks == repetition.racks:
        return entry
    if entry.racks > 1 and entry.rack_stride != repetition.stride:
        shown = Repetition(entry.racks, entry.rack_stride)
        message = f"{entry.name}: the rows show {shown}, a note says {repetition} ('{note}')"
        complaints.add(entry.cell, message, HOW_TO_SAY_IT)
        return entry
    return replace(entry, racks=repetition.racks, rack_stride=repetition.stride)
