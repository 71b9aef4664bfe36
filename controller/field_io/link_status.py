"""What is known of a link and its units, for status, alarms and messages; written by its worker, read by anyone."""

from __future__ import annotations

from dataclasses import dataclass

from controller.field_io.unit import Unit


@dataclass(slots=True)
class LinkStatus:
    """Counters only grow. `last_error` is in the words of the person who will look for the cable.

    `connected`: nothing is known against it: the last connection could be made and gave sound answers; one that is
    being made (the first, or anew) counts until that fails. `restarts`: how often its worker hung.
    """

    address: str
    units: tuple[Unit, ...] = ()
    connected: bool = True
    connects: int = 0
    polls: int = 0
    writes: int = 0
    silences: int = 0
    wrong_answers: int = 0
    refusals: int = 0
    restarts: int = 0
    last_error: str = ""

    @property
    def wrong_identity(self) -> dict[int, str]:
        """What does not fit, by index of the device."""
        return {u.device.index: u.wrong for u in self.units if u.wrong}

    @property
    def dead_units(self) -> tuple[int, ...]:
        """Units that do not answer."""
        return tuple(u.device.unit for u in self.units if u.breaker.is_open)

    @property
    def flapping_units(self) -> tuple[int, ...]:
        """Units that answer, but not for long enough to be believed."""
        return tuple(u.device.unit for u in self.units if not (u.breaker.is_believed or u.breaker.is_open))
