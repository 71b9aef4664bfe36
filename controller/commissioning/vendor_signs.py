"""Which direction a point list counts as positive, as makers write it: `charge +, discharge -`, `negative = charge`.

A text is read as words of two kinds, sides (`+`, `positive`, `< 0`) and directions (`charge`, `export`). A side and a
direction that stand together, with nothing but words such as `value means` between, are one statement. All statements
of a text must agree; of a text that contradicts itself nothing is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from controller.plant.schema.device import SignConvention
from controller.plant.signals import Signal

_DASHES = str.maketrans(dict.fromkeys("\u2212\u2013", "-"))
"""A minus sign and an en dash, as spreadsheets make them of a hyphen."""
_NO_SIDE = re.compile(r"\+\s*/\s*-|±|\+-|[-=]>|[-+]\s*[\d.]")
"""What looks like a side and is none: `+/-`, an arrow, a number's own sign."""
_SIDES = (
    (r"\bpos(?:itive|itiv)?\b\.?|\bplus\b|\+|>\s*0(?![.\d])", 1),
    (r"\bneg(?:ative|ativ)?\b\.?|\bminus\b|(?<!\w)-(?!\w)|<\s*0(?![.\d])", -1),
)
_OF_CHARGE = (
    (r"\bdis[- ]?charg\w*", SignConvention.DISCHARGE_POSITIVE),
    (r"\bcharg\w*", SignConvention.CHARGE_POSITIVE),
    (r"\bexport\w*|\bdeliver\w*|\bfeed[- ]?in\w*|\bto (?:the )?grid\b|\binject\w*|\bsuppl(?:y|ies|ied)\b|\bgenerat\w*",
     SignConvention.EXPORT_POSITIVE),
    (r"\blieferung\b", SignConvention.EXPORT_POSITIVE),
    (r"\bimport\w*|\bbezug\b|\bconsum\w*|\bfrom (?:the )?grid\b|\bpurchas\w*", SignConvention.IMPORT_POSITIVE),
)  # fmt: skip
_REACTIVE = (
    (r"\babsorb\w*|\binduct\w*", SignConvention.ABSORBED_POSITIVE),
    (r"\binject\w*|\bcapacit\w*", SignConvention.INJECTED_POSITIVE),
)
_OPPOSITE = {
    SignConvention.DISCHARGE_POSITIVE: SignConvention.CHARGE_POSITIVE,
    SignConvention.EXPORT_POSITIVE: SignConvention.IMPORT_POSITIVE,
    SignConvention.INJECTED_POSITIVE: SignConvention.ABSORBED_POSITIVE,
}
_OPPOSITE |= {other: one for one, other in _OPPOSITE.items()}
_BETWEEN = re.compile(
    r"(?:[\s:=()\[\]\"'`]|\b(?:values?|numbers?|sign(?:ed)?|currents?|powers?|battery|rack|is|are|means?|meaning|for|when|"
    r"if|while|during|in|on|at|the|a|as|of|direction|shows?|shown|indicates?|denotes?|counts?|counted|being|to)\b)*"
)


class _Word(NamedTuple):
    """A side (1 or -1) or a direction, from where to where in the text."""

    start: int
    end: int
    meaning: int | SignConvention

    @property
    def is_side(self) -> bool:
        return not isinstance(self.meaning, SignConvention)


def sign_of(text: str, signal: Signal) -> SignConvention | None:
    """Return the sign convention that a description states, None if it states none, or contradicts itself."""
    if signal.unit not in {"A", "W", "var"}:
        return None
    found = set(_statements(text.casefold().translate(_DASHES), _REACTIVE if signal.unit == "var" else _OF_CHARGE))
    return found.pop() if len(found) == 1 else None


def _statements(text: str, directions: tuple[tuple[str, SignConvention], ...]) -> Iterator[SignConvention]:
    text = _NO_SIDE.sub(lambda found: "\0" * len(found[0]), text)
    words = sorted(_words(text, directions))
    taken = -1
    for k, (one, other) in enumerate(pairwise(words)):
        if k == taken or one.is_side == other.is_side or not _BETWEEN.fullmatch(text, one.end, other.start):
            continue
        side, direction = (one, other) if one.is_side else (other, one)
        if _is_hyphen(text, side) and not _is_answered(words, side):
            continue
        taken = k + 1
        assert isinstance(direction.meaning, SignConvention), "the other of the two is a direction"
        yield direction.meaning if side.meaning == 1 else _OPPOSITE[direction.meaning]


def _words(text: str, directions: tuple[tuple[str, SignConvention], ...]) -> Iterator[_Word]:
    """Yield the sides and directions of a text; what is part of a longer word (`dis-charge`) is not one by itself."""
    patterns: tuple[tuple[str, int | SignConvention], ...] = (*directions, *_SIDES)
    joined = re.compile("|".join(f"({pattern})" for pattern, _ in patterns))
    for found in joined.finditer(text):
        yield _Word(found.start(), found.end(), patterns[(found.lastindex or 1) - 1][1])


def _is_hyphen(text: str, side: _Word) -> bool:
    """Whether a bare `-` may be no more than a dash between words; in brackets or beside `=` it is a side."""
    around = text[: side.start].rstrip()[-1:], text[side.end :].lstrip()[:1]
    return text[side.start : side.end] == "-" and around[0] not in "([=:\"'" and around[1] not in ")]=:\"'"


def _is_answered(words: list[_Word], side: _Word) -> bool:
    """Whether the text has the other side, too."""
    return any(word.is_side and word.meaning != side.meaning for word in words)
