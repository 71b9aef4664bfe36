"""The fault menu's language: one command a line, read into what is to be done; nothing is done here.

`KIND [TARGET] [arguments] [for 30s]`. Quantities carry their unit (`3.72V`, `3.72 V`), cells are counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controller.plant.messages import Complaint, did_you_mean
from controller.plant.units import UNITS, Dimension, parse_quantity


class FaultGroup(StrEnum):
    """What a fault disturbs; it decides what a target may be."""

    LINK = "link"
    DATA = "data"
    CELLS = "cells"
    RACK = "rack"
    PCS = "pcs"
    GRID = "grid"
    INTERLOCK = "interlock"
    MENU = "menu"  # the menu itself


class FaultError(ValueError):
    """A command that can't be read or done; the text says what is wrong and what is expected."""


Argument = float | str


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A row of the menu: its group, how it is written, how each argument is read, whether it can be undone."""

    name: str
    group: FaultGroup
    usage: str
    arguments: tuple[Callable[[str], Argument], ...] = ()
    undoable: bool = True

    @property
    def has_target(self) -> bool:
        """Whether a target is named; the grid is only one."""
        return self.group is not FaultGroup.GRID


@dataclass(frozen=True, slots=True)
class FaultCommand:
    """A command that was understood. `duration_s` None = until cleared."""

    kind: FaultKind
    target: str
    arguments: tuple[Argument, ...]
    duration_s: float | None
    text: str


def _quantity(dimension: Dimension) -> Callable[[str], Argument]:
    def read(text: str) -> Argument:
        value = parse_quantity(text, dimension)
        if isinstance(value, Complaint):
            raise FaultError(f"'{text}' {value.message}; expected {value.expected}")
        return value

    return read


def _any_quantity(text: str) -> Argument:
    matched = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(\S*)", text)
    unit = UNITS.get(matched[2]) if matched else None
    if matched is None or unit is None:
        raise FaultError(f"'{text}' is no quantity; expected a number with a unit, such as 5A")
    return float(matched[1]) * unit.factor


def _number(text: str) -> Argument:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        raise FaultError(f"'{text}' is no number; expected one such as 10")
    return float(text)


def _whole(low: int, high: int) -> Callable[[str], Argument]:
    def read(text: str) -> Argument:
        if not re.fullmatch(r"[+-]?\d{1,5}", text) or not low <= int(text) <= high:
            raise FaultError(f"'{text}' is out of place; expected a whole number from {low} to {high}")
        return float(int(text))

    return read


def _word(*words: str) -> Callable[[str], Argument]:
    def read(text: str) -> Argument:
        if words and text not in words:
            raise FaultError(f"'{text}' is out of place; expected {' or '.join(words)}")
        return text

    return read


def _cell_value(text: str) -> Argument:
    """Read a cell's voltage or temperature; kept as written, because the unit says which."""
    for dimension in (Dimension.VOLTAGE, Dimension.TEMPERATURE):
        if not isinstance(parse_quantity(text, dimension), Complaint):
            return text
    raise FaultError(f"'{text}' is no voltage or temperature; expected one such as 3.72V or 62degC")


_CELL, _POINT = _whole(0, 9999), _word()
_TIME, _OHM = _quantity(Dimension.TIME), _quantity(Dimension.RESISTANCE)

