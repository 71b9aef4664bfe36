"""Scenarios (`scenario/v1`): a start, profiles of the world outside, and steps to do and to expect.

A scenario is only read here; whoever runs the plant (rehearsal, demo) takes its steps at their times. Some ship in
`library/scenarios`, written for the demo's names, and are called by their own.
"""

from __future__ import annotations

import csv
import importlib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from controller.plant.messages import Complaint, Message, did_you_mean, error, render
from controller.plant.schema.messages import check
from controller.plant.schema.types import ListOfWords, NotNegative, Number, Positive, Section, Time, Words, fail, single
from controller.plant.site_files import LIBRARY, library_names
from controller.plant.units import UNITS, Dimension, parse_quantity
from controller.plant.yaml_tree import Document, read_document
from controller.simulator.faults.commands import FaultCommand, FaultError, parse_command
from controller.simulator.grid import COLUMNS, Grid, Profile


class Operation(StrEnum):
    """What a step may do besides the fault menu: what an operator would."""

    SETPOINT = "setpoint"
    REACTIVE = "reactive"
    START = "start"
    STOP = "stop"
    RESET = "reset"
    FAST_STOP = "fast_stop"
    ACKNOWLEDGE = "acknowledge"
    CONNECT = "connect"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class OperatorStep:
    """An operator's step; `value` in W or var where the operation has one, `timeout_s` where it brings its own.

    `target`: the rack (by name or tag) where the operation is about one.
    """

    operation: Operation
    value: float = 0.0
    timeout_s: float | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A statement about a point: `Plant.Block01.Rack03.Tripped = true`, `Plant.ActivePower = 1 MW +- 3 %`."""

    tag: str
    comparison: str
    value: str
    tolerance: str = ""

    def misfit(self, unit: str) -> str:
        """Return why the stated value or tolerance can't be held against a point of this unit, "" if it can."""
        of_a_number = (
            f"a number in {unit} or a unit of the same kind" if unit else "a number without unit, true or false"
        )
        if self.value.casefold() in _YES_NO and not unit and not self.tolerance:
            return ""
        stated = _stated(self.value, unit)
        if stated is None:
            return f"'{self.value}' does not fit; expected {of_a_number}"
        if self.tolerance and not math.isfinite(_width(self.tolerance, stated, unit)):
            return f"'+- {self.tolerance}' does not fit; expected {of_a_number}, or per cent"
        return ""

    def is_met(self, actual: float | str | None, unit: str = "") -> bool:
        """Tell whether a value (in its face's unit; yes = 1, no = 0) is as stated; None, no good value, never is."""
        if actual is None:
            return False
        if isinstance(actual, str):
            return _COMPARISONS[self.comparison](actual, self.value)
        wanted = _YES_NO.get(self.value.casefold())
        stated = float(wanted) if wanted is not None else _stated(self.value, unit)
        if stated is None:
            return False
        if self.tolerance:
            return abs(float(actual) - stated) <= _width(self.tolerance, stated, unit)
        return _COMPARISONS[self.comparison](float(actual), stated)


