"""The expanded site put together: equipment in order, relations as indices, devices bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from controller.plant.cell_types import CellType
from controller.plant.device_types import ContactorControl, DeviceKind, DeviceType
from controller.plant.expansion.devices import DeviceBuilder
from controller.plant.expansion.exceptions import Exceptions
from controller.plant.expansion.names import Findings, Member, Names
from controller.plant.model import (
    Auxiliary,
    Bank,
    BatteryType,
    Binding,
    DcBus,
    Interlock,
    Meter,
    MeterRole,
    Pcs,
    Rack,
    Transformer,
)
from controller.plant.ratios import read_plate
from controller.plant.schema.equipment import (
    AuxiliaryGroup,
    BankGroup,
    BusGroup,
    InterlockGroup,
    MeterGroup,
    MeterPlace,
    PcsGroup,
    PositiveDirection,
    RackGroup,
    ServedGroup,
    TransformerGroup,
    VoltageTransformerSection,
)
from controller.plant.signals import Owner

G = TypeVar("G")

_ROLES = {
    MeterPlace.POI: MeterRole.POI_CONTROL,
    MeterPlace.REVENUE: MeterRole.POI_REVENUE,
    MeterPlace.AUXILIARY: MeterRole.AUXILIARY,
    MeterPlace.FEEDER: MeterRole.FEEDER,
}


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What the site file refers to by name."""

    device_types: Mapping[str, DeviceType]
    cells: Mapping[str, CellType]
    batteries: Mapping[str, BatteryType]


