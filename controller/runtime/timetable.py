"""The site's schedule carried out: each scan it is asked what to command, as any other master would, and is judged so.

Rule: while an entry holds and the plant runs, its set-point is written when it begins, when its state of charge is
reached (zero from then on), and again at each third of the set-point's life. When it ends and no other begins, the
site's fall-back is written once and left to run out; a controller that dies leaves it to run out as well. The schedule
starts nothing, waits where another master holds the lease, and leaves a set-point that somebody else has written since
the entry began alone until the next entry. After a start it waits for the length of a lease, so that whoever
commanded before can go on. A state of charge that is not known ends the power of an entry that depends on it.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence

from controller.control.commands import Action, Command
from controller.control.sequences.plant import PlantState
from controller.control.setpoints import SCHEDULE_FACE, ControlOwner
from controller.image.quality import WORST_USABLE
from controller.plant.model import Plant
from controller.plant.schedule import ScheduledAction, ScheduleMode, Span, spans
from controller.runtime.scan_state import State

NS_PER_S = 1_000_000_000
DAYS_AHEAD = 2
RENEWED_AT = 2.0 / 3.0
"""With so much of its life left a set-point is written again."""


class Timetable:
    """Remembers the occurrence that holds and whether it has reached its end; all else is read from the plant."""

    def __init__(self, plant: Plant, now_ns: int) -> None:
        """Begin at a monotonic time."""
        self._plant, self._entries = plant, plant.schedule
        self._zone = zoneinfo.ZoneInfo(plant.timezone)
        self._free_from_ns = now_ns + round(plant.control.lease_s * NS_PER_S)
        self._reactive = any(entry.action.reactive_var for entry in plant.schedule)
        self._ahead: Sequence[Span] = ()
        self._known_until = self._known_from = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._held: Span | None = None
        self._claims = self._reached = False

    def commands(self, state: State, now_ns: int, utc_ns: int) -> list[Command]:
        """Return what the schedule asks of the next scan; mostly nothing."""
        if not self._entries or now_ns < self._free_from_ns:
            return []
        span = self._span_at(dt.datetime.fromtimestamp(utc_ns / NS_PER_S, dt.UTC))
        ended = self._held if span != self._held else None
        if span != self._held:
            self._held, self._claims, self._reached = span, True, False
        if state.control.plant.sequence is not PlantState.RUNNING:
            return []
        if span is None:
            return [] if ended is None or not self._is_ours(state) else self._end(ended, now_ns)
        return self._follow(span, state, now_ns)

    def _follow(self, span: Span, state: State, now_ns: int) -> list[Command]:
        if self._is_ours(state):
            self._claims = False
        elif state.control.active.renewed_ns is not None and not self._claims:
            return []  # somebody else's set-point since the entry began
        power_w = self._power_w(span.entry.action, state)
        active = state.control.active
        lasts = active.remaining_s(now_ns) > RENEWED_AT * active.timeout_s
        if self._is_ours(state) and lasts and active.requested == power_w:
            return []
        asked = self._ask(span, now_ns, power_w, span.entry.action.reactive_var)
        return asked if state.control.lease.is_free_for(asked[0], now_ns) else []

    def _end(self, ended: Span, now_ns: int) -> list[Command]:
        control = self._plant.control
        return self._ask(ended, now_ns, control.fallback_w, control.fallback_var)

    def _ask(self, span: Span, now_ns: int, power_w: float, reactive_var: float) -> list[Command]:
        wanted = [(Action.SET_ACTIVE_POWER, power_w)]
        if self._reactive:
            wanted.append((Action.SET_REACTIVE_POWER, reactive_var))
        name = span.entry.name
        return [
            Command(f"schedule-{now_ns}-{action}", SCHEDULE_FACE, name, "operator", action, "Plant", value, now_ns)
            for action, value in wanted
        ]

    def _is_ours(self, state: State) -> bool:
        active = state.control.active
        return active.renewed_ns is not None and active.owner is ControlOwner.SCHEDULE

    def _power_w(self, action: ScheduledAction, state: State) -> float:
        """Return the set-point now: zero once the state of charge is reached, and while it is not known."""
        if action.mode is ScheduleMode.IDLE or self._reached:
            return 0.0
        if action.soc_ratio is None:
            return action.power_w
        soc = state.image["plant.soc"]
        if soc.quality[0] > WORST_USABLE:
            return 0.0
        full = action.power_w < 0.0
        beyond = soc.value[0] >= action.soc_ratio if full else soc.value[0] <= action.soc_ratio
        self._reached = bool(beyond)
        return 0.0 if self._reached else action.power_w

    def _span_at(self, now: dt.datetime) -> Span | None:
        """Return the occurrence that holds; occurrences are laid out for two days at a time, and anew after a step."""
        if not self._known_from <= now < self._known_until:
            first = now.astimezone(self._zone).date() - dt.timedelta(days=1)
            self._ahead = tuple(spans(self._entries, self._zone, first, DAYS_AHEAD + 1))
            self._known_from, self._known_until = now, now + dt.timedelta(days=1)
        return next((span for span in self._ahead if span.start <= now < span.end), None)
