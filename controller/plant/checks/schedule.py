"""Is a schedule possible: no two entries at once, on days of clock changes too; power and energy that there are."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from collections.abc import Iterator
from itertools import pairwise

from controller.plant.checks.context import CheckContext
from controller.plant.expansion.schedule import DraftEntry
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, Place, error, warning
from controller.plant.schedule import ScheduleMode, Span, clock_changes, moment_of, span_on, spans

FIRST_DAY = dt.date(2026, 1, 5)
"""A Monday; clock changes of the three years after it stand for all: their rules repeat."""
LOOKED_AT_DAYS = 3 * 365
_ENOUGH_RATIO = 0.02
LEAST_OF_RATING = 1e-3
WRONG_END_RATIO = 0.25
"""Of the operating window: who charges to no more than this above its lower end hardly means it."""


def entries_do_not_overlap(context: CheckContext) -> Iterator[Message]:
    """At any time at most one entry holds."""
    if not context.schedule:
        return
    drafts = {id(d.entry): d for d in context.schedule}
    zone = zoneinfo.ZoneInfo(context.plant.timezone)
    for first in _weeks(zone):
        week = sorted(spans(context.plant.schedule, zone, first, 8), key=lambda s: (s.start, s.end))
        latest: Span | None = None
        for span in week:
            if latest is not None and span.start < latest.end and span.entry is not latest.entry:
                yield _overlap(drafts[id(latest.entry)], drafts[id(span.entry)], zone, span)
            latest = span if latest is None or span.end > latest.end else latest


def _weeks(zone: dt.tzinfo) -> Iterator[dt.date]:
    """Yield the first days of an ordinary week and of the weeks in which the clock is changed."""
    yield FIRST_DAY
    for day in clock_changes(zone, FIRST_DAY, LOOKED_AT_DAYS):
        yield day - dt.timedelta(days=3)


def _overlap(one: DraftEntry, other: DraftEntry, zone: dt.tzinfo, span: Span) -> Message:
    first, second = sorted((one, other), key=lambda d: d.document.place_of(d.loc))
    local = span.start.astimezone(zone)
    message = f"'{second.entry.name}' and '{first.entry.name}' both hold on {local:%A} at {local:%H:%M}"
    also = [first.document.place_of((*first.loc, "from"))]
    return error(second.document.place_of((*second.loc, "from")), message, "one entry at a time", see_also=also)


def entries_survive_clock_changes(context: CheckContext) -> Iterator[Message]:
    """A time that is skipped or comes twice on one day of the year is seldom what was meant."""
    zone = zoneinfo.ZoneInfo(context.plant.timezone)
    changes = clock_changes(zone, FIRST_DAY, LOOKED_AT_DAYS) if context.schedule else []
    for day in changes:
        for draft in context.schedule:
            span = span_on(draft.entry, zone, day)
            if span is None:
                continue
            if span.end <= span.start:
                place = draft.document.place_of((*draft.loc, "from"))
                message = f"'{draft.entry.name}' does not take place on {day}: the clock skips it"
                yield warning(place, message, "times outside the hour that is skipped")
                continue
            for key, minute in (("from", draft.entry.start_min), ("to", draft.entry.end_min)):
                what = _unclear(zone, day, minute)
                if what:
                    message = f"{key} of '{draft.entry.name}' {what[0]} on {day}; {what[1]}"
                    place = draft.document.place_of((*draft.loc, key))
                    yield warning(place, message, "a time outside the hour in which the clock is changed")


def _unclear(zone: dt.tzinfo, day: dt.date, minute: int) -> tuple[str, str] | None:
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minute)
    seen = moment_of(zone, day, minute).astimezone(zone).replace(tzinfo=None)
    if seen != wall:
        return "does not exist", f"{seen:%H:%M} counts"
    later = wall.replace(fold=1, tzinfo=zone).astimezone(dt.UTC)
    if later != moment_of(zone, day, minute):
        return "comes twice", "the first time counts"
    return None


def powers_are_possible(context: CheckContext) -> Iterator[Message]:
    """An entry asks for no more than the POI and the converters bear."""
    poi = context.plant.poi
    for draft in context.schedule:
        power_w = draft.entry.action.power_w
        limit_w = poi.export_limit_w if power_w > 0 else poi.import_limit_w
        if abs(power_w) > limit_w * 1.001:
            way = "export" if power_w > 0 else "import"
            message = f"'{draft.entry.name}' asks for {quantity(power_w, 'W')},"
            message += f" the POI's {way} limit is {quantity(limit_w, 'W')}"
            also = [context.at("site", "poi", f"{way}_limit")]
            yield error(_do(draft, "power"), message, f"at most {quantity(limit_w, 'W')}", see_also=also)
        reactive_var = draft.entry.action.reactive_var
        if abs(reactive_var) > poi.apparent_va * 1.001:
            message = f"'{draft.entry.name}' asks for {quantity(reactive_var, 'var')}"
            message += f" of {quantity(poi.apparent_va, 'VA')}"
            yield error(_do(draft, "reactive"), message, f"at most {quantity(poi.apparent_va, 'var')}")
        elif math.hypot(power_w, reactive_var) > poi.apparent_va * 1.001 and abs(power_w) <= limit_w * 1.001:
            together = f"'{draft.entry.name}' asks for {quantity(power_w, 'W')} and {quantity(reactive_var, 'var')}"
            message = f"{together}, {quantity(math.hypot(power_w, reactive_var), 'VA', 3)} of"
            message += f" {quantity(poi.apparent_va, 'VA')}"
            most_var = math.sqrt(max(0.0, poi.apparent_va**2 - power_w**2))
            expected = f"at most {quantity(most_var, 'var', 3)} beside that power"
            yield error(_do(draft, "reactive"), message, expected)
        if 0 < abs(power_w) < LEAST_OF_RATING * poi.power_w:
            message = f"'{draft.entry.name}' asks for {quantity(power_w, 'W')} of {quantity(poi.power_w, 'W')}: nothing"
            message += " that the meter at the POI could tell"
            yield warning(_do(draft, "power"), message, "0 W, or more power", "kW or MW instead of W?")


def ends_are_reachable(context: CheckContext) -> Iterator[Message]:
    """A target lies within the operating window, and the energy between the ends of the window is enough."""
    control = context.plant.control
    if control.soc_min_ratio >= control.soc_max_ratio:
        return  # there is no window: the settings are complained about where they stand
    for draft in context.schedule:
        action = draft.entry.action
        key = "stop_at_soc" if action.mode is ScheduleMode.POWER else "soc"
        if action.soc_ratio is not None and not control.soc_min_ratio <= action.soc_ratio <= control.soc_max_ratio:
            window = f"{control.soc_min_ratio:.0%} to {control.soc_max_ratio:.0%}"
            message = f"'{draft.entry.name}' leads to {action.soc_ratio:.0%}, outside the operating window"
            also = [context.at("controls", "limits", "soc")]
            yield error(_do(draft, key), message, f"from {window}", see_also=also)
            continue
        yield from _ends_at_once(context, draft, key)
        yield from _long_enough(context, draft)


def _ends_at_once(context: CheckContext, draft: DraftEntry, key: str) -> Iterator[Message]:
    """Who charges ends in the upper part of the window, who discharges in the lower: else it ends as it begins."""
    control, action = context.plant.control, draft.entry.action
    if action.soc_ratio is None or action.power_w == 0:
        return
    width = control.soc_max_ratio - control.soc_min_ratio
    left = control.soc_max_ratio - action.soc_ratio if action.power_w > 0 else action.soc_ratio - control.soc_min_ratio
    if left < WRONG_END_RATIO * width:
        way, other = ("discharges", "charging") if action.power_w > 0 else ("charges", "discharging")
        side = "below" if action.power_w > 0 else "above"
        message = f"'{draft.entry.name}' {way} with {quantity(action.power_w, 'W')} and ends at {action.soc_ratio:.0%}:"
        message += " mostly it would end as it begins"
        hint = f"is {other} meant? + discharges, - charges"
        yield warning(_do(draft, key), message, f"an end {side} where it begins, or a power of the other sign", hint)


def _long_enough(context: CheckContext, draft: DraftEntry) -> Iterator[Message]:
    """Power for as long as the entry lasts needs no more than is in the window; a target can be reached in time."""
    plant, entry, action = context.plant, draft.entry, draft.entry.action
    hours = ((entry.end_min - entry.start_min - 1) % 1440 + 1) / 60
    installed_wh = sum(rack.battery.energy_wh for rack in plant.racks)
    efficiency = min((pcs.efficiency_ratio for pcs in plant.pcs), default=1.0)
    asked_wh = abs(action.power_w) * hours
    cell_wh = asked_wh / efficiency if action.power_w > 0 else asked_wh * efficiency
    window = plant.control.soc_max_ratio - plant.control.soc_min_ratio
    if action.mode is ScheduleMode.POWER and action.soc_ratio is None and cell_wh > installed_wh * window * 1.001:
        message = f"'{entry.name}' asks for {quantity(asked_wh, 'Wh')}, the operating window holds"
        message += f" {quantity(installed_wh * window, 'Wh')}"
        hint = "state 'stop_at_soc' if it is meant to end early"
        yield warning(_do(draft, "power"), message, "less power or a shorter entry", hint)
    if action.mode is ScheduleMode.CHARGE_TO and action.soc_ratio is not None:
        needed_wh = installed_wh * (action.soc_ratio - plant.control.soc_min_ratio)
        if cell_wh < needed_wh * (1 - _ENOUGH_RATIO):
            reached = plant.control.soc_min_ratio + cell_wh / installed_wh
            message = f"'{entry.name}' reaches {reached:.0%} from an empty plant in {number(hours, 3)} h, not"
            message += f" {action.soc_ratio:.0%}"
            yield warning(_do(draft, "power"), message, "more power or a longer entry")


def _do(draft: DraftEntry, key: str) -> Place:
    return draft.document.place_of((*draft.loc, "do", key))


def names_differ(context: CheckContext) -> Iterator[Message]:
    """Events and the operator's page name entries."""
    for one, other in pairwise(sorted(context.schedule, key=lambda d: d.entry.name)):
        if one.entry.name == other.entry.name:
            first, second = sorted((one, other), key=lambda d: d.document.place_of(d.loc))
            also = [first.document.place_of((*first.loc, "name"))]
            place = second.document.place_of((*second.loc, "name"))
            yield error(place, f"two entries are called '{one.entry.name}'", "one name, one entry", see_also=also)


SCHEDULE_CHECKS = (
    names_differ,
    entries_do_not_overlap,
    entries_survive_clock_changes,
    powers_are_possible,
    ends_are_reachable,
)