@dataclass(frozen=True, slots=True)
class Step:
    """At `at_s` after the start: do something, or expect something."""

    at_s: float
    act: FaultCommand | OperatorStep | Expectation
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, its steps in the order of their times."""

    start_s: float
    duration_s: float | None
    profiles: tuple[Profile, ...]
    steps: tuple[Step, ...]


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_EXPECTATION = re.compile(r"(\S+?)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*(?:(?:\+-|±)\s*(.+?))?\s*")
_YES_NO = {"true": True, "false": False, "yes": True, "no": False}
_ON_RACKS = {Operation.CONNECT, Operation.DISCONNECT}
_DO = {Operation.SETPOINT: Dimension.POWER, Operation.REACTIVE: Dimension.REACTIVE_POWER}


def _time_of_day(value: object) -> float:
    text = single(value, 'a time in quotes, such as "12:00"')
    matched = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", text)
    if matched is None:
        fail(f"is no time of day ('{text}')", 'a time in quotes, such as "12:00"')
    return 3600.0 * int(matched[1]) + 60.0 * int(matched[2]) + int(matched[3] or 0)


class StepSection(Section):
    """A step: a time, and one of `do` and `expect`."""

    at: Annotated[Time, NotNegative]
    do: Words | None = None
    expect: Words | None = None


class ScenarioFile(Section):
    """A whole scenario file."""

    schema_: Literal["scenario/v1"] = Field(alias="schema")
    start: Annotated[float, BeforeValidator(_time_of_day)] = 0.0
    hours: Annotated[Number, Positive] | None = None
    profiles: ListOfWords = Field(default_factory=list)
    steps: list[StepSection] = Field(default_factory=list)


def load_scenario(path: Path) -> tuple[Scenario | None, list[Message]]:
    """Return the scenario of a file, or None with what is wrong with it; profiles are sought beside the file.

    Raises OSError if the file can't be read.
    """
    document, messages = read_document(path.name, path.read_bytes())
    if messages:
        return None, messages
    parsed, messages = check(document, ScenarioFile)
    if parsed is None:
        return None, messages
    reader = _Reader(document, path.parent)
    profiles = [reader.profile(k, name) for k, name in enumerate(parsed.profiles)]
    steps = [reader.step(k, section) for k, section in enumerate(parsed.steps)]
    if reader.messages:
        return None, reader.messages
    in_order = sorted((s for s in steps if s), key=lambda step: step.at_s)
    duration_s = None if parsed.hours is None else 3600.0 * parsed.hours
    return Scenario(parsed.start, duration_s, tuple(p for p in profiles if p), tuple(in_order)), []


class _Reader:
    """Reads profiles and steps, and collects what is wrong with them."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document, self.folder = document, folder
        self.messages: list[Message] = []

    def profile(self, position: int, name: str) -> Profile | None:
        try:
            return read_profile(self.folder / name)
        except (OSError, ValueError) as wrong:
            place = self.document.place_of(("profiles", position))
            self.messages.append(error(place, f"profile '{name}' can't be read: {wrong}", "a csv or parquet file"))
            return None

    def step(self, position: int, section: StepSection) -> Step | None:
        place = self.document.place_of(("steps", position))
        if (section.do is None) == (section.expect is None):
            self.messages.append(error(place, "a step needs one of 'do' and 'expect'", "{at: 10 s, do: ...}"))
            return None
        try:
            text = section.do or section.expect or ""
            act = parse_act(text) if section.do else parse_expectation(text)
        except FaultError as wrong:
            key = "do" if section.do else "expect"
            self.messages.append(error(self.document.place_of(("steps", position, key)), str(wrong)))
            return None
        return Step(section.at, act, text, place.line)


class ScenarioError(ValueError):
    """A scenario that can't be played: what is wrong, what is expected."""


def scenario_file(name: str) -> Path:
    """Return the file of a scenario that is named by its path or, if it ships with the package, by its own name.

    Raises ScenarioError if there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    packaged = LIBRARY / "scenarios" / f"{name}.yaml"
    if name in library_names("scenarios"):
        return packaged
    known = library_names("scenarios")
    hint = did_you_mean(name, known) or f"expected a file, or one of {', '.join(known)}"
    raise ScenarioError(f"{name}: there is no such scenario; {hint}")


def read_scenario(name: str) -> tuple[Path, Scenario]:
    """Return a scenario by name or file; ScenarioError with every message if it can't be read."""
    path = scenario_file(name)
    scenario, messages = load_scenario(path)
    if scenario is None:
        lines = {path.name: path.read_text(encoding="utf-8").splitlines()}
        raise ScenarioError("the scenario can't be read\n" + render(messages, lines))
    return path, scenario


def set_scene(scenario: Scenario, grid: Grid, now_s: float) -> None:
    """Let a grid follow the scenario's profiles, its start being now (`now_s` of the simulated plant's own time)."""
    grid.profiles = (*scenario.profiles, *grid.profiles)
    grid.start_s = scenario.start_s - now_s


