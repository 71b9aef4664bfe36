"""Every command gets one reply: accepted, or refused with the reason in words.

Rule: stops and falling limits are accepted from any authorised source at any time, ahead of everything else. What lets
the plant do more (a start, a reset, the end of a lock-out, a rising limit) is refused while the retained state can't be
written. What other rooms have to do (reset a protection latch, acknowledge alarms) is handed on in `Forwarded`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from controller.control.commands import (
    LIMITS,
    LOOSENING,
    OWN_FACE,
    STOPS,
    Action,
    Command,
    Refusal,
    Reply,
    reason_problem,
)
from controller.control.desk import EVERYTHING, Desk
from controller.control.events import Event, EventKind
from controller.control.limits.poi import Limit, Limits
from controller.control.permissives import NOT_RETAINED, missing_for_connect, missing_for_start, unhealthy_chains
from controller.control.rights import may
from controller.control.sequences.plant import STARTING, STOPPING, TAKES_SETPOINTS, PlantState
from controller.control.sequences.rack import RackSequenceState, Wanted
from controller.control.setpoints import Setpoint
from controller.control.state import SITE_HOLDER, ControlState, LockOut
from controller.plant.signals import Owner

OLDEST_COMMAND_NS = 5_000_000_000
LARGEST_HEARTBEAT = 0xFFFFFFFF
TOLD_AT_MOST = 5
"""So many trips that stay are named in a reply, the others counted."""


class Verdict(NamedTuple):
    """Accepted (refusal NONE) or not, and the words of the reply."""

    refusal: Refusal = Refusal.NONE
    text: str = ""


ACCEPTED = Verdict()
HELD_IN_MEMORY = Verdict(
    text="in effect, but not on disk: when this machine restarts, a fast stop holds the plant until it is reset"
)
_RETAINED = frozenset({Action.FAST_STOP, Action.LOCK_OUT, *LIMITS})
"""What a restart must know of."""


def answer_all(desk: Desk, commands: Iterable[Command]) -> tuple[Reply, ...]:
    """Answer the commands of one scan in order of arrival: a stop put first would be undone by an earlier start."""
    return tuple(_answer(desk, command) for command in commands)


def _answer(desk: Desk, command: Command) -> Reply:
    owner, index = desk.state.relations.targets.get(command.target, (None, -1))
    verdict = _judge(desk, command, owner, index)
    accepted = verdict.refusal is Refusal.NONE
    if _is_news(desk, command, verdict):
        kind = EventKind.COMMAND_ACCEPTED if accepted else EventKind.COMMAND_REFUSED
        reported = command.action is Action.REPORT_REFUSED
        what = "" if reported else f"{command.action} {command.value if command.value is not None else ''}"
        words = f"{what} {verdict.text}"
        code = float(verdict.refusal)
        desk.events.append(
            Event(kind, owner or Owner.PLANT, index, 0.0, code, _actor(command), " ".join(words.split()))
        )
    return Reply(command.id, accepted, verdict.refusal, verdict.text, desk.state.sequence)


def _is_news(desk: Desk, command: Command, verdict: Verdict) -> bool:
    """What a master does all the time is told once: its heartbeat, a renewed set-point, the same refusal again."""
    told, key = desk.state.told, (command.face, command.user, command.action)
    if verdict.refusal is not Refusal.NONE:
        news = told.get(key) != verdict
        told[key] = verdict
        return news
    told.pop(key, None)
    return command.action not in _TOLD_OTHERWISE


_TOLD_OTHERWISE = frozenset({Action.SCADA_HEARTBEAT, Action.SET_ACTIVE_POWER, Action.SET_REACTIVE_POWER, *LIMITS})


def _judge(desk: Desk, command: Command, owner: Owner | None, index: int) -> Verdict:
    """Right, target, age, then the action itself."""
    if not may(command.role, command.action):
        return Verdict(Refusal.NO_RIGHT, f"role {command.role!r} may not {command.action}")
    if owner not in _TARGETS[command.action]:
        wanted = " or ".join(sorted(_TARGETS[command.action]))
        return Verdict(Refusal.UNKNOWN_TARGET, f"{command.target!r} is no {wanted}")
    if command.action not in STOPS | LIMITS and desk.now_ns - command.issued_mono_ns > OLDEST_COMMAND_NS:
        return Verdict(Refusal.TOO_OLD, "the command is older than 5 s")
    if command.action in LOOSENING and not desk.retains:
        return Verdict(Refusal.WRONG_STATE, NOT_RETAINED)
    verdict = _HANDLERS[command.action](desk, command, index)
    return HELD_IN_MEMORY if verdict == ACCEPTED and command.action in _RETAINED and not desk.retains else verdict


def _actor(command: Command) -> str:
    return f"{command.face}:{command.user}"


# -------------------------------------------------------------------------------------------- set-points and limits


def _number(value: object, low: float, high: float, rounding_ratio: float = 1e-9) -> float | Verdict:
    """Return a finite number within [low, high], or why it is none; faces round when they convert units."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Verdict(Refusal.WRONG_TYPE, "a number is expected")
    if not math.isfinite(value):
        return Verdict(Refusal.OUT_OF_RANGE, "a finite number is expected")
    rounding = rounding_ratio * max(abs(low), abs(high))
    if not low - rounding <= value <= high + rounding:
        return Verdict(Refusal.OUT_OF_RANGE, f"expected {low:g} to {high:g}")
    return min(max(float(value), low), high)


