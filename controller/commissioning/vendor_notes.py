"""What a list says in words: titles over its rows, notes such as `Racks 1 to 9, each 600 registers further on`.

Rule: a note tells a repetition only if it names racks, how many there are, and how many registers lie between two. What
says less is kept as a text; nothing is worked out from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RACKS = r"(?:racks?|clusters?|strings?)"
_COUNTS = (
    re.compile(
        rf"\b{_RACKS}\s*(?:no\.?|number|#)?\s*(\d+)\s*(?:to|through|until|\.\.+|-|–|~)\s*{_RACKS}?\s*#?(\d+)",
        re.IGNORECASE,
    ),
    re.compile(rf"\b()(\d+)\s+{_RACKS}\b", re.IGNORECASE),
    re.compile(r"\bn\s*(?:=|from|is)\s*(\d+)\s*(?:to|through|\.\.+|-|–|~)\s*(\d+)", re.IGNORECASE),
)
_STRIDES = (
    re.compile(r"\b(\d+)\s*(?:registers?|words|addresses)\b", re.IGNORECASE),
    re.compile(
        r"\b(?:offset|stride|step|spacing|interval|pitch)(?:\s+(?:of|is|by))?\s*[:=+]?\s*(\d+)\b", re.IGNORECASE
    ),
    re.compile(r"\+\s*(\d+)\b(?!\s*registers)"),
)
_OF_RACKS = re.compile(rf"\b{_RACKS}\b", re.IGNORECASE)
_OF_EACH_RACK = re.compile(
    rf"\b(?:(?:each|next|per|every|other)\s+{_RACKS}|{_RACKS}\s*[ #]?(?:n|i|k|x|no)\b)", re.IGNORECASE
)
_OF_A_RACK = re.compile(r"\b(?:rack|cluster|string)(?![a-z])", re.IGNORECASE)
_OF_THE_WHOLE = re.compile(r"\b(?:bank|system|container|master|number|count|all|total of)(?![a-z])", re.IGNORECASE)
_TITLE_WORDS = 6
"""What has more words is a sentence about the rows, not what they are of."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """A block of registers that stands there once a rack."""

    racks: int
    stride: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.racks} racks every {self.stride} registers"


def repetition_of(text: str) -> Repetition | None:
    """Return how often the racks' block repeats, as a note says it; None where it does not say both numbers."""
    counted = next((found for pattern in _COUNTS if (found := pattern.search(text))), None)
    if counted is None:
        return None
    rest = text[: counted.start()] + " " + text[counted.end() :]
    strides = {int(number) for pattern in _STRIDES for number in pattern.findall(rest)}
    racks = int(counted[2]) - int(counted[1] or 1) + 1
    if len(strides) != 1 or racks < 2 or 0 in strides:
        return None
    return Repetition(racks, strides.pop())


def stride_of(text: str) -> int | None:
    """Return how far apart the racks' blocks are where a text says only that: `rack n: +600`; None if it does not."""
    strides = {int(number) for pattern in _STRIDES for number in pattern.findall(text)} - {0}
    return strides.pop() if len(strides) == 1 and _OF_EACH_RACK.search(text) else None


def is_remark(text: str) -> bool:
    """Whether a text between the rows is a sentence that leaves their title as it is."""
    return repetition_of(text) is None and (len(text.split()) > _TITLE_WORDS or text.rstrip().endswith("."))


def is_of_racks(name: str, title: str) -> bool:
    """Whether a row is a value of each rack and not of the bank, by its name or the title that it stands under."""
    if _OF_THE_WHOLE.search(name.replace("_", " ")):
        return False
    if _OF_A_RACK.search(name.replace("_", " ")) or repetition_of(title) is not None:
        return True
    return bool(_OF_RACKS.search(title)) and not _OF_THE_WHOLE.search(title)