@dataclass
class Equipment:
    """All equipment of a plant."""

    racks: tuple[Rack, ...] = ()
    banks: tuple[Bank, ...] = ()
    buses: tuple[DcBus, ...] = ()
    pcs: tuple[Pcs, ...] = ()
    transformers: tuple[Transformer, ...] = ()
    meters: tuple[Meter, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    auxiliaries: tuple[Auxiliary, ...] = ()


@dataclass
class _Relations:
    """Which rack hangs on what, before the racks are made."""

    bus_of_rack: dict[int, int] = field(default_factory=dict)
    bus_of_pcs: dict[int, int] = field(default_factory=dict)
    bank_of_rack: dict[int, int] = field(default_factory=dict)
    racks_of_bus: list[list[int]] = field(default_factory=list)
    pcs_of_bus: list[list[int]] = field(default_factory=list)
    racks_of_bank: list[list[int]] = field(default_factory=list)


class PlantExpander:
    """Walks the sections once; complains where a relation can't be."""

    def __init__(
        self, names: Names, ingredients: Ingredients, devices: DeviceBuilder, exceptions: Exceptions, findings: Findings
    ) -> None:
        self.names = names
        self.ingredients = ingredients
        self.devices = devices
        self.exceptions = exceptions
        self.findings = findings
        self.relations = _Relations()

    def equipment(self) -> Equipment:
        """Return all equipment; adds its devices to the builder on the way."""
        self._relate()
        made = Equipment()
        made.transformers = tuple(self._transformer(i, m) for i, m in self._members("transformers", TransformerGroup))
        made.racks = tuple(r for i, m in self._members("racks", RackGroup) if (r := self._rack(i, m)) is not None)
        made.banks = tuple(self._bank(i, m, made.racks) for i, m in self._members("banks", BankGroup))
        self._rack_devices(made.racks)
        made.buses = tuple(self._bus(i, m, made.racks) for i, m in self._members("buses", BusGroup))
        made.pcs = tuple(self._pcs(i, m, made.buses) for i, m in self._members("pcs", PcsGroup))
        made.meters = tuple(self._meter(i, m) for i, m in self._members("meters", MeterGroup))
        made.interlocks = self._interlocks()
        made.auxiliaries = tuple(self._auxiliary(i, m) for i, m in self._members("auxiliaries", AuxiliaryGroup))
        return made

    def _members(self, section: str, group: type[G]) -> list[tuple[int, Member[G]]]:
        del group
        return list(enumerate(cast("list[Member[G]]", self.names.members[section])))

    def _relate(self) -> None:
        relations = self.relations
        for bus, member in self._members("buses", BusGroup):
            racks = self.names.refer_to_many(member, "racks", member.group.racks, "racks")
            pcs = self.names.refer_to_many(member, "pcs", member.group.pcs, "pcs")
            relations.racks_of_bus.append(racks)
            relations.pcs_of_bus.append(pcs)
            self._claim(member, "racks", racks, relations.bus_of_rack, bus, "buses")
            self._claim(member, "pcs", pcs, relations.bus_of_pcs, bus, "buses")
        for bank, bank_member in self._members("banks", BankGroup):
            racks = self.names.refer_to_many(bank_member, "racks", bank_member.group.racks, "racks")
            relations.racks_of_bank.append(racks)
            self._claim(bank_member, "racks", racks, relations.bank_of_rack, bank, "banks")
        self._check_hung()

    def _claim(
        self, member: Member[G], key: str, found: Sequence[int], owners: dict[int, int], owner: int, section: str
    ) -> None:
        for index in found:
            first = owners.setdefault(index, owner)
            if first != owner:
                name, other = self.names.members[key][index].name, self.names.members[section][first]
                message = f"{name} is on {member.name} and on {other.name}"
                place = self.findings.place((*other.loc, key))
                self.findings.complain_of_two((*member.loc, key), message, place, "one place", rule="claim")

    def _check_hung(self) -> None:
        relations, broken = self.relations, self.names.broken
        if "buses" in broken:
            return
        for section, hung in (("racks", relations.bus_of_rack), ("pcs", relations.bus_of_pcs)):
            for index, member in enumerate(self.names.members[section]):
                if index not in hung and section not in broken:
                    hint = f"add it to the {section} of one of the buses"
                    self.findings.complain(
                        (*member.loc, "name"), f"{member.name} is on no DC bus", "", hint, rule="bus"
                    )

    def _battery(self, member: Member[RackGroup]) -> BatteryType | None:
        return self.ingredients.batteries.get(member.group.battery)

    def _rack(self, index: int, member: Member[RackGroup]) -> Rack | None:
        battery = self._battery(member)
        if battery is None:
            return None
        bank = self.relations.bank_of_rack.get(index, -1)
        return Rack(
            index=index,
            name=member.name,
            tag=member.tag,
            block=max(member.block, 0),
            bus=self.relations.bus_of_rack.get(index, -1),
            bank=bank,
            battery=battery,
            contactor_control=self._control(member, bank),
            out_of_service=self.exceptions.service("racks", index),
        )

    def _control(self, member: Member[RackGroup], bank: int) -> ContactorControl:
        type_name = member.group.type
        if bank >= 0:
            type_name = cast("BankGroup", self.names.members["banks"][bank].group).type
        device_type = self.ingredients.device_types.get(type_name or "")
        return device_type.contactor_control if device_type else ContactorControl.NONE

    def _bank(self, index: int, member: Member[BankGroup], racks: Sequence[Rack]) -> Bank:
        served = self.relations.racks_of_bank[index]
        block = member.block if member.block >= 0 else self._block_of(served, racks)
        device_type = self.devices.type_of(member, member.group.type, (DeviceKind.BANK_BMS,))
        if device_type is not None:
            self._bank_device(index, member, device_type, [racks[r] for r in served if r < len(racks)])
        return Bank(index, member.name, member.tag, block, tuple(served))

    def _bank_device(self, index: int, member: Member[BankGroup], device_type: DeviceType, racks: list[Rack]) -> None:
        group = member.group
        most = device_type.repeat.count if device_type.repeat else 0
        if racks and device_type.repeat is None and not device_type.sunspec_models:
            message = f"{member.name} serves {len(racks)} racks, but {device_type.name} shows no rack: its file has no"
            expected = (
                f"'repeat: {{rack: {{count: {len(racks)}, stride: ...}}}}', the registers from one rack to the next"
            )
            self.findings.complain((*member.loc, "type"), f"{message} 'repeat'", expected, rule="room")
        elif len(racks) > most:
            message = f"{member.name} serves {len(racks)} racks, but {device_type.name} has room for {most}"
            self.findings.complain((*member.loc, "racks"), message, f"at most {most} racks a bank", rule="room")
        batteries = {id(rack.battery): rack.battery for rack in racks}
        if len(batteries) > 1:
            kinds = " and ".join(battery.name for battery in batteries.values())
            message = f"{member.name} serves racks of different batteries: {kinds}"
            self.findings.complain((*member.loc, "racks"), message, "one battery a bank", rule="battery")
        battery = next(iter(batteries.values()), None)
        fitted = self.devices.fitted(device_type, battery, None)
        self._check_room(member, device_type, battery)
        bindings = [Binding(Owner.BANK, index), *(Binding(Owner.RACK, r.index, k) for k, r in enumerate(racks))]
        self.devices.add(member, fitted, group.connect, group.gateway, group.poll, tuple(bindings))

    def _check_room(self, member: Member[G], device_type: DeviceType, battery: BatteryType | None) -> None:
        """A rack with more cells than its device shows would be watched in part only."""
        point = device_type.point("cell.voltage")
        if battery and point and not device_type.sunspec_models and point.count < battery.cells_in_series:
            message = f"{device_type.name} shows {point.count} cells, but {battery.name} has {battery.cells_in_series}"
            self.findings.complain((*member.loc, "type"), message, "a device that shows every cell", rule="cells")

    def _rack_devices(self, racks: Sequence[Rack]) -> None:
        by_index = {rack.index: rack for rack in racks}
        exchanged = self._wrong_racks_listed()
        for index, member in self._members("racks", RackGroup):
            group = member.group
            if exchanged and (index in self.relations.bank_of_rack or group.type is None):
                continue
            if index in self.relations.bank_of_rack:
                self._check_no_own(member)
                why = f"{member.name} is served by a bank: its poll periods are the bank's"
                self.exceptions.refuse_poll("racks", index, why)
            elif group.type is None or group.connect is None:
                expected = "'type' and 'connect', or a bank that lists it under racks"
                if "banks" not in self.names.broken:
                    self.findings.complain(member.loc, f"{member.name} is served by no device", expected, rule="served")
            elif index in by_index:
                self._rack_device(index, member, group.type, group.connect)

    def _wrong_racks_listed(self) -> bool:
        """Complain once where a bank lists racks with devices of their own while others have none: it means those."""
        banks, members = self.relations.bank_of_rack, self._members("racks", RackGroup)
        served = next(((i, m) for i, m in members if i in banks and m.group.type and m.group.connect), None)
        alone = next((m for i, m in members if i not in banks and m.group.type is None), None)
        if served is None or alone is None or "banks" in self.names.broken:
            return False
        bank = self.names.members["banks"][banks[served[0]]]
        message = f"{bank.name} lists {served[1].name}, which has a device of its own, while {alone.name} has none"
        self.findings.complain_of_two(
            (*bank.loc, "racks"), message, self.findings.place((*alone.loc, "name")), "the racks without 'type'"
        )
        return True

    def _check_no_own(self, member: Member[RackGroup]) -> None:
        for key in ("type", "connect", "gateway", "poll"):
            if key in member.group.model_fields_set:
                message = f"{member.name} is served by a bank, so '{key}' has no meaning here"
                self.findings.complain(
                    (*member.loc, key), message, "", f"say '{key}' under banks", rule="own", key=True
                )

    def _rack_device(self, index: int, member: Member[RackGroup], type_name: str, connect: str) -> None:
        device_type = self.devices.type_of(member, type_name, (DeviceKind.RACK_BMS,))
        battery = self._battery(member)
        if device_type is None or battery is None:
            return
        self._check_room(member, device_type, battery)
        fitted = self.devices.fitted(device_type, battery, None)
        poll = {**member.group.poll, **self.exceptions.poll("racks", index)}
        self.devices.add(member, fitted, connect, member.group.gateway, poll, (Binding(Owner.RACK, index),))

    def _block_of(self, rack_indices: Sequence[int], racks: Sequence[Rack]) -> int:
        return next((racks[r].block for r in rack_indices if r < len(racks)), 0)

    def _bus(self, index: int, member: Member[BusGroup], racks: Sequence[Rack]) -> DcBus:
        on_bus = self.relations.racks_of_bus[index]
        return DcBus(
            index=index,
            name=member.name,
            tag=member.tag,
            block=member.block if member.block >= 0 else self._block_of(on_bus, racks),
            racks=tuple(on_bus),
            pcs=tuple(self.relations.pcs_of_bus[index]),
            unloads_contactors=member.group.bms_stops_pcs,
            current_max_a=member.group.current_max,
        )

    def _pcs(self, index: int, member: Member[PcsGroup], buses: Sequence[DcBus]) -> Pcs:
        group = member.group
        bus = self.relations.bus_of_pcs.get(index, -1)
        device_type = self.devices.type_of(member, group.type, (DeviceKind.PCS,))
        if device_type is not None:
            fitted = self.devices.fitted(device_type, None, group.watchdog)
            poll = {**group.poll, **self.exceptions.poll("pcs", index)}
            self.devices.add(member, fitted, group.connect, group.gateway, poll, (Binding(Owner.PCS, index),))
        transformer = group.transformer
        return Pcs(
            index=index,
            name=member.name,
            tag=member.tag,
            block=member.block if member.block >= 0 else (buses[bus].block if bus >= 0 else 0),
            bus=bus,
            transformer=-1
            if transformer is None
            else self.names.refer(member, "transformer", transformer, "transformers"),
            power_w=group.rating.power,
            apparent_va=group.rating.apparent,
            dc_voltage_min_v=group.dc.min,
            dc_voltage_max_v=group.dc.max,
            dc_current_max_a=group.dc.current,
            ac_voltage_v=group.ac_voltage,
            ramp_w_per_s=group.ramp,
            efficiency_ratio=group.efficiency,
            out_of_service=self.exceptions.service("pcs", index),
        )

    def _transformer(self, index: int, member: Member[TransformerGroup]) -> Transformer:
        group = member.group
        return Transformer(
            index=index,
            name=member.name,
            tag=member.tag,
            apparent_va=group.apparent,
            primary_v=group.primary,
            secondary_v=group.secondary,
            no_load_loss_w=group.no_load_loss,
            load_loss_w=group.load_loss,
        )

    def _meter(self, index: int, member: Member[MeterGroup]) -> Meter:
        group = member.group
        device_type = self.devices.type_of(member, group.type, (DeviceKind.METER,))
        if device_type is not None:
            if group.ct is not None and group.ct.positive is PositiveDirection.IMPORT:
                device_type = self.devices.turned(device_type)
            bindings = (Binding(Owner.METER, index),)
            self.devices.add(member, device_type, group.connect, group.gateway, group.poll, bindings)
        ct, vt = self._ratio(member, "ct", group.ct), self._ratio(member, "vt", group.vt)
        return Meter(index, member.name, member.tag, member.block, _ROLES[group.role], group.voltage, ct, vt)

    def _ratio(self, member: Member[MeterGroup], key: str, section: VoltageTransformerSection | None) -> float:
        if section is None:
            return 1.0
        plate = read_plate(section.ratio)
        if plate is None:
            expected = "primary/secondary, such as 600/5 or 20000:sqrt3/100:sqrt3"
            self.findings.complain(
                (*member.loc, key, "ratio"), f"'{section.ratio}' is no ratio", expected, rule="ratio"
            )
            return 1.0
        return plate.ratio

    def _interlocks(self) -> tuple[Interlock, ...]:
        made, bindings = [], dict[int, list[Binding]]()
        for index, member in self._members("interlocks", InterlockGroup):
            made.append(Interlock(index, member.name, member.tag, member.block, member.group.kind))
            wired = self._wired_to(member)
            if wired is not None:
                bindings.setdefault(wired[0], []).append(Binding(Owner.INTERLOCK, index, wired[1] - 1))
        for index, io_member in self._members("digital_io", ServedGroup):
            group = io_member.group
            device_type = self.devices.type_of(io_member, group.type, (DeviceKind.DIGITAL_IO,))
            if device_type is not None:
                self._check_inputs(io_member, device_type, bindings.get(index, []))
                bound = tuple(bindings.get(index, []))
                self.devices.add(io_member, device_type, group.connect, group.gateway, group.poll, bound)
        return tuple(made)

    def _wired_to(self, member: Member[InterlockGroup]) -> tuple[int, int] | None:
        filled = self.names.fill_name(member, "input", member.group.input)
        if filled is None:
            return None
        loc = (*member.loc, "input")
        device, _, number = filled.rpartition(".")
        if not device or not (number.isascii() and number.isdigit()) or len(number) > 4 or int(number) < 1:
            message = f"'{filled}' is no input of a device"
            self.findings.complain(loc, message, "device and input, such as IO01.3", rule="input")
            return None
        found = self.names.index["digital_io"].position.get(device)
        if found is None and "digital_io" not in self.names.broken:
            hint = self.names.index["digital_io"].hint(device)
            self.findings.complain(loc, f"no '{device}' among the digital_io", "such as IO01.3", hint, rule="input")
        return None if found is None else (found, int(number))

    def _check_inputs(self, member: Member[ServedGroup], device_type: DeviceType, bound: Sequence[Binding]) -> None:
        most = device_type.repeat.count if device_type.repeat else 1
        seen: dict[int, str] = {}
        for binding in bound:
            interlock = self.names.members["interlocks"][binding.equipment]
            number, loc = binding.instance + 1, (*interlock.loc, "input")
            if number > most:
                message = f"{member.name} has no input {number}"
                self.findings.complain(loc, message, f"1 to {most}", rule="inputs")
            elif seen.setdefault(number, interlock.name) != interlock.name:
                message = f"{interlock.name} and {seen[number]} are both wired to input {number} of {member.name}"
                self.findings.complain(loc, message, "one chain an input", rule="inputs")

    def _auxiliary(self, index: int, member: Member[AuxiliaryGroup]) -> Auxiliary:
        group = member.group
        meter = -1 if group.meter is None else self.names.refer(member, "meter", group.meter, "meters")
        return Auxiliary(index, member.name, member.tag, member.block, group.power, meter)
