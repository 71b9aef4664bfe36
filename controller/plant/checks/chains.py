"""Hard-wired chains: each read, in a block that has it, by a row that stops converters at once when it opens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import place_of_row, text_of_row
from controller.plant.device_types import DeviceType
from controller.plant.messages import Message, error, warning
from controller.plant.model import InterlockKind
from controller.plant.protection_rows import Action, Direction, Level, ProtectionRow
from controller.plant.row_coverage import is_about
from controller.plant.signals import Owner
from controller.plant.yaml_tree import Document

EMERGENCIES = frozenset({kind.value for kind in InterlockKind} - {InterlockKind.DOOR.value})
"""Kinds of chain that nobody opens in normal use."""
_STOPS = (Action.STOP_PCS, Action.STOP_BLOCK, Action.STOP_PLANT)
_NAMED = {
    "estop": InterlockKind.ESTOP,
    "emergency": InterlockKind.ESTOP,
    "notaus": InterlockKind.ESTOP,
    "fire": InterlockKind.FIRE,
    "smoke": InterlockKind.FIRE,
    "gas": InterlockKind.GAS,
    "door": InterlockKind.DOOR,
}
"""What a chain is called by people, and which kind that is."""


# ------------------------------------------------------------------------------------------------- what a row does


def chains_stop_converters(context: CheckContext) -> Iterator[Message]:
    """An emergency stop, a fire or a transfer trip stops converters: no inhibit of one direction, no mere alarm."""
    for row in context.plant.protection:
        kinds = emergencies_of(context, row)
        if not kinds or row.direction is Direction.HIGH:  # that such a row trips while all is well is said there
            continue
        worst = row.levels[-1]
        if worst.level is Level.TRIP and (worst.action in _STOPS or worst.action is Action.ANNUNCIATE):
            continue  # a trip that only annunciates is refused in any row
        level = worst.level.name.lower()
        does = text_of_row(context, row, f"{level}.action") or worst.action.value
        message = (
            f"{row.name}: {level} ({does}) leaves converters running when a chain of kind {' or '.join(kinds)} opens"
        )
        expected = "trip: {limit: no, delay: 0 s, action: stop_block}, or stop_plant"
        yield error(place_of_row(context, row, f"{level}.action"), message, expected)


def chains_are_healthy_when_closed(context: CheckContext) -> Iterator[Message]:
    """A chain is dangerous when it is no longer healthy: a row that looks at the other side trips all healthy ones."""
    for row in context.plant.protection:
        if row.owner is Owner.INTERLOCK and row.signal == "interlock.healthy" and row.direction is Direction.HIGH:
            message = f"{row.name}: direction high acts while the chains are healthy, and never when one opens"
            hint = "closed contact = healthy: a contact that opens when all is well can't tell a broken wire"
            yield error(place_of_row(context, row, "direction"), message, "direction: low, and limit: no", hint)


def emergencies_of(context: CheckContext, row: ProtectionRow) -> list[str]:
    """Return of which kinds the chains are that a row is about and that nobody opens in normal use."""
    if row.owner is not Owner.INTERLOCK:
        return []
    kinds = dict.fromkeys(interlock.kind.value for interlock in context.plant.interlocks)
    return [kind for kind in kinds if kind in EMERGENCIES and is_about(row, kind)]


def chains_are_in_one_row(context: CheckContext) -> Iterator[Message]:
    """A hard-wired chain is healthy on one side only, and two rows about it do the same."""
    rows = [row for row in context.plant.protection if row.owner is Owner.INTERLOCK]
    kinds = dict.fromkeys(interlock.kind.value for interlock in context.plant.interlocks)
    for kind in kinds:
        mine = [row for row in rows if is_about(row, kind)]
        for one, other in pairwise(sorted(mine, key=lambda row: row.file.startswith("library/"), reverse=True)):
            place, also = place_of_row(context, other, "only"), [place_of_row(context, one, "only")]
            hint = f"restrict one of them: only: [{', '.join(k.value for k in InterlockKind if k.value != kind)}]"
            message = f"chains of kind {kind} stand in two rows, {one.name} and {other.name}"
            if one.signal == other.signal and one.direction is not other.direction:
                message += ", one of which trips while they are healthy"
                yield error(place, message, "one row for a kind of chain", hint, also)
            elif one.levels[-1].action is not other.levels[-1].action:
                message += f": {one.levels[-1].action.value} and {other.levels[-1].action.value}"
                yield error(place, message, "one effect for a kind of chain", hint, also)


# ------------------------------------------------------------------------------------------------- which are wired


def chains_are_read(context: CheckContext) -> Iterator[Message]:
    """A row about hard-wired chains, a preset's too, sees an emergency stop or a fire only where one is wired to us."""
    rows = [row for row in context.plant.protection if row.owner is Owner.INTERLOCK]
    if rows and not context.plant.interlocks and all(row.file.startswith("library/") for row in rows):
        message = (
            "no hard-wired chain is read: an emergency stop or a fire would be seen only by what it does to others"
        )
        expected = "interlocks: [{name: ESTOP, kind: estop, input: IO01.1}], and the device under digital_io"
        hint = f"or, in the protection file: off: [{{row: {rows[0].name}, reason: ...}}]"
        yield warning(context.document.place_of(("site",), key=True), message, expected, hint)


