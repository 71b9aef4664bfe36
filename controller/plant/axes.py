"""Names with axes: `"B{block:01..06}-R{rack:01..24}"` names 144 racks, `{rack+100}` computes an address.

Zero padding is kept in names and dropped in addresses. Arithmetic is whole numbers with + - * only; no conditions,
no loops, no text templating: the parsed tree is expanded, so every message points at what the human wrote.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.plant.messages import Complaint, did_you_mean, one_of

MAX_NAMES = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_AXIS = re.compile(r"\s*([a-z][a-z0-9_]*)\s*:\s*([0-9.,\s]+)\s*")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FACTOR = r"(?:[a-z][a-z0-9_]*|[0-9]{1,9})"
_PRODUCT = rf"{_FACTOR}(?:\*{_FACTOR})*"
_SUM = re.compile(rf"-?{_PRODUCT}(?:[+-]{_PRODUCT})*")
_EXAMPLE = 'a name such as "B{block:01..06}-R{rack:01..24}"'


@dataclass(frozen=True, slots=True)
class Axis:
    """A counting word in a name, with its values as written (zero padding kept)."""

    word: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """One expanded name and the value of each axis in it, in the order of the name."""

    name: str
    values: Mapping[str, str]


class AxisError(ValueError):
    """A name or template that can't be read; carries the complaint."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.message)
        self.complaint = complaint


def _fail(message: str, expected: str = "", hint: str = "") -> AxisError:
    return AxisError(Complaint(message, expected, hint))


def expand_name(text: str) -> list[Instance]:
    """Return every name that the pattern stands for, last axis counting fastest. Raises AxisError."""
    literals, axes = _split_name(text)
    size = 1
    for axis in axes:
        size *= len(axis.values)
    if size > MAX_NAMES:
        raise _fail(f"'{text}' stands for {size} names", f"at most {MAX_NAMES}")
    words = [axis.word for axis in axes]
    instances = [
        Instance(_join(literals, chosen), dict(zip(words, chosen, strict=True)))
        for chosen in itertools.product(*(axis.values for axis in axes))
    ]
    for instance in instances[:1]:
        if not _NAME.fullmatch(instance.name):
            raise _fail(f"'{instance.name}' can't be a name", "letters, digits, - and _, a letter first")
    return instances


def _join(literals: Sequence[str], chosen: Sequence[str]) -> str:
    return "".join(a + b for a, b in itertools.zip_longest(literals, chosen, fillvalue=""))


def _split_name(text: str) -> tuple[list[str], list[Axis]]:
    pieces = _BRACES.split(text)
    literals, axes = pieces[::2], [_parse_axis(piece) for piece in pieces[1::2]]
    if any("{" in literal or "}" in literal for literal in literals):
        raise _fail(f"'{text}' has a brace too many or too few", _EXAMPLE)
    words = [axis.word for axis in axes]
    twice = next((w for w in words if words.count(w) > 1), None)
    if twice:
        raise _fail(f"axis '{twice}' stands twice in '{text}'", _EXAMPLE)
    return literals, axes


def _parse_axis(text: str) -> Axis:
    matched = _AXIS.fullmatch(text)
    if matched is None:
        hint = f"write {{{text}:01..12}}" if _WORD.fullmatch(text) else ""
        raise _fail(f"'{{{text}}}' is not an axis with a range", "an axis such as {rack:01..24}", hint)
    values = [value for part in matched[2].split(",") for value in _range(part.strip(), text)]
    if len(set(values)) < len(values):
        raise _fail(f"'{{{text}}}' names a value twice", "each value once")
    return Axis(matched[1], tuple(values))


def _range(part: str, text: str) -> list[str]:
    ends = part.split("..")
    if len(ends) > 2 or not all(end.isascii() and end.isdigit() and len(end) <= 9 for end in ends):
        raise _fail(f"'{{{text}}}' is not a range", "a range such as 01..24")
    first, last = ends[0], ends[-1]
    if int(last) < int(first):
        raise _fail(f"'{{{text}}}' counts downwards", "the smaller number first", f"write {last}..{first}")
    if int(last) - int(first) >= MAX_NAMES:
        raise _fail(f"'{{{text}}}' stands for {int(last) - int(first) + 1} values", f"at most {MAX_NAMES}")
    padded = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [str(number).zfill(padded) for number in range(int(first), int(last) + 1)]


@dataclass(frozen=True, slots=True)
class Template:
    """Text with `{axis}` or `{axis+100}` in it, parsed once and filled for each instance."""

    literals: tuple[str, ...]
    sums: tuple[tuple[tuple[int, tuple[str, ...]], ...], ...]  # per brace: terms of (sign * number, axis words)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with each brace computed; a lone axis in an address loses its padding."""
        return _join(self.literals, [str(_total(terms, values)) for terms in self.sums])

    def fill_name(self, values: Mapping[str, str]) -> str:
        """Return the text with each brace filled as in a name: a lone axis keeps its zero padding."""
        return _join(self.literals, [_padded(terms, values) for terms in self.sums])


