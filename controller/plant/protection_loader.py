"""Protection files (`protections/v1`) read into rows: a file changes what its `base` says, number by number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from controller.plant.device_loader import DIMENSION_OF_UNIT
from controller.plant.figures import span
from controller.plant.messages import Complaint, Message, Place, did_you_mean, error, one_of
from controller.plant.protection_rows import (
    Action,
    Direction,
    Graded,
    Level,
    ProtectionRow,
    Qualifier,
    Reduction,
    ResetClass,
)
from controller.plant.schema.messages import check
from controller.plant.schema.protections import LevelSection, ProtectionsFile, RowSection
from controller.plant.schema.types import Section
from controller.plant.signals import SIGNALS, Owner, Signal, SignalForm
from controller.plant.units import UNITS, Dimension, parse_quantity
from controller.plant.yaml_tree import Document, Loc

OWNERS = (Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER, Owner.INTERLOCK)
LEVELS = (Level.WARNING, Level.ALARM, Level.TRIP)
_OF_RATED = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s+of\s+rated\s*")


@dataclass(frozen=True, slots=True)
class Rated:
    """What `110 % of rated` refers to: the racks' continuous currents, the converters' active power."""

    charge_a: float
    discharge_a: float
    pcs_w: float


@dataclass(frozen=True, slots=True)
class DraftValue:
    """A value of a row, where it stands, and the inherited one that it replaces."""

    value: object
    place: Place
    text: str = ""
    replaces: DraftValue | None = None


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A row while it is put together: values by key (`signal`, `trip.limit`), each with its place."""

    name: str
    owner: Owner
    place: Place
    values: Mapping[str, DraftValue]


Drafts = dict[tuple[Owner, str], DraftRow]


LoadBelow = Callable[[str, Place], Drafts | None]
"""Finds the rows of a preset or of another file by the name that stands at a place; None after a complaint."""


def load_protections(
    document: Document, load_base: LoadBelow, load_extended: LoadBelow
) -> tuple[Drafts | None, list[Message]]:
    """Return the rows of a protection file laid over those of its `base` (a preset) or of what it `extends`."""
    parsed, messages = check(document, ProtectionsFile)
    if parsed is None:
        return None, messages
    base: Drafts | None = {}
    if parsed.base is not None and parsed.extends is not None:
        message = "a protection file has one thing below it: 'base' or 'extends'"
        return None, [error(document.place_of(("extends",)), message, "the preset named in the extended file")]
    if parsed.base is not None:
        base = load_base(parsed.base, document.place_of(("base",)))
    elif parsed.extends is not None:
        base = load_extended(parsed.extends, document.place_of(("extends",)))
    if base is None:
        return None, messages
    return _laid_over(document, parsed, base), [*messages, *_check_names(document, parsed, base)]


def _check_names(document: Document, parsed: ProtectionsFile, base: Drafts) -> list[Message]:
    """A row that is not inherited must say everything; a row that says little is a misspelt one."""
    messages = [] if base else _without_base(document, parsed)
    if messages:
        return messages
    for owner in OWNERS:
        known = [name for o, name in base if o is owner]
        for name, row in _rows(parsed, owner).items():
            if (owner, name) not in base and row.signal is None:
                place = document.place_of((owner.value, name), key=True)
                hint = did_you_mean(name, known)
                if not hint and any((row.warning, row.alarm, row.trip)):
                    expected = "a key 'signal' that says what is compared, such as 'signal: rack.voltage'"
                    messages.append(error(place, f"the new row {name} has no 'signal'", expected))
                    continue
                expected = "" if hint else "an inherited name, or a new row with 'signal'"
                messages.append(error(place, f"no protection named '{name}'", expected, hint))
    for position, section in enumerate(parsed.off):
        name = section.row
        effect = _effect([draft for (_, n), draft in base.items() if n == name])
        if effect and not section.reason:
            place = document.place_of(("off", position))
            message = f"{name} {effect}, and is switched off without a reason"
            hint = f'off: [{{row: {name}, reason: "its maker does it, agreed with ..."}}]'
            messages.append(error(place, message, "a reason that the next reader can judge", hint))
        if name not in {n for _, n in base}:
            place = document.place_of(("off", position))
            hint = did_you_mean(name, [n for _, n in base])
            messages.append(error(place, f"no protection named '{name}'", "an inherited name", hint))
    return messages


