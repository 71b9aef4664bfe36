"""What is known of a link and its units, for status, alarms and messages; written by its worker, read by anyone."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.field_io.breaker import Breaker


@dataclass(slots=True)
class LinkStatus:
    """Counters only grow. `last_error` is in the words of the person who will look for the cable."""

    address: str
    connected: bool = False
    connects: int = 0
    polls: int = 0
    writes: int = 0
    silences: int = 0
    wrong_answers: int = 0
    refusals: int = 0
    last_error: str = ""
    wrong_identity: dict[int, str] = field(default_factory=dict)  # device index -> what was found
    breakers: dict[int, Breaker] = field(default_factory=dict)  # unit -> breaker

    @property
    def dead_units(self) -> tuple[int, ...]:
        """Units that do not answer."""
        return tuple(unit for unit, breaker in self.breakers.items() if breaker.is_open)
