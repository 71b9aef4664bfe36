"""The schedule's entries put together, from the site file or from a file of its own."""

from __future__ import annotations

from dataclasses import dataclass

from controller.plant.figures import quantity
from controller.plant.messages import Message, error
from controller.plant.schedule import ScheduledAction, ScheduleEntry, ScheduleMode
from controller.plant.schema.schedule import DoSection, ScheduleSection
from controller.plant.yaml_tree import Document, Loc

MAX_ENTRIES = 200


@dataclass(frozen=True, slots=True)
class DraftEntry:
    """An entry and where it stands."""

    entry: ScheduleEntry
    document: Document
    loc: Loc


def draft_entries(document: Document, sections: list[ScheduleSection]) -> list[DraftEntry]:
    """Return the entries of a file whose `schedule` key holds the sections."""
    return [DraftEntry(_entry(s), document, ("schedule", k)) for k, s in enumerate(sections)]


def _entry(section: ScheduleSection) -> ScheduleEntry:
    return ScheduleEntry(section.name, section.days, section.from_, section.to, _action(section.do))


def _action(do: DoSection) -> ScheduledAction:
    soc = do.soc if do.soc is not None else do.stop_at_soc
    return ScheduledAction(do.mode, do.power or 0.0, do.reactive, soc)


def check_entries(drafts: list[DraftEntry], sections: list[ScheduleSection]) -> list[Message]:
    """Return what an entry says that its mode has no use for, or does not say."""
    messages = []
    if len(drafts) > MAX_ENTRIES:
        place = drafts[MAX_ENTRIES].document.place_of(drafts[MAX_ENTRIES].loc)
        return [error(place, f"the schedule has {len(drafts)} entries", f"at most {MAX_ENTRIES}")]
    for draft, section in zip(drafts, sections, strict=True):
        messages += [*_check_do(draft, section.do), *_check_length(draft)]
    return messages


def _check_length(draft: DraftEntry) -> list[Message]:
    entry = draft.entry
    if entry.start_min != entry.end_min:
        return []
    place = draft.document.place_of((*draft.loc, "to"))
    return [error(place, f"'{entry.name}' ends when it begins", 'a later time; a whole day is "00:00" to "24:00"')]


def _check_do(draft: DraftEntry, do: DoSection) -> list[Message]:
    mode, name = do.mode, draft.entry.name
    needs, forbids, sign = _MODES[mode]
    said = {key for key in ("power", "soc", "stop_at_soc") if getattr(do, key) is not None}
    messages = []
    for key in needs - said:
        place = draft.document.place_of((*draft.loc, "do"))
        messages.append(error(place, f"'{name}' has no '{key}' to {mode} with", f"a key '{key}'"))
    for key in forbids & said:
        place = draft.document.place_of((*draft.loc, "do", key), key=True)
        hint = "'stop_at_soc' ends 'power'; 'soc' is where 'charge_to' and 'discharge_to' lead"
        messages.append(error(place, f"'{key}' has no meaning with mode '{mode}'", "", hint))
    if sign and do.power is not None and do.power * sign <= 0:
        place = draft.document.place_of((*draft.loc, "do", "power"))
        way = "discharging is positive" if sign > 0 else "charging is negative"
        messages.append(error(place, f"'{name}' would {mode} with {quantity(do.power, 'W')}, but {way}", _SIGN[sign]))
    return messages


_SIGN = {1: "a power above zero", -1: "a power below zero, such as -9 MW"}
_MODES: dict[ScheduleMode, tuple[set[str], set[str], int]] = {
    ScheduleMode.POWER: ({"power"}, {"soc"}, 0),
    ScheduleMode.CHARGE_TO: ({"power", "soc"}, {"stop_at_soc"}, -1),
    ScheduleMode.DISCHARGE_TO: ({"power", "soc"}, {"stop_at_soc"}, 1),
    ScheduleMode.IDLE: (set(), {"power", "soc", "stop_at_soc"}, 0),
}
"""Of each mode: the keys it needs, the keys it has no use for, the sign of its power."""