def _set_active_power(desk: Desk, command: Command, _index: int) -> Verdict:
    poi = desk.plant.poi
    return _set_power(desk, command, desk.state.active, (-poi.import_limit_w, poi.export_limit_w))


def _set_reactive_power(desk: Desk, command: Command, _index: int) -> Verdict:
    apparent_va = desk.plant.poi.apparent_va
    return _set_power(desk, command, desk.state.reactive, (-apparent_va, apparent_va))


def _set_power(desk: Desk, command: Command, setpoint: Setpoint, span: tuple[float, float]) -> Verdict:
    value = _number(command.value, *span)
    if isinstance(value, Verdict):
        return value
    life = _life(desk, command, setpoint, span)
    if isinstance(life, Verdict):
        return life
    state = desk.state
    if not state.lease.is_free_for(command, desk.now_ns):
        return Verdict(Refusal.NOT_OWNER, f"the set-points belong to {state.lease.master}")
    if value != 0.0 and state.plant.sequence not in TAKES_SETPOINTS:
        return Verdict(Refusal.WRONG_STATE, f"the plant is {_words(state)}; start it first")
    before, old_renewal = setpoint.accepted, setpoint.renewed_ns
    setpoint.write(command, value, desk.now_ns, life)
    state.plant.scada_heartbeat_ns = None  # from now on the set-point's own life tells of silence
    state.lease.take(command, desk.now_ns)
    if value != before or old_renewal is None:
        text = "active power" if setpoint is state.active else "reactive power"
        desk.events.append(Event(EventKind.SETPOINT_ACCEPTED, Owner.PLANT, 0, before, value, _actor(command), text))
    return ACCEPTED


def _life(desk: Desk, command: Command, setpoint: Setpoint, span: tuple[float, float]) -> tuple[float, float] | Verdict:
    """Return (time-out s, fall-back): the command's own, else the site's."""
    settings = desk.plant.control
    site_fallback = settings.fallback_w if setpoint is desk.state.active else settings.fallback_var
    timeout_s = settings.setpoint_timeout_s
    if command.timeout_s is not None and command.timeout_s != 0.0:
        own = _number(command.timeout_s, 0.0, settings.setpoint_timeout_max_s)
        if isinstance(own, Verdict):
            return Verdict(own.refusal, f"time-out: {own.text} s")
        timeout_s = own
    if command.fallback is None:
        return timeout_s, site_fallback
    fallback = _number(command.fallback, *span)
    if isinstance(fallback, Verdict):
        return Verdict(fallback.refusal, f"fall-back: {fallback.text}")
    return timeout_s, fallback


def _set_export_limit(desk: Desk, command: Command, _index: int) -> Verdict:
    return _set_limit(desk, command, desk.state.export_limits)


def _set_import_limit(desk: Desk, command: Command, _index: int) -> Verdict:
    return _set_limit(desk, command, desk.state.import_limits)


