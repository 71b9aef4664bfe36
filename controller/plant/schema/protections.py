"""A protection file's keys (`schema: protections/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.plant.protection_rows import Action, Direction, Qualifier, Reduction, ResetClass
from controller.plant.schema.types import (
    Current,
    Identifier,
    Section,
    Time,
    Words,
    choice,
    schema_is,
    shorthand,
    within,
)


class LevelSection(Section):
    """A level's limit, on-delay and action; all but the limit may be inherited."""

    limit: Words | None = None
    """In the signal's unit; currents also as 110 % of rated."""
    delay: Annotated[Time, within("0 s", "1 d")] | None = None
    """How long the limit is exceeded before the level acts."""
    action: Annotated[Action, choice(Action)] | None = None
    """What the level does."""


LevelOrLimit = Annotated[LevelSection, shorthand("limit", LevelSection, Words)]


class RowSection(Section):
    """A protection function, whole or as a change of the inherited one."""

    description: Words | None = None
    """For people."""
    signal: Identifier | None = None
    """What is compared."""
    take: Annotated[Reduction, choice(Reduction)] | None = None
    """Which of many values, or what is made of them."""
    also: dict[str, Annotated[Reduction, choice(Reduction)]] | None = None
    """A second source, the worse counts: signal and what is taken of it."""
    only: list[Identifier] | None = None
    """What the row is about: battery types, or kinds of interlock; all, if absent."""
    direction: Annotated[Direction, choice(Direction)] | None = None
    """On which side it is dangerous."""
    when: Annotated[Qualifier, choice(Qualifier)] | None = None
    """In which state the row is looked at."""
    rest_current: Annotated[Current, within("0 A", "10 kA")] | None = None
    """Below it a rack is at rest, for when: at_rest."""
    window: Annotated[Time, within("1 s", "1 h")] | None = None
    """Over which a rate is taken."""
    warning: LevelOrLimit | None = None
    """Limit, or limit, delay and action."""
    alarm: LevelOrLimit | None = None
    """As warning."""
    trip: LevelOrLimit | None = None
    """As warning."""
    delay: Annotated[Time, within("0 s", "1 d")] | None = None
    """Of every level that does not say its own."""
    reset: Words | None = None
    """Where the condition ends, inside the first limit."""
    off_delay: Annotated[Time, within("0 s", "1 d")] | None = None
    """How long it must have ended."""
    reset_class: Annotated[ResetClass, choice(ResetClass)] | None = None
    """Who may reset the latch."""


class OffSection(Section):
    """An inherited row that a site does without."""

    row: Identifier
    """Its name."""
    reason: Words | None = None
    """Why; required where the row trips."""


class ProtectionsFile(Section):
    """A whole protection file: rows by the equipment they protect."""

    schema_: Annotated[str, schema_is("protections/v1")] = Field(alias="schema")
    """What kind of file this is, and in which version."""
    base: Identifier | None = None
    """A preset of the library, with its version."""
    extends: Words | None = None
    """A protection file of the folder, in place of base."""
    off: list[Annotated[OffSection, shorthand("row", OffSection, Identifier)]] = Field(default=[])
    """Inherited rows that this site does without: a name, or row and reason (required where the row trips)."""
    rack: dict[str, RowSection] = Field(default={})
    """Rows of racks."""
    bank: dict[str, RowSection] = Field(default={})
    """Rows of banks."""
    pcs: dict[str, RowSection] = Field(default={})
    """Rows of converters."""
    meter: dict[str, RowSection] = Field(default={})
    """Rows of meters."""
    interlock: dict[str, RowSection] = Field(default={})
    """Rows of hard-wired chains."""
