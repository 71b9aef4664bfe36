"""What a BMS does by itself: who opens its contactors, what it does when we are silent, which racks go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.plant.checks.context import CheckContext
from controller.plant.checks.feeding import served_signals
from controller.plant.device_types import BMS_KINDS, DeviceType
from controller.plant.messages import Message, warning
from controller.plant.model import Bank
from controller.plant.signals import Owner
from controller.plant.yaml_tree import Document


def bms_says_what_it_does(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A BMS states who sequences its contactors and what it does when we fall silent: neither may be guessed."""
    if device_type.kind not in BMS_KINDS:
        return
    place, name = document.place_of(("device",)), device_type.name
    if device_type.communication_timeout is None:
        message = f"{name} does not say what it does when this controller is silent: it may open under load"
        hint = "its manual tells; 'then: none' where it does nothing"
        yield warning(place, message, "communication_timeout: {after: 30 s, then: open}", hint)
    if not document.text_at(("control",)):
        message = f"{name} does not say who closes and opens its contactors, so no rack of it is ever asked to"
        yield warning(place, message, "control: rack_managed, bank_managed, or none where nobody may ask")
    asked = next((p for p in ("rack.connect_request", "bank.connect_request") if device_type.point(p)), "")
    own = asked and document.place_of(("points", asked), key=True).file == document.file
    if document.text_at(("control",)) == "none" and own:
        also = [document.place_of(("points", asked), key=True)]
        message = f"{name} has {asked}, which is never written: 'control: none' says that nobody may ask"
        expected = "control: rack_managed or bank_managed, or no such point"
        yield warning(document.place_of(("control",)), message, expected, see_also=also)


def barred_racks_hold_their_bank(context: CheckContext) -> Iterator[Message]:
    """A rack that must stay open keeps its whole bank open, where only the bank as a whole can be asked to connect."""
    plant = context.plant
    out = [rack.index for rack in plant.racks if rack.out_of_service is not None]
    if not out:
        return
    served = served_signals(plant.devices)
    own = {rack for rack in out if "rack.connect_request" in served.get((Owner.RACK, rack), ())}
    for pattern, section in context.site.exceptions.items():
        if section.state is None:
            continue
        matched = set(context.names.index["racks"].find(pattern)) & set(out)
        barred = [plant.racks[k] for k in sorted(matched) if k not in own and plant.racks[k].bank >= 0]
        banks = [plant.banks[k] for k in dict.fromkeys(rack.bank for rack in barred)]
        if banks:
            who = barred[0].name if len(barred) == 1 else f"{barred[0].name} and {len(barred) - 1} more"
            message = f"{who} must stay open, and {_whole(banks)}: {_racks_of(banks)} stay open with it"
            hint = "ask the maker for a connect request a rack (rack.connect_request), or expect the loss of the bank"
            place = context.document.place_of(("exceptions", pattern), key=True)
            yield warning(place, message, "racks that can be connected one by one", hint)


def something_is_in_service(context: CheckContext) -> Iterator[Message]:
    """A pattern that takes all racks or all converters out of service leaves no plant."""
    plant = context.plant
    for section, all_of, kind in (("racks", plant.racks, "racks"), ("pcs", plant.pcs, "converters")):
        if len(all_of) < 2 or any(one.out_of_service is None for one in all_of):
            continue
        stated = (p for p, found in context.site.exceptions.items() if found.state is not None)
        pattern = max(stated, key=lambda p: len(list(context.names.index[section].find(p))))
        message = f"all {len(all_of)} {kind} of this site are out of service: it has no power"
        place = context.document.place_of(("exceptions", pattern), key=True)
        yield warning(place, message, "a pattern of those that are meant, such as B02-R05")


def bms_trips_are_stated(context: CheckContext) -> Iterator[Message]:
    """What the BMS itself trips at is stated, or said not to be known (`bms_trips: {}`): ours are graded against it."""
    for name in dict.fromkeys(rack.battery.name for rack in context.plant.racks):
        if context.document.node_at(("batteries", name, "bms_trips")) is None:
            message = f"it is not said at what the BMS of {name} trips itself: no row of ours can be graded against it"
            expected = "bms_trips: {cell_voltage_high: {limit: 3.65 V, delay: 1 s}, ...}, from its manual"
            place = context.document.place_of(("batteries", name), key=True)
            yield warning(place, message, expected, "'bms_trips: {}' while it is not known")


def _whole(banks: Sequence[Bank]) -> str:
    if len(banks) == 1:
        return f"{banks[0].name} connects only as a whole"
    return f"{banks[0].name} and {len(banks) - 1} more banks connect only as a whole"


def _racks_of(banks: Sequence[Bank]) -> str:
    return f"all {sum(len(bank.racks) for bank in banks)} racks"


BMS_CHECKS = (barred_racks_hold_their_bank, something_is_in_service, bms_trips_are_stated)