def parse_act(text: str) -> FaultCommand | OperatorStep:
    """Return what a `do` states; FaultError says what is wrong."""
    verb, _, rest = text.strip().partition(" ")
    if verb not in set(Operation):
        return parse_command(text)
    operation = Operation(verb)
    dimension = _DO.get(operation)
    if operation in _ON_RACKS:
        if len(rest.split()) != 1:
            raise FaultError(f"'{text}' is out of place; expected such as '{verb} B01-R03'")
        return OperatorStep(operation, target=rest.strip())
    if dimension is None:
        if rest:
            raise FaultError(f"'{verb}' takes nothing more, but '{rest}' follows")
        return OperatorStep(operation)
    stated, _, life = rest.partition(" for ")
    value = parse_quantity(stated.strip(), dimension)
    if isinstance(value, Complaint):
        raise FaultError(f"{verb} {value.message}; expected {value.expected}")
    timeout_s = parse_quantity(life.strip(), Dimension.TIME) if life else None
    if isinstance(timeout_s, Complaint):
        raise FaultError(f"{verb}: 'for {life}' {timeout_s.message}; expected {timeout_s.expected}")
    return OperatorStep(operation, value, timeout_s)


def parse_expectation(text: str) -> Expectation:
    """Return what an `expect` states; FaultError says what is wrong."""
    matched = _EXPECTATION.fullmatch(text)
    if matched is None or not matched[1].startswith("Plant"):
        raise FaultError(f"'{text}' is no statement about a point; expected such as 'Plant.ActivePower > 0.9 MW'")
    tag, comparison, value, tolerance = matched[1], matched[2], matched[3], matched[4] or ""
    if tolerance and comparison != "=":
        raise FaultError(f"'+- {tolerance}' goes with '=' only")
    return Expectation(tag, comparison, value, tolerance)


def read_profile(path: Path) -> Profile:
    """Return a profile from a csv or parquet file with `time_s` and any of the profile columns.

    Raises OSError if it can't be read, ValueError if it holds something else.
    """
    table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    for name in table:
        if name not in {"time_s", *COLUMNS}:
            raise ValueError(f"no column may be named '{name}'; {did_you_mean(name, COLUMNS) or ', '.join(COLUMNS)}")
    time_s = table.pop("time_s", np.zeros(0))
    if len(time_s) == 0 or not table or not (np.diff(time_s) > 0.0).all():
        raise ValueError("it needs a rising column time_s and one column beside it")
    if not all(np.isfinite(column).all() for column in (time_s, *table.values())):
        raise ValueError("every cell must hold a finite number")
    return Profile(time_s, table)


def _csv(path: Path) -> dict[str, NDArray[np.float64]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("every row must have as many cells as the first")
    return {name.strip(): _floats([row[k] for row in rows[1:]]) for k, name in enumerate(rows[0])}


def _floats(cells: Sequence[str]) -> NDArray[np.float64]:
    return np.array([float(cell) for cell in cells], np.float64)


def _parquet(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ValueError("parquet needs pyarrow (install the 'tools' extra), or write it as csv") from None
    table = parquet.read_table(path)
    return {name: np.asarray(table[name].to_numpy(), np.float64) for name in table.column_names}


def _stated(text: str, unit: str) -> float | None:
    """Return a stated number in the unit of the point; a bare number is in that unit already."""
    matched = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)", text)
    if matched is None:
        return None
    number = float(matched[1])
    if not matched[2] or matched[2] == unit:
        return number
    mine, theirs = UNITS.get(matched[2]), UNITS.get(unit)
    if mine is None or theirs is None or mine.dimension is not theirs.dimension:
        return None
    return (number * mine.factor + mine.offset - theirs.offset) / theirs.factor


def _width(text: str, stated: float, unit: str) -> float:
    if text.endswith("%") and unit != "%":
        share = _stated(text[:-1].strip(), "")
        return math.nan if share is None else abs(stated) * share / 100.0
    width = _stated(text, unit)
    return math.nan if width is None else width