_LINK = (
    ("silent", "silent T", ()),
    ("late", "late T 1.5s", (_TIME,)),
    ("wrong_tid", "wrong_tid T", ()),
    ("zero_tid", "zero_tid T", ()),
    ("wrong_unit", "wrong_unit T", ()),
    ("wrong_function", "wrong_function T", ()),
    ("truncate", "truncate T", ()),
    ("exception", "exception T 4", (_whole(1, 255),)),
    ("garbage", "garbage T", ()),
    ("rst", "rst T", ()),
    ("no_read", "no_read T", ()),
    ("flap", "flap T 1s", (_TIME,)),
    ("bad_echo", "bad_echo T", ()),
)
_DATA = (
    ("freeze", "freeze T", ()),
    ("sentinel", "sentinel T POINT", (_POINT,)),
    ("offset", "offset T POINT 5A", (_POINT, _any_quantity)),
    ("sign", "sign T POINT", (_POINT,)),
    ("shift", "shift T 1", (_whole(-100, 100),)),
    ("scale", "scale T POINT 10", (_POINT, _number)),
    ("swap_words", "swap_words T", ()),
)
_CELLS = (
    ("cell", "cell T 17 3.72V", (_CELL, _cell_value)),
    ("leak", "leak T 17 30ohm", (_CELL, _OHM)),
    ("joint", "joint T 17 0.5mohm", (_CELL, _OHM)),
)
_RACK = (
    ("contactor", "contactor T stuck_open|stuck_closed", (_word("stuck_open", "stuck_closed"),)),
    ("precharge", "precharge T fail", (_word("fail"),)),
    ("current", "current T 5A", (_quantity(Dimension.CURRENT),)),
    ("identity", "identity T SERIAL", (_word(),)),
)
_PCS = (
    ("refuse", "refuse PCS01", ()),
    ("ignore", "ignore PCS01", ()),
    ("limit", "limit PCS01 500kW", (_quantity(Dimension.POWER),)),
    ("watchdog", "watchdog PCS01 off", (_word("off"),)),
)
_GRID = (
    ("frequency", "frequency 49.5Hz", (_quantity(Dimension.FREQUENCY),)),
    ("voltage", "voltage 1.02pu", (_quantity(Dimension.RATIO),)),
    ("load", "load 3MW", (_quantity(Dimension.POWER),)),
    ("pv", "pv 1MW", (_quantity(Dimension.POWER),)),
)
_KINDS = (
    *(FaultKind(n, FaultGroup.LINK, u, a) for n, u, a in _LINK),
    *(FaultKind(n, FaultGroup.DATA, u, a) for n, u, a in _DATA),
    *(FaultKind(n, FaultGroup.CELLS, u, a) for n, u, a in _CELLS),
    FaultKind("soc", FaultGroup.CELLS, "soc T 20%", (_quantity(Dimension.RATIO),), undoable=False),
    *(FaultKind(n, FaultGroup.RACK, u, a) for n, u, a in _RACK),
    FaultKind("reboot", FaultGroup.RACK, "reboot T", (), undoable=False),
    *(FaultKind(n, FaultGroup.PCS, u, a) for n, u, a in _PCS),
    *(FaultKind(n, FaultGroup.GRID, u, a) for n, u, a in _GRID),
    FaultKind("interlock", FaultGroup.INTERLOCK, "interlock ESTOP open", (_word("open"),)),
)
MENU: Mapping[str, FaultKind] = {kind.name: kind for kind in _KINDS}
"""Every fault by name."""


CLEAR = FaultKind("clear", FaultGroup.MENU, "clear [T]", undoable=False)


def menu_table() -> str:
    """Return the menu as a Markdown table: every command as it is written, by what it disturbs."""
    rows = [f"| {kind.group.value} | `{kind.usage.replace('|', '` or `')}` |" for kind in MENU.values()]
    return "\n".join(["| disturbs | command |", "|---|---|", *rows]) + "\n"


def parse_command(line: str) -> FaultCommand:
    """Return what a line states that may stand in a file: a fault, or `clear` with or without a target."""
    words = line.split()
    if words[:1] != [CLEAR.name]:
        return parse_fault(line)
    if len(words) > 2:
        raise FaultError(f"'{line.strip()}' has {len(words) - 1} words after 'clear'; expected {CLEAR.usage}")
    return FaultCommand(CLEAR, "".join(words[1:]), (), None, " ".join(words))


def parse_fault(line: str) -> FaultCommand:
    """Return the command that a line states; FaultError says what is wrong and how it is written."""
    words = _words(line)
    if not words:
        raise FaultError("the line is empty; expected a fault such as 'silent B01-R03'")
    kind = MENU.get(words[0])
    if kind is None:
        hint = did_you_mean(words[0], MENU)
        raise FaultError(f"no fault named '{words[0]}'{'; ' + hint if hint else ''}")
    rest, duration_s = _duration(kind, words[1:])
    expected = len(kind.arguments) + kind.has_target
    if len(rest) != expected:
        raise FaultError(f"'{line.strip()}' has {len(rest)} words after '{kind.name}'; expected {kind.usage}")
    target, given = (rest[0], rest[1:]) if kind.has_target else ("", rest)
    arguments = tuple(read(text) for read, text in zip(kind.arguments, given, strict=True))
    return FaultCommand(kind, target, arguments, duration_s, " ".join(words))


def parse_timed_fault(line: str) -> tuple[float, str]:
    """Return time and command of a line of a fault file (`12.5 silent B01-R03`); the command is checked."""
    at, _, command = line.strip().partition(" ")
    if not re.fullmatch(r"\d+(\.\d*)?", at):
        raise FaultError(f"'{line.strip()}' does not begin with a time in seconds, such as '12.5 silent B01-R03'")
    parse_command(command)
    return float(at), command


def _words(line: str) -> list[str]:
    """Return the words of a line; a unit that stands apart joins its number."""
    words: list[str] = []
    for word in line.split():
        if words and word in UNITS and re.fullmatch(r"[+-]?\d+\.?\d*|[+-]?\.\d+", words[-1]):
            words[-1] += word
        else:
            words.append(word)
    return words


def _duration(kind: FaultKind, words: list[str]) -> tuple[list[str], float | None]:
    if len(words) < 2 or words[-2] != "for":
        return words, None
    if not kind.undoable:
        raise FaultError(f"'{kind.name}' can't be undone; leave out 'for {words[-1]}'")
    duration_s = _TIME(words[-1])
    assert isinstance(duration_s, float)
    return words[:-2], duration_s
