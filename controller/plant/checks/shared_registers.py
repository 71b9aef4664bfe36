"""Signals that share a register: two commands that are one raw value, a state that is the echo of a command."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace
from controller.plant.messages import Message, error, warning
from controller.plant.signals import SignalForm
from controller.plant.yaml_tree import Document

_ECHOES = frozenset(
    (
        ("connect", "closed"), ("connect", "precharging"), ("disconnect", "open"), ("start", "running"),
        ("start", "starting"), ("stop", "off"), ("stop", "shutting_down"), ("stop", "standby"),
        ("enter_standby", "standby"), ("exit_standby", "running"),
    )
)  # fmt: skip
"""Which state a command may be read back as: what it is to lead to."""
_HEALTHY = ("precharging", "closed")


def shared_registers_say_one_thing(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """Of what shares a register, no raw value orders two things, and none reads as two that can't be together."""
    coded = [p for p in device_type.points if p.codes and p.signal.form in (SignalForm.CODE, SignalForm.BOOL)]
    for first, second in combinations(coded, 2):
        if _is_one_place(first, second):
            one, other = sorted((first, second), key=lambda p: not p.signal.command)
            yield from _told(one, other, document)


def _is_one_place(one: DevicePoint, other: DevicePoint) -> bool:
    if isinstance(one.place, RegisterPlace) and isinstance(other.place, RegisterPlace):
        return (one.place.table, one.place.address) == (other.place.table, other.place.address)
    return one.place == other.place


def _told(one: DevicePoint, other: DevicePoint, document: Document) -> Iterator[Message]:
    """Compare two points of one register, a command first."""
    names, meant = (one.signal.name, other.signal.name), (_meanings(one), _meanings(other))
    both = [(raw, meant[0][raw], meant[1][raw]) for raw in sorted(meant[0].keys() & meant[1].keys())]
    place, also = (document.place_of(("points", name, "at")) for name in reversed(names))
    if one.signal.command and other.signal.command:
        for raw, ours, theirs in (each for each in both if each[1] != each[2]):
            message = f"{names[1]} and {names[0]} share a register in which {raw} means '{theirs}' and '{ours}':"
            yield error(place, f"{message} one can't be asked for without the other", _OWN, see_also=[also])
            return
    elif one.signal.command:
        wrong = next((each for each in both if each[1:] not in _ECHOES), None)
        if wrong:
            message = f"{names[1]} is read from the register of {names[0]}, in which {wrong[0]} asks for '{wrong[1]}':"
            yield error(place, f"{message} what was written would be read as '{wrong[2]}'", _OWN, see_also=[also])
        else:
            message = f"{names[1]} is read from the register of {names[0]}: a device that returns what was written"
            hint = "if the maker's list says that it reads as the state, try it: command, and look while it moves"
            yield warning(place, f"{message} would confirm each command by itself", _OWN, hint, [also])
    else:
        yes, state = (one, other) if one.signal.form is SignalForm.BOOL else (other, one)
        said, states = _meanings(yes), _meanings(state)
        for raw in (r for r in said if yes.signal.name == "rack.tripped" and said[r] == "yes"):
            if states.get(raw) in _HEALTHY:
                message = f"rack.tripped reads {raw} as 'yes', where {state.signal.name}, in the same register, reads"
                yield error(place, f"{message} '{states[raw]}'", "the value of a trip, or its own register", "", [also])


_OWN = "its own register, as the maker's list has it"


def _meanings(point: DevicePoint) -> dict[int, str]:
    codes = point.signal.codes
    return {raw: codes(value).name.lower() if codes else ("no", "yes")[value] for raw, value in point.codes}
