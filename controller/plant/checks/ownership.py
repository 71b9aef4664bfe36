"""Who owns what: contactors that can be asked to open, heartbeats that have a register, limits, and writers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.contactors import can_be_opened, requests_of, takes
from controller.plant.device_types import BMS_KINDS, ContactorControl, DeviceKind, DeviceType
from controller.plant.figures import quantity
from controller.plant.messages import Message, error, warning
from controller.plant.protection_rows import Action
from controller.plant.row_coverage import covered
from controller.plant.signals import ConnectRequest, Owner
from controller.plant.yaml_tree import Loc

_LIMITS = ("rack.charge_current_limit", "rack.discharge_current_limit")
_UNITS = {DeviceKind.BANK_BMS: "bank", DeviceKind.RACK_BMS: "rack", DeviceKind.PCS: "pcs"}
FEW_WRITERS, MANY_WRITERS = 2**16, 2**24
"""Addresses of a control network, and of whole continents."""


def _types(context: CheckContext, kinds: frozenset[DeviceKind] = frozenset(DeviceKind)) -> Iterator[DeviceType]:
    """Yield every device type of the site once, however it was fitted to its racks."""
    types = {device.type.name: device.type for device in context.plant.devices if device.type.kind in kinds}
    yield from types.values()


# ---------------------------------------------------------------------------------------------------------- contactors


def contactors_can_be_asked(context: CheckContext) -> Iterator[Message]:
    """A BMS that takes requests has a register for them, in which it can be asked to open."""
    for device_type in _types(context, BMS_KINDS):
        control, name = device_type.contactor_control, device_type.name
        place = context.in_own_file(device_type, ("control",))
        if device_type.kind is DeviceKind.RACK_BMS and control is ContactorControl.BANK_MANAGED:
            message = f"{name} is a rack_bms, which stands alone: no bank sequences its contactors"
            yield error(place, message, "control: rack_managed, or none")
        requests = requests_of(device_type)
        if control is ContactorControl.NONE or any(takes(point, ConnectRequest.DISCONNECT) for point in requests):
            continue
        message = f"{name} says that it takes requests (control: {control}), but "
        if requests:
            place = context.in_own_file(device_type, ("points", requests[0].signal.name, "values"), key=True)
            message += f"{requests[0].signal.name} can't say 'disconnect': nobody could open its contactors"
            yield error(place, message, "a raw value that means disconnect, or control: none")
        else:
            message += "has no register for one: nobody could open its contactors"
            yield error(place, message, f"a point {_UNITS[device_type.kind]}.connect_request, or control: none")


def contactors_are_seen(context: CheckContext) -> Iterator[Message]:
    """A rack whose contactors nobody sees is never taken for connected: it would give no power."""
    for device_type in _types(context, BMS_KINDS):
        if device_type.point("rack.contactor") is None and _shows_racks(device_type):
            message = f"{device_type.name} never tells whether a rack's contactors are closed: nobody would see whether"
            message += " a rack connected or opened, and no power would be taken from it"
            made = warning if device_type.contactor_control is ContactorControl.NONE else error
            yield made(context.in_own_file(device_type, ("points",), key=True), message, "a point rack.contactor")


def _shows_racks(device_type: DeviceType) -> bool:
    return any(point.signal.owner is Owner.RACK and not point.signal.command for point in device_type.points)


def racks_can_be_opened(context: CheckContext) -> Iterator[Message]:
    """A row that disconnects racks has somebody to ask; where it has not, the converters of their bus are stopped."""
    plant = context.plant
    fixed = [rack for rack, opens in zip(plant.racks, can_be_opened(plant), strict=True) if not opens]
    rows = [row for row in plant.protection if any(g.action is Action.DISCONNECT_RACK for g in row.levels)]
    served = {b.equipment: d for d in plant.devices for b in d.bindings if b.owner is Owner.RACK}
    for rack in fixed:
        device = served.get(rack.index)
        asking = [row for row in rows if row.owner is Owner.RACK and covered(plant, row)[rack.index]]
        if device is not None and asking and device.type.contactor_control is ContactorControl.NONE:
            message = f"{asking[0].name} disconnects racks, but {rack.name} can't be asked to open: {device.type.name}"
            message += " has no register for it. Its converter is stopped instead"
            hint = "state zero_bus or stop_pcs in the rows of these racks, if that is meant"
            yield warning(context.in_own_file(device.type, ("control",)), message, "a point rack.connect_request", hint)
            return


# ---------------------------------------------------------------------------------------------------------- heartbeats


def heartbeats_have_a_register(context: CheckContext) -> Iterator[Message]:
    """A heartbeat is a period and a register: one of them alone feeds nobody."""
    for device_type in _types(context):
        document = context.device_document(device_type)
        period_s = device_type.heartbeat_period_s
        points = [p for p in device_type.points if p.signal.name.endswith(".controller_heartbeat")]
        if period_s is not None and not points:
            message = (
                f"{device_type.name} expects a heartbeat each {quantity(period_s, 's')}, but has no register for one"
            )
            unit = _UNITS.get(device_type.kind)
            expected = f"a point {unit}.controller_heartbeat, or no 'heartbeat'" if unit else "no 'heartbeat'"
            yield error(context.in_own_file(device_type, ("heartbeat",)), message, expected)
        for point in points:
            if period_s is None and point.refresh_s is None:
                message = (
                    f"{device_type.name} has a register for our heartbeat, but does not say how often it expects one"
                )
                place = context.in_own_file(device_type, ("points", point.signal.name), key=True)
                yield error(place, message, "heartbeat: 1 s")
            elif period_s is not None and point.refresh_s not in (None, period_s):
                message = f"{device_type.name} expects a heartbeat each {quantity(period_s, 's')}, and its register is"
                message += f" written each {quantity(point.refresh_s, 's')}: the same thing said twice"
                every: Loc = ("points", point.signal.name, "every")
                place = context.in_own_file(device_type, every, ("heartbeat",))
                also = [p for loc in (every, ("heartbeat",)) if (p := document.place_of(loc)) != place]
                yield error(place, message, "one period", see_also=also)


# -------------------------------------------------------------------------------------------------- limits and writers


def bms_tells_its_limits(context: CheckContext) -> Iterator[Message]:
    """A BMS lowers its current limits before it trips: who does not read them drives it into its trip."""
    for device_type in _types(context, BMS_KINDS):
        missing = [name for name in _LIMITS if device_type.point(name) is None]
        if missing and _shows_racks(device_type):
            message = (
                f"{device_type.name} does not show {' or '.join(missing)}: the rack's rated current stands in, and"
            )
            message += " where its BMS allows less, it trips"
            place = context.in_own_file(device_type, ("points",), key=True)
            yield warning(place, message, f"a point {missing[0]}")


def writers_are_named(context: CheckContext) -> Iterator[Message]:
    """Who may write is a few addresses: a network of the whole world is no right but none."""
    modbus = context.plant.faces.modbus
    if modbus is None:
        return
    lists: list[tuple[Loc, tuple[str, ...]]] = [(("scada", "modbus", "writers"), modbus.writers)]
    lists += [(("scada", "modbus", "maps", k, "writers"), party.writers) for k, party in enumerate(modbus.maps)]
    for loc, writers in lists:
        for position, writer in enumerate(writers):
            place = context.document.place_of((*loc, position))
            try:
                network = ipaddress.ip_network(writer, strict=False)
            except ValueError:
                yield error(place, f"'{writer}' is no IP address", "such as 10.10.0.11 or 10.10.0.0/24")
                continue
            hosts = network.num_addresses if network.version == 4 else 2 ** max(0, 64 - network.prefixlen)
            if hosts > FEW_WRITERS:
                all_ = network.prefixlen == 0
                message = (
                    f"'{writer}' lets {'everybody' if all_ else f'{hosts:,} addresses'} write set-points and stops"
                )
                made = error if hosts > MANY_WRITERS else warning
                yield made(place, message, "the masters' own addresses, such as 10.10.0.11 or 10.10.0.0/24")


OWNERSHIP_CHECKS = (
    contactors_can_be_asked,
    contactors_are_seen,
    racks_can_be_opened,
    heartbeats_have_a_register,
    bms_tells_its_limits,
    writers_are_named,
)
"""What a site's devices and faces let whom do."""