def _without_base(document: Document, parsed: ProtectionsFile) -> list[Message]:
    """Rows without a signal change those of a preset: where no preset is named, that is what is wrong with all."""
    little = [name for owner in OWNERS for name, row in _rows(parsed, owner).items() if row.signal is None]
    if not little:
        return []
    more = f" and {len(little) - 1} more change" if len(little) > 1 else " changes"
    message = f"'base' is missing: {little[0]}{more} inherited numbers, and nothing is inherited"
    expected = "base: lfp-utility@1, or another preset of the library; or a 'signal' in each new row"
    return [error(document.place_of(("schema",), key=True), message, expected)]


def _effect(named: Sequence[DraftRow]) -> str:
    """Return what rows of one name do besides telling, "" if they only tell; several sections may have that name."""
    if any("trip.limit" in draft.values for draft in named):
        return "trips"
    actions = [(draft.owner, draft.values["alarm.action"].value) for draft in named if "alarm.action" in draft.values]
    acting = [f"{owner}: {action}" for owner, action in actions if action is not Action.ANNUNCIATE]
    return f"acts ({', '.join(acting)})" if acting else ""


def _rows(parsed: ProtectionsFile, owner: Owner) -> dict[str, RowSection]:
    rows: dict[str, RowSection] = getattr(parsed, owner.value)
    return rows


def _laid_over(document: Document, parsed: ProtectionsFile, base: Drafts) -> Drafts:
    off = {section.row for section in parsed.off}
    drafts = {key: draft for key, draft in base.items() if key[1] not in off}
    for owner in OWNERS:
        for name, section in _rows(parsed, owner).items():
            if (owner, name) not in base and section.signal is None:
                continue
            loc: Loc = (owner.value, name)
            own = dict(_values(document, loc, section))
            inherited = drafts.get((owner, name))
            base_values = inherited.values if inherited else {}
            values = {**base_values, **_row_delay(own, base_values)}
            changed = {key: replace(value, replaces=base_values.get(key)) for key, value in own.items()}
            drafts[owner, name] = DraftRow(name, owner, document.place_of(loc, key=True), {**values, **changed})
    return drafts


def _row_delay(own: Mapping[str, DraftValue], inherited: Mapping[str, DraftValue]) -> dict[str, DraftValue]:
    """A row-wide delay replaces the inherited delay of every level."""
    if "delay" not in own:
        return {}
    return {key: own["delay"] for key in inherited if key.endswith(".delay")}


def _values(document: Document, loc: Loc, section: Section) -> list[tuple[str, DraftValue]]:
    values: list[tuple[str, DraftValue]] = []
    for name in section.model_fields_set:
        value = getattr(section, name)
        if isinstance(value, LevelSection):
            inner = _values(document, (*loc, name), value)
            values += [(f"{name}.{key}", draft) for key, draft in inner]
        elif value is not None:
            at: Loc = (*loc, name)
            values.append((name, DraftValue(value, document.place_of(at), document.text_at(at))))
    return values


_MEANT: Mapping[Dimension, tuple[float, float]] = {
    Dimension.VOLTAGE: (-1e6, 1e6),
    Dimension.CURRENT: (-1e5, 1e5),
    Dimension.POWER: (-1e10, 1e10),
    Dimension.TEMPERATURE: (-60.0, 200.0),
    Dimension.TEMPERATURE_DIFFERENCE: (0.0, 200.0),
    Dimension.TEMPERATURE_RATE: (-1000.0, 1000.0),
    Dimension.RATIO: (-10.0, 10.0),
    Dimension.FREQUENCY: (0.0, 1000.0),
    Dimension.TIME: (0.0, 604_800.0),
    Dimension.RESISTANCE: (0.0, 1e9),
}
"""Between which limits, in base units, a row's number can be meant."""
OF_A_CELL_V = (-100.0, 100.0)
"""The same for one cell; a block of lead-acid cells counts as one."""
MILLI_FROM_V = 1000.0
_OF_CELLS = ("cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min")
_SAID_IN: Mapping[Dimension, str] = {
    dimension: next(u.name for u in UNITS.values() if (u.dimension, u.factor, u.offset) == (dimension, 1.0, 0.0))
    for dimension in _MEANT
    if dimension is not Dimension.RATIO
}