def emergency_stops_are_read(context: CheckContext) -> Iterator[Message]:
    """Where chains are wired to us, an emergency stop is one of them."""
    chains = context.plant.interlocks
    if chains and all(interlock.kind is not InterlockKind.ESTOP for interlock in chains):
        message = "no chain of kind estop is read, though others are: an emergency stop would be seen only by what it"
        message += " does to others"
        place = context.document.place_of(("interlocks",), key=True)
        yield warning(place, message, "such as {name: ESTOP, kind: estop, input: IO01.1}")


def blocks_have_their_chains(context: CheckContext) -> Iterator[Message]:
    """A kind of chain that is wired block by block is wired in each block with converters or racks."""
    plant = context.plant
    equipped = [*(rack.block for rack in plant.racks), *(pcs.block for pcs in plant.pcs)]
    in_use = dict.fromkeys(block for block in equipped if block >= 0)
    for kind in dict.fromkeys(interlock.kind for interlock in plant.interlocks):
        mine = [interlock for interlock in plant.interlocks if interlock.kind is kind]
        covered = {interlock.block for interlock in mine}
        missing = [plant.blocks[block].name for block in in_use if block not in covered]
        if missing and min(covered) >= 0:
            named = f"block {missing[0]} has" if len(missing) == 1 else f"blocks {' and '.join(missing[:2])} have"
            message = f"{named} no chain of kind {kind}, though other blocks do"
            place = context.place("interlocks", mine[-1].index, "name")
            yield warning(place, message, "a chain a block, or one without a block for the whole plant")


def names_fit_kinds(context: CheckContext) -> Iterator[Message]:
    """A chain called ESTOP is an emergency stop: its kind says which row it trips."""
    for interlock in context.plant.interlocks:
        letters = "".join(c for c in interlock.name.lower() if c.isalpha())
        meant = {kind for word, kind in _NAMED.items() if word in letters}
        if len(meant) == 1 and interlock.kind not in meant:
            message = f"{interlock.name} is called {min(meant)}, but its kind is {interlock.kind}"
            yield warning(context.place("interlocks", interlock.index, "kind"), message, f"kind: {min(meant)}")


def broken_wires_read_as_tripped(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """An input without current reads 0, a broken wire too: 0 means that the chain is not healthy."""
    point = device_type.point("interlock.healthy")
    if point is not None and dict(point.codes).get(0):
        message = f"{device_type.name} reads 0 of interlock.healthy as yes: with a broken wire, or without its supply,"
        message += " a chain would look healthy for ever"
        place = document.place_of(("points", "interlock.healthy", "values"))
        yield warning(place, message, "chains that are closed when healthy: {0: no, 1: yes}")


CHAIN_CHECKS = (
    chains_stop_converters,
    chains_are_healthy_when_closed,
    chains_are_in_one_row,
    chains_are_read,
    emergency_stops_are_read,
    blocks_have_their_chains,
    names_fit_kinds,
)
