"""A protection file's keys (`schema: protections/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from controller.plant.protection_rows import Action, Direction, Qualifier, Reduction, ResetClass
from controller.plant.schema_types import (
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
    delay: Annotated[Time, within("0 s", "1 d")] | None = None
    action: Annotated[Action, choice(Action)] | None = None


LevelOrLimit = Annotated[LevelSection, BeforeValidator(shorthand("limit"))]


class RowSection(Section):
    """A protection function, whole or as a change of the inherited one."""

    description: Words | None = None
    signal: Identifier | None = None
    take: Annotated[Reduction, choice(Reduction)] | None = None
    also: dict[str, Annotated[Reduction, choice(Reduction)]] | None = None
    direction: Annotated[Direction, choice(Direction)] | None = None
    when: Annotated[Qualifier, choice(Qualifier)] | None = None
    rest_current: Annotated[Current, within("0 A", "10 kA")] | None = None
    window: Annotated[Time, within("1 s", "1 h")] | None = None
    warning: LevelOrLimit | None = None
    alarm: LevelOrLimit | None = None
    trip: LevelOrLimit | None = None
    delay: Annotated[Time, within("0 s", "1 d")] | None = None
    reset: Words | None = None
    off_delay: Annotated[Time, within("0 s", "1 d")] | None = None
    reset_class: Annotated[ResetClass, choice(ResetClass)] | None = None


class ProtectionsFile(Section):
    """A whole protection file: rows by the equipment they protect."""

    schema_: Annotated[str, schema_is("protections/v1")] = Field(alias="schema")
    base: Identifier | None = None
    off: list[Identifier] = Field(default=[])
    rack: dict[str, RowSection] = Field(default={})
    bank: dict[str, RowSection] = Field(default={})
    pcs: dict[str, RowSection] = Field(default={})
    meter: dict[str, RowSection] = Field(default={})
    interlock: dict[str, RowSection] = Field(default={})