def _total(terms: tuple[tuple[int, tuple[str, ...]], ...], values: Mapping[str, str]) -> int:
    total = 0
    for number, words in terms:
        product = number
        for word in words:
            product *= int(values[word])
        total += product
    return total


def _padded(terms: tuple[tuple[int, tuple[str, ...]], ...], values: Mapping[str, str]) -> str:
    words = [word for _, factors in terms for word in factors]
    width = max((len(values[word]) for word in words if values[word].startswith("0")), default=0)
    if len(terms) == 1 and terms[0][0] == 1 and len(words) == 1:
        return values[words[0]]
    return str(_total(terms, values)).zfill(width)


def parse_template(text: str, words: Iterable[str]) -> Template:
    """Return the template; its braces may use the given axis words only. Raises AxisError."""
    known = list(words)
    pieces = _BRACES.split(text)
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise _fail(f"'{text}' has a brace too many or too few", "such as {rack} or {rack+100}")
    return Template(tuple(pieces[::2]), tuple(_parse_sum(piece, known) for piece in pieces[1::2]))


def _parse_sum(text: str, known: list[str]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    compact = text.replace(" ", "")
    if not _SUM.fullmatch(compact):
        raise _fail(f"'{{{text}}}' can't be computed", "an axis with + - *, such as {rack+100}")
    signed_terms = re.findall(r"[+-]?[^+-]+", compact)
    return tuple(
        _parse_product(-1 if signed.startswith("-") else 1, signed.lstrip("+-").split("*"), known)
        for signed in signed_terms
    )


def _parse_product(sign: int, factors: Sequence[str], known: list[str]) -> tuple[int, tuple[str, ...]]:
    number, words = sign, []
    for factor in factors:
        if factor.isascii() and factor.isdigit():
            number *= int(factor)
        elif factor in known:
            words.append(factor)
        else:
            expected = one_of(f"{{{word}}}" for word in known) or "no braces: this name has no axes"
            raise _fail(f"'{{{factor}}}' is not an axis of this group", expected, did_you_mean(factor, known))
    return number, tuple(words)


def expand_reference(text: str, values: Mapping[str, str]) -> list[str]:
    """Return the names or `*` patterns that a reference stands for, seen from one instance of a group.

    `{block}` is filled from the instance's axes, `{rack:01..06}` counts here. Raises AxisError.
    """
    counted = _BRACES.sub(lambda m: m[0] if ":" in m[1] else parse_template(m[0], values).fill_name(values), text)
    literals, axes = _split_name(counted)
    return [_join(literals, chosen) for chosen in itertools.product(*(axis.values for axis in axes))]


class NameIndex:
    """The names of one kind of equipment, for references and patterns."""

    def __init__(self, names: Iterable[str]) -> None:
        self.position = {name: index for index, name in enumerate(names)}

    def find(self, pattern: str) -> list[int]:
        """Return the positions of the names that match, in order; empty if none."""
        if "*" not in pattern:
            return [self.position[pattern]] if pattern in self.position else []
        head, _, rest = pattern.partition("*")
        if not rest:
            return [index for name, index in self.position.items() if name.startswith(head)]
        wanted = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
        return [index for name, index in self.position.items() if wanted.fullmatch(name)]

    def matching(self, pattern: str) -> set[str]:
        """Return the names that match."""
        names = list(self.position)
        return {names[index] for index in self.find(pattern)}

    def hint(self, name: str) -> str:
        """Return how to mend a name that matches nothing, axis by axis where the names are numbered alike."""
        return _numbered_hint(name, list(self.position)) or did_you_mean(name, self.position)


_NUMBERS = re.compile(r"([0-9]+)")


def _numbered_hint(name: str, names: Sequence[str]) -> str:
    """Keep the axes that fit, and say how far the one that does not fit goes."""
    pieces = _NUMBERS.split(name)
    alike = [p for n in names if (p := _NUMBERS.split(n))[::2] == pieces[::2]]
    for axis in range(1, len(pieces), 2):
        fitting = [p for p in alike if p[axis] == pieces[axis]]
        if not fitting and alike:
            return _axis_hint(pieces, alike, axis)
        alike = fitting
    return ""


def _axis_hint(pieces: Sequence[str], alike: Sequence[Sequence[str]], axis: int) -> str:
    values = list(dict.fromkeys(p[axis] for p in alike))
    by_number = {int(value): value for value in values}
    if int(pieces[axis]) in by_number or len(values) == 1:
        meant = [*pieces[:axis], by_number.get(int(pieces[axis]), values[0]), *pieces[axis + 1 :]]
        return f"did you mean '{''.join(meant)}'?"
    stem, prefix = "".join(pieces[: axis - 1]).rstrip("-_"), pieces[axis - 1].lstrip("-_")
    where = f"in {stem} they go" if stem else "they go"
    return f"{where} from {prefix}{values[0]} to {prefix}{values[-1]}"