def _set_limit(desk: Desk, command: Command, limits: Limits) -> Verdict:
    """A falling limit is always taken; a rising one must not be old. A fall-back without an expiry is no matter."""
    value = _number(command.value, 0.0, limits.rating_w)
    if isinstance(value, Verdict):
        return value
    expires_ns = None
    if command.timeout_s is not None and command.timeout_s != 0.0:
        seconds = _number(command.timeout_s, 0.0, 1e9)
        if isinstance(seconds, Verdict):
            return Verdict(seconds.refusal, f"expiry: {seconds.text} s")
        expires_ns = desk.now_ns + round(seconds * 1e9)
    source = desk.state.lease.master_of(command)
    held = limits.by_source.get(source)
    rising = value > (limits.rating_w if held is None else held.value_w)
    if rising and desk.now_ns - command.issued_mono_ns > OLDEST_COMMAND_NS:
        return Verdict(Refusal.TOO_OLD, "the command is older than 5 s and would raise the limit")
    if rising and not desk.retains:
        return Verdict(Refusal.WRONG_STATE, NOT_RETAINED)
    fallback = None if command.fallback is None else _number(command.fallback, 0.0, limits.rating_w)
    if isinstance(fallback, Verdict):
        return Verdict(fallback.refusal, f"fall-back: {fallback.text}")
    before = limits.lowest_w
    limits.set(source, Limit(value, expires_ns, None if expires_ns is None else fallback))
    if held == limits.by_source[source]:
        return ACCEPTED
    way = "export" if limits is desk.state.export_limits else "import"
    words = f"{way} limit {value * 1e-6:g} MW; the lowest of all sources is {limits.lowest_w * 1e-6:g} MW"
    event = Event(EventKind.LIMIT_CHANGED, Owner.PLANT, 0, before, limits.lowest_w, _actor(command), words)
    desk.events.append(event)
    return ACCEPTED


def _scada_heartbeat(desk: Desk, command: Command, _index: int) -> Verdict:
    """An advancing heartbeat of the owner renews its set-points; a standing one proves nothing."""
    value = _number(command.value, 0, LARGEST_HEARTBEAT, 0.0)
    if isinstance(value, Verdict):
        return value
    state = desk.state
    advanced = int(value) != state.plant.scada_heartbeat
    state.plant.scada_heartbeat = int(value)
    if advanced:
        state.plant.scada_heartbeat_ns = desk.now_ns
    if advanced and state.lease.master == state.lease.master_of(command):
        state.active.renew(desk.now_ns)
        state.reactive.renew(desk.now_ns)
        state.lease.take(command, desk.now_ns)
    return ACCEPTED


def _take_control(desk: Desk, command: Command, _index: int) -> Verdict:
    state = desk.state
    before = state.lease.owner_at(desk.now_ns)
    state.lease.take(command, desk.now_ns)
    state.plant.scada_heartbeat_ns = None
    after = state.lease.owner
    desk.events.append(Event(EventKind.OWNER_CHANGED, Owner.PLANT, 0, float(before), float(after), _actor(command)))
    return ACCEPTED


# -------------------------------------------------------------------------------------------------- starts and stops


def _start(desk: Desk, _command: Command, _index: int) -> Verdict:
    sequence = desk.state.plant.sequence
    if sequence in STARTING:
        return Verdict(Refusal.NONE, "the plant is starting already")
    if sequence in STOPPING or sequence is PlantState.ADOPTING:
        return Verdict(Refusal.WRONG_STATE, f"the plant is {_words(desk.state)}; try again when it is off")
    missing = missing_for_start(desk)
    if missing:
        return Verdict(Refusal.WRONG_STATE, "; ".join(missing))
    desk.state.plant.start_requested, desk.state.plant.stopped = True, False
    return ACCEPTED


def _stop(desk: Desk, command: Command, _index: int) -> Verdict:
    desk.state.plant.stop_requested = True
    desk.state.plant.auto_start_done = True
    desk.state.plant.stopped |= command.face != OWN_FACE
    return ACCEPTED


def _fast_stop(desk: Desk, command: Command, _index: int) -> Verdict:
    if not desk.state.plant.fast_stop:
        desk.state.plant.fast_stop = _actor(command)
        desk.events.append(Event(EventKind.FAST_STOP, Owner.PLANT, 0, 0.0, 1.0, _actor(command)))
    desk.state.plant.fast_stop_sequence = desk.state.sequence
    desk.state.plant.auto_start_done = desk.state.plant.stopped = True
    return ACCEPTED


def _reset_trips(desk: Desk, command: Command, _index: int) -> Verdict:
    """Reset all latches whose cause is gone: our fast stop, protection's, the converters' and the BMSs'.

    A fast stop that came with it outlasts it: whoever resets must have seen what he resets. No reset starts anything.
    """
    memory, chains = desk.state.plant, unhealthy_chains(desk.plant, desk.image)
    if chains:
        return Verdict(Refusal.WRONG_STATE, "; ".join(chains))
    if memory.fast_stop_sequence == desk.state.sequence:
        return Verdict(Refusal.WRONG_STATE, f"a fast stop by {memory.fast_stop} came with it; see why, then reset")
    memory.fast_stop, memory.auto_start_done = "", True
    return _reset(desk, command, EVERYTHING)


