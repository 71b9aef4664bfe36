"""A protection row: one function of the protection table, as the site file states it.

A row compares one signal of one kind of equipment with three graded limits. Levels are `warning` (annunciate),
`alarm` (derate or inhibit one direction), `trip` (zero power, then disconnect, latched). A new row needs YAML only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from controller.plant.signals import Owner


class Level(IntEnum):
    """Severity; the number is what SCADA sees."""

    NONE = 0
    WARNING = 1
    ALARM = 2
    TRIP = 3


class Direction(StrEnum):
    """On which side of its limits a value is dangerous."""

    HIGH = "high"
    LOW = "low"


class Reduction(StrEnum):
    """How a rack's many values become the one compared; SPREAD = highest - lowest, MAGNITUDE = absolute value."""

    NONE = "none"
    HIGHEST = "highest"
    LOWEST = "lowest"
    SPREAD = "spread"
    MAGNITUDE = "magnitude"
    DISCHARGE = "discharge"  # the value's positive part (currents: discharging only)
    CHARGE = "charge"  # minus the value's negative part (currents: charging only)
    AGE = "age"  # age of the value in s: communication rows
    RATE = "rate"  # change per minute, over `window_s`
    BEYOND_COMMAND = "beyond_command"  # how far a converter's power lies outside 0 to its command, wrong sign included


class Action(StrEnum):
    """What an alarm or a trip of this row does. Each level does what the level may; the row says to what."""

    ANNUNCIATE = "annunciate"
    INHIBIT_CHARGE = "inhibit_charge"
    INHIBIT_DISCHARGE = "inhibit_discharge"
    INHIBIT_BOTH = "inhibit_both"
    DISCONNECT_RACK = "disconnect_rack"
    ZERO_BUS = "zero_bus"
    STOP_PCS = "stop_pcs"
    STOP_BLOCK = "stop_block"
    STOP_PLANT = "stop_plant"


class ResetClass(StrEnum):
    """Who may reset the latch, once the cause is gone."""

    AUTO = "auto"
    REMOTE = "remote"
    LOCAL = "local"
    SERVICE = "service"


class Qualifier(StrEnum):
    """State in which a row is looked at."""

    ALWAYS = "always"
    CONNECTED = "connected"
    CHARGING = "charging"
    DISCHARGING = "discharging"
    AT_REST = "at_rest"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Graded:
    """One level's limit, on-delay and action."""

    level: Level
    limit: float
    delay_s: float
    action: Action


@dataclass(frozen=True, slots=True)
class ProtectionRow:
    """One row: limits in the signal's base unit (rate: per minute; age: s).

    `reset` is the value at which the condition ends; it lies inside the warning limit.

    `also` names a second signal that is compared too and the worse of both counts (the BMS's own cell maximum beside
    the cells we read): protection takes whatever valid measurement is worse.
    """

    name: str
    owner: Owner  # RACK, BANK, PCS, METER, INTERLOCK
    signal: str
    direction: Direction
    reduction: Reduction
    levels: tuple[Graded, ...]
    reset: float
    off_delay_s: float
    reset_class: ResetClass
    qualifier: Qualifier = Qualifier.ALWAYS
    qualifier_current_a: float = 0.0  # |I| that parts rest from flow
    window_s: float = 60.0
    also: tuple[tuple[str, Reduction], ...] = ()
    only: tuple[str, ...] = ()  # battery types or kinds of interlock that it is about (`row_coverage`); (): all
    description: str = ""
    file: str = ""
    line: int = 0

    @property
    def trip(self) -> Graded | None:
        """Its worst level where that trips; None for a row that only warns."""
        return self.levels[-1] if self.levels[-1].level is Level.TRIP else None

    @property
    def signals(self) -> tuple[str, ...]:
        """All signals that it compares."""
        return self.signal, *(name for name, _ in self.also)
