"""What the site loader tells people: a place, what is wrong in their words, what is expected, how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

SHOWN_AT_MOST = 20
LONGEST_TEXT, LONGEST_LINE = 400, 160
"""Characters of a message's parts, and of a source line: more hides what is said."""


class Severity(StrEnum):
    """Errors stop the site from being run; warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of a file: line and column count from 1; `width` is how many characters the caret underlines.

    `secret`: what stands there must not be shown.
    """

    file: str
    line: int = 1
    col: int = 1
    width: int = 1
    secret: bool = False

    def __str__(self) -> str:
        """Return file:line:col."""
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a value, before it is known where the value stands."""

    message: str
    expected: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One finding of the loader or of a check."""

    severity: Severity
    place: Place
    message: str
    expected: str = ""
    hint: str = ""
    see_also: tuple[Place, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the message as `bess validate --json` prints it."""
        return {
            "severity": self.severity.value,
            "file": self.place.file,
            "line": self.place.line,
            "col": self.place.col,
            "message": self.message,
            "expected": self.expected,
            "hint": self.hint,
            "see_also": [str(place) for place in self.see_also],
        }


def error(place: Place, message: str, expected: str = "", hint: str = "", see_also: Sequence[Place] = ()) -> Message:
    """Return an error message."""
    return Message(Severity.ERROR, place, _short(message), _short(expected), _short(hint), tuple(see_also))


def warning(place: Place, message: str, expected: str = "", hint: str = "", see_also: Sequence[Place] = ()) -> Message:
    """Return a warning message."""
    return Message(Severity.WARNING, place, _short(message), _short(expected), _short(hint), tuple(see_also))


def _short(text: str) -> str:
    """Return a text without its middle where it is long, and without what would move a terminal's cursor."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: 4 * LONGEST_TEXT])
    half = LONGEST_TEXT // 2
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:half]} ... {shown[-half:]}"


def in_order(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the errors, then the warnings, each by file, line and column; the same finding at a place only once.

    Warnings never push an error out of those that are shown.
    """
    once = {(m.place, m.message): m for m in messages}
    return tuple(sorted(once.values(), key=lambda m: (m.severity is not Severity.ERROR, m.place, m.message)))


def render(messages: Sequence[Message], lines_of: Mapping[str, Sequence[str]], at_most: int = SHOWN_AT_MOST) -> str:
    """Return the messages for people: each with its source line and a caret, `at_most` of them, then a count.

    `lines_of` gives the lines of each file by the name that the messages use.
    """
    hidden = _hidden(messages, lines_of)
    shown = [_render_one(m, hidden.get(m.place.file, ())) for m in messages[:at_most]]
    if len(messages) > at_most:
        shown.append(f"and {len(messages) - at_most} more like this")
    return "\n\n".join(shown)


def _hidden(messages: Sequence[Message], lines_of: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the lines of each file, with stars for secrets: other complaints may show the same line."""
    hidden = dict(lines_of)
    for place in (m.place for m in messages if m.place.secret and m.place.file in lines_of):
        lines = list(hidden[place.file])
        begin, end = place.col - 1, place.col - 1 + place.width
        line = lines[place.line - 1]
        lines[place.line - 1] = line[:begin] + "*" * len(line[begin:end]) + line[end:]
        hidden[place.file] = lines
    return hidden


def _render_one(message: Message, lines: Sequence[str]) -> str:
    place = message.place
    rendered = [f"{place}: {message.severity}: {message.message}", *_source_line(place, lines)]
    rendered += [f"       = see also {other}" for other in message.see_also]
    if message.expected:
        rendered.append(f"       = expected: {message.expected}")
    if message.hint:
        rendered.append(f"       = hint: {message.hint}")
    return "\n".join(rendered)


def _source_line(place: Place, lines: Sequence[str]) -> list[str]:
    if not 1 <= place.line <= len(lines):
        return []
    line, col = lines[place.line - 1], place.col
    if len(line) > LONGEST_LINE and col > LONGEST_LINE // 2:
        cut = col - LONGEST_LINE // 2
        line, col = f"...{line[cut + 3 :]}", col - cut
    text = "".join(c if c.isprintable() or c == "\t" else "?" for c in line[:LONGEST_LINE])
    width = max(1, min(place.width, len(text) - col + 1))
    pad = "".join("\t" if c == "\t" else " " for c in text[: col - 1])
    return [f"{place.line:6d} | {text}", f"       | {pad}{'^' * width}"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that the writer most likely meant, or None if nothing is near."""
    by_fold = {k.casefold(): k for k in known}
    folded = word.casefold().replace("-", "_")
    if folded in by_fold:
        return by_fold[folded]
    close = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the hint that names the nearest known word, or "" if nothing is near."""
    near = nearest(word, known)
    return f"did you mean '{near}'?" if near else ""


def one_of(known: Iterable[str], at_most: int = 12) -> str:
    """Return the expectation that lists what is known, cut where the list gets long."""
    words = list(known)
    more = f", ... ({len(words)} in all)" if len(words) > at_most else ""
    return "one of " + ", ".join(words[:at_most]) + more if words else ""
