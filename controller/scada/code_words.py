"""What the numbers of code points mean, in words: for OPC UA (`EnumStrings`), the interface document and the guides.

Rule: the words follow from the enumerations that the controller itself uses; nothing is typed twice. A number that no
release uses has the word "". Which row a trip cause is depends on the site's protection file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from controller.alarms.groups import Priority
from controller.alarms.table import AlarmTable
from controller.control.limits.reasons import REASON_TEXTS
from controller.control.sequences.states import OperatingState
from controller.control.setpoints import ControlOwner, OperatingMode, SetpointSource
from controller.plant.model import Plant
from controller.points.catalogue import POINTS

Words = tuple[str, ...]

TRIP_CAUSE = "rack.trip_cause"
_TIME_QUALITY: Words = ("unknown", "synchronised", "not synchronised")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a face needs to say in words what the image holds in numbers."""

    alarms: AlarmTable
    codes: Mapping[str, Words]


def wording_of(plant: Plant) -> Wording:
    """Return the words of a plant."""
    return Wording(AlarmTable(plant), words_of(plant))


def words_of(plant: Plant) -> dict[str, Words]:
    """Return the words of each code quantity that a point shows, by number from 0."""
    return {**FIXED, TRIP_CAUSE: ("none", *(row.name for row in plant.protection))}


def in_one_line(words: Words) -> str:
    """Return `0 unknown; 1 off; ...`."""
    return "; ".join(f"{number} {word}" for number, word in enumerate(words) if word)


def code_table() -> str:
    """Return a Markdown table of all code points of the catalogue, those alike in one row."""
    points: dict[str, dict[str, None]] = {}
    for owner, templates in POINTS.items():
        for template in templates:
            if template.quantity in FIXED and not template.name.endswith("Text"):
                line = in_one_line(FIXED[template.quantity])
                points.setdefault(line, {})[f"{owner.value} `{template.name}`"] = None
    rows = [f"| {', '.join(names)} | {line} |" for line, names in points.items()]
    rows.append(
        "| rack `TripCause` | 0 none, else the row of the site's protection: `bess points SITE`, column `codes` |"
    )
    return "\n".join(["| point | codes |", "|---|---|", *rows]) + "\n"


def _words(codes: type[IntEnum]) -> Words:
    return _filled({int(code): code.name.lower().replace("_", " ") for code in codes})


def _filled(words: Mapping[int, str]) -> Words:
    return tuple(words.get(number, "") for number in range(max(words) + 1))


_STATE = _words(OperatingState)
_PRIORITY = _filled({0: "none", **{int(p): p.name.lower() for p in Priority}})
FIXED: dict[str, Words] = {
    "plant.operating_state": _STATE,
    "block.operating_state": _STATE,
    "pcs.operating_state": _STATE,
    "rack.operating_state": _STATE,
    "plant.mode": _words(OperatingMode),
    "plant.control_owner": _words(ControlOwner),
    "plant.setpoint_source": _words(SetpointSource),
    "plant.limit_reason": _filled({int(reason): text for reason, text in REASON_TEXTS.items()}),
    "plant.alarm_priority": _PRIORITY,
    "pcs.alarm_priority": _PRIORITY,
    "rack.alarm_priority": _PRIORITY,
    "plant.time_quality": _TIME_QUALITY,
}
"""The words that are the same at every site."""
