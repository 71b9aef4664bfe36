"""Commands on their way into the scan: pure, for the socket's server and for a plant in the same process alike.

Rules:
* At most `capacity` commands wait; one more is answered BUSY at once. One older than `age_limit_ns`, when it comes or
  when it is taken, is answered TOO_OLD.
* Stops and falling limits (*urgent*) are never refused for fullness or age. Of several with the same sender, action
  and target only the last is carried out, and all get its reply; so they cannot pile up.
* All that waits is taken at once, in order of arrival. (A stop put first would be undone by the start that came
  before it; it needs no head start, because nothing in front of it can hold it up.)
* The same command again gets the same reply for `memory_ns` after it was answered; it is not carried out twice.
  Its id with another content is refused (but for an urgent one, which is carried out). What was never queued (BUSY,
  TOO_OLD) may be tried again under its id.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from controller.control.commands import LIMITS, STOPS, Command, Refusal, Reply

NS_PER_S = 1_000_000_000
_CLOCKS_APART_NS = NS_PER_S  # a face may have read the clock after we did

_UrgentKey = tuple[str, str, str, str, str]


class Taken(NamedTuple):
    """What the scan gets at step 1: commands to carry out, and replies to those that grew too old while waiting."""

    commands: list[Command]
    refused: list[Reply]


@dataclass(slots=True)
class _Entry:
    """A command that was queued, the id its reply goes to, and the urgent ones it took the place of."""

    command: Command
    reply_to: str
    joined: list[_Entry] = field(default_factory=list)
    reply: Reply | None = None
    answered_ns: int = 0


class CommandQueue:
    """The queue of one plant. Each queued command is answered once, by `settle` or in `Taken.refused`."""

    def __init__(
        self,
        lowers: Callable[[Command], bool],
        *,
        capacity: int = 256,
        age_limit_ns: int = 5 * NS_PER_S,
        memory_ns: int = 60 * NS_PER_S,
        memory_capacity: int = 16_384,
    ) -> None:
        """Make an empty queue. `lowers` says of a limit command whether it is below that source's present limit."""
        self._lowers = lowers
        self._capacity = capacity
        self._age_limit_ns = age_limit_ns
        self._memory_ns = memory_ns
        self._memory_capacity = memory_capacity
        self._waiting: dict[str, _Entry] = {}  # by the command's id, in order of arrival
        self._urgent: dict[_UrgentKey, _Entry] = {}  # those of the waiting ones
        self._known: dict[str, _Entry] = {}
        self._answered: dict[str, _Entry] = {}  # in order of their answers
        self._serial = itertools.count(1)

    def __len__(self) -> int:
        """Return how many commands wait."""
        return len(self._waiting)

    def offer(self, command: Command, now_ns: int) -> Reply | None:
        """Queue a command, and return None (its reply comes later), or return the reply at once."""
        self._forget(now_ns)
        known = self._known.get(command.id)
        if known is not None and known.command == command:
            return known.reply
        if self._is_urgent(command):
            self._queue_urgent(command)
            return None
        refused = self._refusal(command, now_ns, id_is_taken=known is not None)
        if refused is None:
            self._queue(_Entry(command, command.id))
        return refused

    def take(self, now_ns: int) -> Taken:
        """Empty the queue (step 1 of the scan)."""
        urgent = {entry.command.id for entry in self._urgent.values()}
        waiting = [entry.command for entry in self._waiting.values()]
        self._waiting.clear()
        self._urgent.clear()
        taken = Taken([], [])
        for command in waiting:
            late = None if command.id in urgent else self._too_old(command, now_ns)
            if late is None:
                taken.commands.append(command)
            else:
                taken.refused.extend(self.settle(late, now_ns))
        return taken

    def settle(self, reply: Reply, now_ns: int) -> list[Reply]:
        """Remember the reply to a taken command; return it once for each id that waits for it."""
        entry = self._known.get(reply.id)
        assert entry is not None, f"a reply to a command that was not taken: {reply}"
        replies = []
        for each in (*entry.joined, entry):
            each.reply, each.answered_ns = replace(reply, id=each.reply_to), now_ns
            self._answered[each.command.id] = each
            replies.append(each.reply)
        entry.joined.clear()
        return replies

    def _is_urgent(self, command: Command) -> bool:
        return command.action in STOPS or (command.action in LIMITS and self._lowers(command))

    def _queue(self, entry: _Entry) -> None:
        self._waiting[entry.command.id] = entry
        self._known[entry.command.id] = entry

    def _queue_urgent(self, command: Command) -> None:
        # A careless id must not lose a stop: it goes on under one of ours, and its reply to the one it came with.
        taken = command.id in self._known
        entry = _Entry(replace(command, id=f"{command.id}~{next(self._serial)}") if taken else command, command.id)
        key = (command.action, command.target, command.face, command.user, command.role)
        replaced = self._urgent.pop(key, None)
        if replaced is not None:
            del self._waiting[replaced.command.id]
            entry.joined, replaced.joined = replaced.joined, []
            entry.joined.append(replaced)
        self._urgent[key] = entry
        self._queue(entry)

    def _refusal(self, command: Command, now_ns: int, *, id_is_taken: bool) -> Reply | None:
        if id_is_taken:
            text = "this id was another command's within the last minute; give each command an id of its own"
            return refuse(command, Refusal.WRONG_STATE, text)
        if len(self._waiting) - len(self._urgent) >= self._capacity or len(self._known) >= self._memory_capacity:
            return refuse(command, Refusal.BUSY, "too many commands are waiting; try again")
        return self._too_old(command, now_ns)

    def _too_old(self, command: Command, now_ns: int) -> Reply | None:
        age_ns = now_ns - command.issued_mono_ns
        if -_CLOCKS_APART_NS <= age_ns <= self._age_limit_ns:
            return None
        limit_s, age_s = self._age_limit_ns / NS_PER_S, age_ns / NS_PER_S
        return refuse(
            command, Refusal.TOO_OLD, f"issued {age_s:.1f} s ago, at most {limit_s:g} s expected; send it anew"
        )

    def _forget(self, now_ns: int) -> None:
        while self._answered:
            command_id, oldest = next(iter(self._answered.items()))
            if now_ns - oldest.answered_ns < self._memory_ns and len(self._known) <= self._memory_capacity:
                return
            del self._answered[command_id], self._known[command_id]


def refuse(command: Command, refusal: Refusal, text: str) -> Reply:
    """Return the reply that refuses a command before any scan saw it."""
    return Reply(command.id, accepted=False, refusal=refusal, text=text, sequence=0)