@dataclass
class RowBuilder:
    """Turns drafts into rows: units by the signal, what is missing, what can't be.

    `rated_of` returns what `% of rated` refers to in a row about these battery types (none named: all).
    """

    rated_of: Callable[[tuple[str, ...]], Rated | None]
    messages: list[Message] = field(default_factory=list)

    def rows(self, drafts: Drafts) -> tuple[ProtectionRow, ...]:
        """Return the finished rows; those with something wrong are left out and complained about."""
        return tuple(row for draft in drafts.values() if (row := self._row(draft)) is not None)

    def _row(self, draft: DraftRow) -> ProtectionRow | None:
        before = len(self.messages)
        signal = self._signal(draft)
        if signal is None:
            return None
        reduction = _get(draft, "take", Reduction, Reduction.NONE)
        dimension = dimension_of(signal, reduction)
        levels = tuple(g for level in LEVELS if (g := self._graded(draft, level, dimension, reduction)) is not None)
        if not levels:
            self._complain(draft.place, f"{draft.name} has no limit", "at least one of warning, alarm, trip")
            return None
        if dimension is None:
            self._check_side(draft, levels[0])
        row = ProtectionRow(
            name=draft.name,
            owner=draft.owner,
            signal=signal.name,
            direction=_get(draft, "direction", Direction, Direction.HIGH),
            reduction=reduction,
            levels=levels,
            reset=self._reset(draft, levels, dimension, reduction),
            off_delay_s=_get(draft, "off_delay", float, 0.0),
            reset_class=_get(draft, "reset_class", ResetClass, ResetClass.AUTO),
            qualifier=_get(draft, "when", Qualifier, Qualifier.ALWAYS),
            qualifier_current_a=_get(draft, "rest_current", float, 0.0),
            window_s=_get(draft, "window", float, 60.0),
            also=self._also(draft),
            only=_only(draft),
            description=_get(draft, "description", str, ""),
            file=draft.place.file,
            line=draft.place.line,
        )
        return row if len(self.messages) == before else None

    def _check_side(self, draft: DraftRow, graded: Graded) -> None:
        """Of a yes/no signal `yes` lies on the high side and `no` on the low side: otherwise a row holds always."""
        stated = draft.values.get("direction")
        needed = Direction.HIGH if graded.limit else Direction.LOW
        if _get(draft, "direction", Direction, Direction.HIGH) is not needed:
            word, limit = graded.level.name.lower(), "yes" if graded.limit else "no"
            at = draft.values[f"{word}.limit"].place
            places = [stated.place, at] if stated is not None else [at]
            own = [place for place in places if not place.file.startswith("library/")]
            side = stated.value if stated is not None else Direction.HIGH
            message = f"{draft.name} would always {word}: '{limit}' is its limit, and its direction is {side}"
            healthy = graded.limit and draft.values["signal"].value == "interlock.healthy"
            place = at if healthy else (own or places)[0]
            inherited = stated is not None and place is not stated.place
            other = f"limit: {'no' if graded.limit else 'yes'} where its direction is {side}"
            self._complain(place, message, other if inherited else f"direction: {needed} where '{limit}' is the danger")

    def _complain(self, place: Place, message: str, expected: str = "", hint: str = "") -> None:
        self.messages.append(error(place, message, expected, hint))

    def _signal(self, draft: DraftRow) -> Signal | None:
        value = draft.values.get("signal")
        name = str(value.value) if value else ""
        if value is not None and name not in SIGNALS:
            self._complain(value.place, f"no signal named '{name}'", one_of(SIGNALS), did_you_mean(name, SIGNALS))
        return SIGNALS.get(name)

    def _graded(self, draft: DraftRow, level: Level, dimension: Dimension | None, take: Reduction) -> Graded | None:
        word = level.name.lower()
        limit = draft.values.get(f"{word}.limit")
        if limit is None:
            return None
        delay = draft.values.get(f"{word}.delay") or draft.values.get("delay")
        if delay is None:
            self._complain(limit.place, f"{draft.name}.{word} has no delay", "a key 'delay', such as 'delay: 2 s'")
        value = self._limit(draft, word, limit, dimension, take)
        return Graded(
            level,
            value,
            delay.value if delay and isinstance(delay.value, float) else 0.0,
            _get(draft, f"{word}.action", Action, Action.ANNUNCIATE),
        )

    def _limit(
        self, draft: DraftRow, word: str, limit: DraftValue, dimension: Dimension | None, take: Reduction
    ) -> float:
        text = str(limit.value)
        of_rated = _OF_RATED.fullmatch(text)
        rated = self.rated_of(_only(draft)) if of_rated else None
        if of_rated and rated is not None and dimension is Dimension.CURRENT:
            rated_a = rated.charge_a if take is Reduction.CHARGE else rated.discharge_a
            return float(of_rated[1]) / 100.0 * rated_a
        if of_rated and rated is not None and dimension is Dimension.POWER and draft.owner is Owner.PCS:
            return float(of_rated[1]) / 100.0 * rated.pcs_w
        value = parse_quantity(text, dimension) if dimension else _yes_no(text)
        if isinstance(value, Complaint):
            self._complain(limit.place, f"{draft.name}.{word} {value.message}", value.expected, value.hint)
            return 0.0
        low, high = _meant(draft, dimension)
        if not low <= value <= high:
            reach = f"from {span(low, high, _SAID_IN.get(dimension, ''))}" if dimension else "yes or no"
            milli = text.rpartition(" ")[0] if dimension is Dimension.VOLTAGE and value > MILLI_FROM_V else ""
            hint = f"did you mean '{milli} mV'?" if milli and low <= value / 1000 <= high else ""
            self._complain(limit.place, f"{draft.name}.{word} can't be meant so ({text})", reach, hint)
        return value

    def _reset(
        self, draft: DraftRow, levels: tuple[Graded, ...], dimension: Dimension | None, take: Reduction
    ) -> float:
        reset = draft.values.get("reset")
        if reset is not None:
            return self._limit(draft, "reset", reset, dimension, take)
        if dimension is not None:
            self._complain(draft.place, f"{draft.name} has no reset", "a key 'reset' inside the warning limit")
        return 1.0 - levels[0].limit

    def _also(self, draft: DraftRow) -> tuple[tuple[str, Reduction], ...]:
        also = draft.values.get("also")
        if also is None or not isinstance(also.value, dict):
            return ()
        for name in also.value:
            if name not in SIGNALS:
                self._complain(also.place, f"no signal named '{name}'", one_of(SIGNALS), did_you_mean(name, SIGNALS))
        return tuple(also.value.items())