def _reset(desk: Desk, command: Command, rack: int) -> Verdict:
    """Pass a reset on; what protection keeps latched all the same is told, and is no success."""
    desk.forwarded.resets.append((rack, command.role))
    stays = desk.trips_that_stay(rack, command.role)
    if not stays:
        return ACCEPTED
    more = f"; and {len(stays) - TOLD_AT_MOST} more" if len(stays) > TOLD_AT_MOST else ""
    return Verdict(Refusal.WRONG_STATE, f"still tripped: {'; '.join(stays[:TOLD_AT_MOST])}{more}; all else is reset")


def _acknowledge_alarms(desk: Desk, _command: Command, _index: int) -> Verdict:
    desk.forwarded.acknowledge = True
    return ACCEPTED


# -------------------------------------------------------------------------------------------------------------- racks


def _report_refused(_desk: Desk, command: Command, _index: int) -> Verdict:
    """What a face has refused is refused here too, in its words."""
    return Verdict(Refusal.WRONG_TYPE, str(command.value))


def _connect(desk: Desk, _command: Command, rack: int) -> Verdict:
    missing = missing_for_connect(desk.arrays, desk.state, desk.measured, desk.protection, rack)
    if missing:
        return Verdict(Refusal.WRONG_STATE, "; ".join(missing))
    desk.state.racks.wanted[rack] = Wanted.CONNECTED
    return ACCEPTED


def _disconnect(desk: Desk, _command: Command, rack: int) -> Verdict:
    if desk.state.racks.sequence[rack] == RackSequenceState.DISCONNECTED:
        return Verdict(Refusal.NONE, "the rack is disconnected already")
    desk.state.racks.wanted[rack] = Wanted.DISCONNECTED
    return ACCEPTED


def _reset_trip(desk: Desk, command: Command, rack: int) -> Verdict:
    return _reset(desk, command, rack)


def _lock_out(desk: Desk, command: Command, rack: int) -> Verdict:
    reason = command.value
    if not isinstance(reason, str):
        return Verdict(Refusal.WRONG_TYPE, "a reason is expected, as text")
    if problem := reason_problem(reason):
        return Verdict(Refusal.OUT_OF_RANGE, problem)
    others = tuple(lock for lock in desk.state.lock_outs.get(rack, ()) if lock.holder != command.user)
    desk.state.lock_outs[rack] = (*others, LockOut(command.user, reason))
    text = f"locked out: {reason}"
    desk.events.append(Event(EventKind.LOCK_OUT_CHANGED, Owner.RACK, rack, 0.0, 1.0, _actor(command), text))
    return ACCEPTED


def _remove_lock_out(desk: Desk, command: Command, rack: int) -> Verdict:
    locks = desk.state.lock_outs.get(rack, ())
    left = tuple(lock for lock in locks if lock.holder != command.user or lock.holder == SITE_HOLDER)
    if left == locks:
        holders = ", ".join(lock.holder for lock in locks) or "nobody"
        return Verdict(Refusal.WRONG_STATE, f"no lock-out of yours; it is held by {holders}")
    if left:
        desk.state.lock_outs[rack] = left
    else:
        del desk.state.lock_outs[rack]
    after = float(bool(left))
    desk.events.append(Event(EventKind.LOCK_OUT_CHANGED, Owner.RACK, rack, 1.0, after, _actor(command), "removed"))
    return ACCEPTED


def _words(state: ControlState) -> str:
    return state.plant.sequence.name.lower().replace("_", " ")


_PLANT, _RACK = frozenset({Owner.PLANT}), frozenset({Owner.RACK})
_ON_RACKS = frozenset({Action.CONNECT, Action.DISCONNECT, Action.RESET_TRIP, Action.LOCK_OUT, Action.REMOVE_LOCK_OUT})
_TARGETS = {action: _RACK if action in _ON_RACKS else _PLANT for action in Action}

_HANDLERS: dict[Action, Callable[[Desk, Command, int], Verdict]] = {
    Action.SET_ACTIVE_POWER: _set_active_power,
    Action.SET_REACTIVE_POWER: _set_reactive_power,
    Action.SET_EXPORT_LIMIT: _set_export_limit,
    Action.SET_IMPORT_LIMIT: _set_import_limit,
    Action.SCADA_HEARTBEAT: _scada_heartbeat,
    Action.START: _start,
    Action.STOP: _stop,
    Action.FAST_STOP: _fast_stop,
    Action.RESET_TRIPS: _reset_trips,
    Action.ACKNOWLEDGE_ALARMS: _acknowledge_alarms,
    Action.TAKE_CONTROL: _take_control,
    Action.CONNECT: _connect,
    Action.DISCONNECT: _disconnect,
    Action.RESET_TRIP: _reset_trip,
    Action.LOCK_OUT: _lock_out,
    Action.REMOVE_LOCK_OUT: _remove_lock_out,
    Action.REPORT_REFUSED: _report_refused,
}
