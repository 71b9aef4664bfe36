"""What is wrong with text that is no YAML, in the words of who writes it, at the line where it was done."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from controller.plant.messages import Message, Place, error


def syntax_error(file: str, text: str, wrong: yaml.YAMLError) -> Message:
    """Return what a person did wrong where the parser gave up, and how it is written."""
    if isinstance(wrong, yaml.MarkedYAMLError):
        return _no_space(file, text, wrong) or _no_yaml(file, text, wrong)
    position = getattr(wrong, "position", 0)
    before = text[: position if isinstance(position, int) else 0]
    place = Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    return error(place, "a character that YAML does not allow", "printable text")


_COLON_WITHOUT_SPACE = re.compile(r"\s*(?:- +)*([A-Za-z_][\w.-]*):([^\s/].*)")


def _no_space(file: str, text: str, wrong: yaml.MarkedYAMLError) -> Message | None:
    """Return what is wrong where a key's colon has no space behind it: YAML sees no key there, and says so later."""
    mark, lines = wrong.context_mark, text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    found = _COLON_WITHOUT_SPACE.fullmatch(line)
    if mark is None or found is None or "':'" not in (wrong.problem or ""):
        return None
    place = Place(file, mark.line + 1, found.end(1) + 1)
    return error(place, "no space behind the colon", "a key, a colon, a space, a value", colon_hint(*found.groups()))


def colon_hint(key: str, value: str) -> str:
    """Return how a key is written whose colon has no space behind it."""
    return f"write '{key}: {value.strip()}'"


@dataclass(frozen=True, slots=True)
class _Slip:
    """What the parser says, what that mostly is, how it is written; `begins`: told where the thing begins."""

    says: str
    message: str
    expected: str
    hint: str = ""
    begins: bool = False


_INDENT = "the same column as its neighbours, or two spaces further in for what belongs to the line above"
_SLIPS = (
    _Slip("'-' indicator", "this line is no entry of the list that begins on line {line}", "'- ' in the column of the"
          " list's other entries", "an entry's keys stand below its first key; a key outside the list further left"),
    _Slip("expected key", "this line stands in no column of the keys that begin on line {line}", _INDENT),
    _Slip("<block end>", "this line stands in no column of the keys that begin on line {line}", _INDENT),
    _Slip("find expected ':'", "no colon behind the key", "a key, a colon, a space, a value", begins=True),
    _Slip("cannot start any token", "a value can't begin with '{char}'", 'quotes around it, such as "{char}"'),
    _Slip("',' or ']'", "the [ that begins on line {line} is not closed, or a comma is missing in it",
          "[one, two, three]", "text with [ ] {{ }} , # inside goes in quotes", begins=True),
    _Slip("',' or '}'", "the {{ that begins on line {line} is not closed, or a comma is missing in it", "{{key: value,"
          " key: value}}", "text with [ ] {{ }} , # inside goes in quotes", begins=True),
    _Slip("unexpected end of stream", "the quote that begins here is never closed", "a quote at its end", begins=True),
    _Slip("mapping values", "a second colon in one line, or a line further in than the keys above it", _INDENT,
          "text with ': ' inside goes in quotes"),
    _Slip("escape character", "in double quotes a backslash begins a special character", "single quotes around it"),
)  # fmt: skip
_LOOKALIKES = {"\u00a0": "a no-break space", "\u201c": "a curly quote", "\u201d": "a curly quote",
               "\u201e": "a curly quote", "\u2018": "a curly quote", "\u2019": "a curly quote"}  # fmt: skip
_TABS = "replace each tab by spaces; most editors can be set to insert spaces for the tab key"


def _no_yaml(file: str, text: str, wrong: yaml.MarkedYAMLError) -> Message:
    mark, lines = wrong.problem_mark or wrong.context_mark, text.splitlines()
    if mark is None:
        return error(Place(file), "this is not valid YAML: it breaks off here")
    place, line = Place(file, mark.line + 1, mark.column + 1), lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: place.col]:
        tab = Place(file, place.line, line.index("\t") + 1)
        return error(tab, "a tab where YAML wants spaces", "spaces, as many as the lines around have", _TABS)
    alike = _lookalike(file, lines, max(mark.line - 1, 0))
    return alike or _slip(place, line[mark.column : mark.column + 1], wrong)


def _lookalike(file: str, lines: list[str], first: int) -> Message | None:
    """Return where the line, or the one above it, has what a word processor makes of a space or a quote."""
    for number, line in enumerate(lines[first : first + 2], first + 1):
        for column, char in enumerate(line.partition(" #")[0], 1):
            if char in _LOOKALIKES:
                hint = "text from a word processor or a web page brings them: type it anew"
                return error(Place(file, number, column), _LOOKALIKES[char], "a plain space or a straight quote", hint)
    return None


def _slip(place: Place, char: str, wrong: yaml.MarkedYAMLError) -> Message:
    problem, begin = wrong.problem or "it breaks off here", wrong.context_mark
    slip = next((each for each in _SLIPS if each.says in problem), None)
    if slip is None:
        return error(place, f"this is not valid YAML: {problem}")
    words = {"line": begin.line + 1 if begin else place.line, "char": char}
    elsewhere = begin is not None and slip.begins and begin.line + 1 != place.line
    where = Place(place.file, begin.line + 1, begin.column + 1) if begin is not None and elsewhere else place
    message, expected, hint = (each.format(**words) for each in (slip.message, slip.expected, slip.hint))
    return error(where, message, expected, hint)