def _meant(draft: DraftRow, dimension: Dimension | None) -> tuple[float, float]:
    """Return between which values a limit of a row can be meant."""
    if dimension is Dimension.VOLTAGE and _get(draft, "signal", str, "") in _OF_CELLS:
        return OF_A_CELL_V
    return _MEANT.get(dimension, (-math.inf, math.inf)) if dimension else (0.0, 1.0)


def _only(draft: DraftRow) -> tuple[str, ...]:
    named: list[str] = _get(draft, "only", list, [])
    return tuple(named)


T = TypeVar("T")


def _get(draft: DraftRow, key: str, kind: type[T], default: T) -> T:
    found = draft.values.get(key)
    return found.value if found is not None and isinstance(found.value, kind) else default


def _yes_no(text: str) -> float | Complaint:
    flags = {"yes": 1.0, "no": 0.0}
    return flags[text] if text in flags else Complaint(f"can't be '{text}'", "yes or no")


def dimension_of(signal: Signal, reduction: Reduction) -> Dimension | None:
    """Return what the limits of a row measure: the signal's own dimension, unless the reduction changes it."""
    if reduction is Reduction.AGE:
        return Dimension.TIME
    if reduction is Reduction.RATE and signal.unit == "degC":
        return Dimension.TEMPERATURE_RATE
    if reduction is Reduction.SPREAD and signal.unit == "degC":
        return Dimension.TEMPERATURE_DIFFERENCE
    if signal.form is not SignalForm.QUANTITY:
        return None
    return DIMENSION_OF_UNIT.get(signal.unit)


__all__ = ["DraftRow", "Drafts", "Rated", "RowBuilder", "dimension_of", "load_protections"]
