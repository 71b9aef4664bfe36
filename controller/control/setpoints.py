"""Set-points: one owner at a time (or all clients as one), a life that must be renewed, and a fall-back.

Rule: a set-point lives for its own time-out or the site's, whichever its command says, never longer than the site's
maximum. It is renewed by any accepted rewrite, equal value included, or by an advancing heartbeat of the same master.
Once it has run out it stays out: the fall-back is in effect until a new write. Requested = last written, accepted =
what arbitration lets through now, in effect = after ramps and limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.control.commands import Command


class SetpointSource(IntEnum):
    """Where the accepted set-point comes from."""

    NONE = 0  # zero, nobody asked
    LOCAL = 1
    REMOTE = 2
    SCHEDULE = 3
    MAINTENANCE = 4
    FALLBACK = 5
    STOP = 6


class ControlOwner(IntEnum):
    """Who owns the set-points. With a shared owner it says who wrote last."""

    NONE = 0
    LOCAL = 1
    REMOTE = 2
    SCHEDULE = 3
    MAINTENANCE = 4


class OperatingMode(IntEnum):
    """What the plant follows."""

    NONE = 0
    SET_POINT = 1
    FALLBACK = 2


SCHEDULE_FACE = "schedule"
_OWNERS = {"hmi": ControlOwner.LOCAL, "local": ControlOwner.LOCAL, SCHEDULE_FACE: ControlOwner.SCHEDULE}
_OWNERS |= {"maintenance": ControlOwner.MAINTENANCE, "cli": ControlOwner.MAINTENANCE}
SHARED_MASTER = "clients"
_SOURCES = {owner: SetpointSource(int(owner)) for owner in ControlOwner}


def owner_of_face(face: str) -> ControlOwner:
    """Return what kind of owner commands through a face; SCADA faces are remote."""
    return _OWNERS.get(face, ControlOwner.REMOTE)


@dataclass(slots=True)
class Setpoint:
    """One set-point (W or var) and its life. `renewed_ns` None: nobody has asked since the last stop or restart."""

    fallback: float
    timeout_s: float
    requested: float = 0.0
    renewed_ns: int | None = None
    ran_out: bool = False
    owner: ControlOwner = ControlOwner.NONE

    def write(self, command: Command, value: float, now_ns: int, life: tuple[float, float]) -> None:
        """Take a new value; `life` is (time-out s, fall-back) after the site's defaults."""
        self.requested = value
        self.renewed_ns = now_ns
        self.timeout_s, self.fallback = life
        self.ran_out = False
        self.owner = owner_of_face(command.face)

    def renew(self, now_ns: int) -> None:
        """Prolong the life of a set-point that has not run out."""
        if self.renewed_ns is not None and not self.ran_out:
            self.renewed_ns = now_ns

    def clear(self) -> None:
        """Forget it: nobody asks for anything, which is zero."""
        self.requested, self.renewed_ns, self.ran_out = 0.0, None, False

    def age(self, now_ns: int) -> bool:
        """Let time pass; true in the scan in which the set-point runs out."""
        if self.renewed_ns is None or self.ran_out or self.remaining_s(now_ns) > 0.0:
            return False
        self.ran_out = True
        return True

    def remaining_s(self, now_ns: int) -> float:
        """Return the life left; 0 when there is none."""
        if self.renewed_ns is None or self.ran_out:
            return 0.0
        return max(self.timeout_s - (now_ns - self.renewed_ns) * 1e-9, 0.0)

    @property
    def accepted(self) -> float:
        """What arbitration lets through: the request, its fall-back, or zero."""
        if self.renewed_ns is None:
            return 0.0
        return self.fallback if self.ran_out else self.requested

    @property
    def misses_its_master(self) -> bool:
        """Whether the fall-back is in effect and differs from what was asked."""
        return self.ran_out and self.fallback != self.requested

    @property
    def source(self) -> SetpointSource:
        """Where `accepted` comes from."""
        if self.renewed_ns is None:
            return SetpointSource.NONE
        return SetpointSource.FALLBACK if self.ran_out else _SOURCES[self.owner]

    @property
    def mode(self) -> OperatingMode:
        """What the plant follows by it."""
        if self.renewed_ns is None:
            return OperatingMode.NONE
        return OperatingMode.FALLBACK if self.ran_out else OperatingMode.SET_POINT


@dataclass(slots=True)
class Lease:
    """The right to write set-points. `lease_s` runs from the owner's last accepted write or heartbeat."""

    shared: bool
    lease_s: float
    master: str = ""
    owner: ControlOwner = ControlOwner.NONE
    until_ns: int = 0
    heartbeat: int = 0

    def master_of(self, command: Command) -> str:
        """Return who asks: with a shared owner all clients are one, and the schedule is one whatever entry speaks."""
        if self.shared:
            return SHARED_MASTER
        return SCHEDULE_FACE if command.face == SCHEDULE_FACE else f"{command.face}:{command.user}"

    def is_free_for(self, command: Command, now_ns: int) -> bool:
        """Whether this master may write now."""
        return self.shared or now_ns >= self.until_ns or self.master == self.master_of(command)

    def take(self, command: Command, now_ns: int) -> None:
        """Give it to this master, from now."""
        self.master, self.owner = self.master_of(command), owner_of_face(command.face)
        self.until_ns = now_ns + round(self.lease_s * 1e9)

    def owner_at(self, now_ns: int) -> ControlOwner:
        """Return who owns the set-points now."""
        return self.owner if self.master and now_ns < self.until_ns else ControlOwner.NONE
