"""The checks of commissioning, each with the slice of the configuration that its result depends on.

A check that was passed stays good as long as its slice stays the same: its hash is kept with the result, and a changed
hash means "test again". One list serves `diff --retest` and whoever carries the checks out. Pure: facts in, checks out.

Kinds: p2p (a device's values against a second instrument), physics (sums and signs of a bus and of the POI), protection
(a row on one kind of rack, or on one kind of other equipment), estimation (SOC, capacity and health of one kind of
rack), control (set-points, ramps, fall-backs), schedule (what the plant does by the clock), poll budget (a connection),
watchdog (a converter and the BMSs behind it), interlock (a hard-wired chain), scada map (a face's points, and each
party's list).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.commissioning.cell_facts import PREFIX as CELL
from controller.commissioning.cell_facts import PROVENANCE
from controller.commissioning.facts import ONLY, Facts, PartyRows, Subject, facts, party_subject, row_subject
from controller.plant.model import Device, Plant
from controller.plant.protection_rows import Action, ProtectionRow, Reduction
from controller.plant.row_coverage import covered, kinds_of
from controller.plant.signals import SIGNALS, Owner
from controller.points.addresses import Place, flat_map
from controller.points.point_list import Point, point_list

Slice = tuple[tuple[str, str], ...]


class CheckKind(StrEnum):
    """What is checked."""

    P2P = "p2p"
    PHYSICS = "physics"
    PROTECTION = "protection"
    ESTIMATION = "estimation"
    CONTROL = "control"
    SCHEDULE = "schedule"
    POLL_BUDGET = "poll budget"
    WATCHDOG = "watchdog"
    INTERLOCK = "interlock"
    SCADA_MAP = "scada map"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what, of what, how many equipments are alike, and what its result depends on."""

    kind: CheckKind
    subject: str
    equipments: int
    slice: Slice

    @property
    def hash(self) -> str:
        """Return the slice's hash, to be kept with the result."""
        text = "\n".join(f"{key}\t{value}" for key, value in self.slice)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Return `protection cell_voltage_high on lfp280`."""
        return f"{self.kind.value} {self.subject}".strip()


def checks(
    plant: Plant, frozen: Mapping[str, Place] | None = None, parties: PartyRows | None = None
) -> tuple[Check, ...]:
    """Return every check of a plant; `frozen`: its frozen map, `parties`: the rows of parties' lists, if any."""
    slices = _Slices(plant, facts(plant, parties))
    return (*slices.of_devices(), *slices.of_physics(), *slices.of_protection(), *slices.of_estimation(),
            slices.of_control(), slices.of_schedule(), *slices.of_links(), *slices.of_watchdogs(),
            *slices.of_interlocks(), *slices.of_maps(frozen))  # fmt: skip


class _Slices:
    """Cuts the facts of a plant into what each check depends on."""

    def __init__(self, plant: Plant, found: Facts) -> None:
        self.plant, self.facts = plant, found
        self._serving: dict[tuple[Owner, int], list[Device]] = {}
        for device in plant.devices:
            for binding in device.bindings:
                self._serving.setdefault((binding.owner, binding.equipment), []).append(device)

    def _of(self, subjects: Iterable[Subject], keys: Iterable[str] | None = None) -> Slice:
        """Return the facts of subjects, in their order; of `keys` only those that begin so."""
        wanted = None if keys is None else tuple(keys)
        return tuple(
            (f"{subject}: {key}", value)
            for subject in dict.fromkeys(subjects)
            for key, value in self.facts.get(subject, {}).items()
            if wanted is None or key.startswith(wanted)
        )

    def of_devices(self) -> Iterator[Check]:
        """A device's values depend on where it is, what it serves and every register of its map."""
        for device in self.plant.devices:
            subjects = (Subject("device", device.name), Subject("device type", device.type.name))
            transformers = [
                Subject("meter", self.plant.meters[b.equipment].name) for b in device.bindings if b.owner is Owner.METER
            ]
            found = self._of(subjects, _MAP_KEYS) + self._of(transformers)
            yield Check(CheckKind.P2P, device.name, max(1, len(device.bindings)), found)

    def of_physics(self) -> Iterator[Check]:
        """Sums and signs of a bus: its racks and converters, and the registers of voltage, current and power."""
        for bus in self.plant.buses:
            racks = [self.plant.racks[r] for r in bus.racks]
            subjects = [
                Subject("bus", bus.name),
                *(Subject("battery", b) for b in sorted({r.battery.name for r in racks})),
            ]
            points = self._points([(Owner.RACK, r) for r in bus.racks] + [(Owner.PCS, p) for p in bus.pcs], _PHYSICAL)
            yield Check(CheckKind.PHYSICS, f"of {bus.name}", len(racks), _without_cell(self._of(subjects)) + points)
        meter = self.plant.poi.meter
        subjects = [Subject("POI", ""), *(Subject("PCS", p.name) for p in self.plant.pcs)]
        subjects += [Subject("transformer", t.name) for t in self.plant.transformers]
        subjects += [Subject("meter", self.plant.meters[meter].name)] if meter >= 0 else []
        points = self._points([(Owner.METER, meter), *((Owner.PCS, p.index) for p in self.plant.pcs)], _PHYSICAL)
        yield Check(CheckKind.PHYSICS, "at the POI", 1, self._of(subjects) + points)

    def of_protection(self) -> Iterator[Check]:
        """A trip depends on its row, the rack's type, what it reads and writes, how often, on scan and converters."""
        for row in self.plant.protection:
            for kind, members in self._alike(row).items():
                subjects = [row_subject(row)]
                subjects += [Subject("battery", kind)] if row.owner in {Owner.RACK, Owner.BANK} else []
                found = tuple(each for each in _without_cell(self._of(subjects)) if not each[0].endswith(f": {ONLY}"))
                found += self._cell_limits(row, subjects)
                found += self._of([Subject("control", "")], ("scan", "stale"))
                found += self._points(members, {row.signal, *(n for n, _ in row.also), *_EFFECTS})
                found += self._periods(members) + self._ways_to_zero(row, members)
                yield Check(CheckKind.PROTECTION, f"{row_subject(row).name} on {kind}", len(members), found)

    def of_estimation(self) -> Iterator[Check]:
        """What is estimated of a kind of rack depends on its cell, and on the registers that are believed."""
        kinds: dict[str, list[tuple[Owner, int]]] = {}
        for rack in self.plant.racks:
            kinds.setdefault(rack.battery.name, []).append((Owner.RACK, rack.index))
        for kind, members in kinds.items():
            subjects = [Subject("battery", kind)]
            found = tuple(fact for fact in self._of(subjects) if not fact[0].endswith(PROVENANCE))
            points = self._points(members, _ESTIMATED_FROM)
            yield Check(CheckKind.ESTIMATION, f"of {kind}", len(members), found + points)

    def _cell_limits(self, row: ProtectionRow, subjects: Iterable[Subject]) -> Slice:
        """Return the cell's limits of what a row watches; nothing else of a cell can cause or prevent a trip."""
        watched = [word for word in ("voltage", "current", "temperature") if any(word in name for name in row.signals)]
        watched *= row.reduction is not Reduction.AGE
        limits = self._of((s for s in subjects if s.group == "battery"), (f"{CELL}limits.",))
        return tuple(fact for fact in limits if any(word in fact[0] for word in watched))

    def _ways_to_zero(self, row: ProtectionRow, members: Sequence[tuple[Owner, int]]) -> Slice:
        """Return how the converters that a row takes to zero are told, and how fast they are there."""
        if all(graded.action is Action.ANNUNCIATE for graded in row.levels):
            return ()
        buses = self._buses(row, members)
        stopped = [pcs for pcs in self.plant.pcs if pcs.bus in buses]
        found = self._of((Subject("PCS", pcs.name) for pcs in stopped), ("ramp", "power"))
        alike = sorted({(f"converters: {key.rpartition(': ')[2]}", value) for key, value in found})
        told = self._points([(Owner.PCS, pcs.index) for pcs in stopped], ["pcs.active_power_setpoint"])
        return tuple(alike) + told

    def _buses(self, row: ProtectionRow, members: Sequence[tuple[Owner, int]]) -> set[int]:
        """Return the buses that a row takes to zero: its equipment's own, or all of the plant's."""
        plant, wide = self.plant, {Action.STOP_BLOCK, Action.STOP_PLANT}
        if not wide.isdisjoint(graded.action for graded in row.levels):
            return {bus.index for bus in plant.buses}
        match row.owner:
            case Owner.RACK:
                return {plant.racks[index].bus for _, index in members}
            case Owner.BANK:
                return {plant.racks[rack].bus for _, index in members for rack in plant.banks[index].racks}
            case Owner.PCS:
                return {plant.pcs[index].bus for _, index in members}
            case _:
                return {bus.index for bus in plant.buses}

    def _alike(self, row: ProtectionRow) -> dict[str, list[tuple[Owner, int]]]:
        """Return the equipment that a row is about: racks (and banks) by battery, anything else by its own kind."""
        plant, kinds = self.plant, dict[str, list[tuple[Owner, int]]]()
        named = kinds_of(plant, row.owner)
        for index, covers in enumerate(covered(plant, row)):
            bank = plant.banks[index] if row.owner is Owner.BANK else None
            kind = plant.racks[bank.racks[0]].battery.name if bank is not None else named[index] or row.owner.value
            if covers:
                kinds.setdefault(kind, []).append((row.owner, index))
        return kinds

    def _devices(self, members: Iterable[tuple[Owner, int]]) -> list[Device]:
        found = {d.index: d for member in members for d in self._serving.get(member, ())}
        return list(found.values())

    def _points(self, members: Iterable[tuple[Owner, int]], signals: Iterable[str]) -> Slice:
        """Return how the device types that serve these equipments code these signals."""
        names = sorted({device.type.name for device in self._devices(members)})
        return self._of((Subject("device type", name) for name in names), (*(f"point {s}" for s in signals), "refresh"))

    def _periods(self, members: Iterable[tuple[Owner, int]]) -> Slice:
        found = {
            (f"device type {device.type.name}: {key}", value)
            for device in self._devices(members)
            for key, value in self.facts[Subject("device", device.name)].items()
            if key.startswith(("poll ", "time-out"))
        }
        return tuple(sorted(found))

    def of_control(self) -> Check:
        """Set-points, ramps and fall-backs depend on the contract, the settings and the converters."""
        subjects = [Subject("POI", ""), Subject("control", "")]
        subjects += [Subject("PCS", p.name) for p in self.plant.pcs] + [
            Subject("bus", b.name) for b in self.plant.buses
        ]
        points = self._points([(Owner.PCS, p.index) for p in self.plant.pcs], _CONTROLLED)
        return Check(CheckKind.CONTROL, "", len(self.plant.pcs), self._of(subjects) + points)

    def of_schedule(self) -> Check:
        """What the plant does by the clock depends on every entry (none is a plan, too), the zone, the SOC window."""
        entries = [Subject("schedule", entry.name) for entry in self.plant.schedule]
        zone = self._of([Subject("site", self.plant.site_id)], ("timezone",))
        window = self._of([Subject("control", "")], ("soc_",))
        return Check(CheckKind.SCHEDULE, "", 1, self._of(entries) + zone + window)

    def of_links(self) -> Iterator[Check]:
        """A connection's load depends on what is behind it and how often each is read."""
        for link in self.plant.links:
            devices = [d for d in self.plant.devices if d.link == link.index]
            subjects = [Subject("device", d.name) for d in devices]
            subjects += [Subject("device type", name) for name in sorted({d.type.name for d in devices})]
            found = self._of(
                subjects, ("address", "type", "in flight", "gap", "time-out", "poll ", "serves ", *_LOADING)
            )
            yield Check(CheckKind.POLL_BUDGET, f"of {link.address}", len(devices), found)

    def of_watchdogs(self) -> Iterator[Check]:
        """What happens when we die depends on the time-outs of a converter and of the BMSs of its bus."""
        for pcs in self.plant.pcs:
            racks = self.plant.buses[pcs.bus].racks
            devices = self._devices([(Owner.PCS, pcs.index), *((Owner.RACK, r) for r in racks)])
            timeouts = self._of((Subject("device", d.name) for d in devices), ("communication time-out",))
            types = sorted({d.type.name for d in devices})
            written = self._of((Subject("device type", t) for t in types), _WRITTEN)
            ramp = self._of([Subject("PCS", pcs.name)], ("ramp", "power"))
            yield Check(CheckKind.WATCHDOG, f"of {pcs.name}", 1, tuple(dict.fromkeys((*timeouts, *written, *ramp))))

    def of_interlocks(self) -> Iterator[Check]:
        """A hard-wired chain depends on where it is wired and what it stops."""
        for interlock in self.plant.interlocks:
            member = (Owner.INTERLOCK, interlock.index)
            devices = [Subject("device", d.name) for d in self._devices([member])]
            found = self._of([Subject("interlock", interlock.name)])
            found += self._of(devices, ("address", f"serves {interlock.name}", "poll ")) + self._points(
                [member], {"interlock"}
            )
            yield Check(CheckKind.INTERLOCK, interlock.name, 1, found)

    def of_maps(self, frozen: Mapping[str, Place] | None) -> Iterator[Check]:
        """What SCADA reads depends on every published point, its address, unit, range; a party's list on its rows."""
        listed = point_list(self.plant)
        places = flat_map(listed, frozen)
        found = tuple((p.tag, _published(p, places.points.get(p.tag))) for p in listed.points)
        faces = self._of((Subject("face", "OPC UA"), Subject("face", "Modbus")))
        yield Check(CheckKind.SCADA_MAP, "", len(listed.points), found + faces)
        for party in self.plant.faces.modbus.maps if self.plant.faces.modbus is not None else ():
            rows = self._of([party_subject(party.party)])
            yield Check(CheckKind.SCADA_MAP, f"of {party.party}", 1, rows)


def _without_cell(found: Slice) -> Slice:
    """Return facts of a battery without those of its cell."""
    return tuple(fact for fact in found if f": {CELL}" not in fact[0])


def _published(point: Point, place: Place | None) -> str:
    where = "" if place is None else f" unit {place.unit} register {place.address} {place.type.value}"
    return f"{point.unit} {point.type.value} {point.access} {point.range_low:g}..{point.range_high:g}{where}"


_MAP_KEYS = ("address", "type", "serves ", "repeat", "identity", "set-up", "point ", "reads")
_PHYSICAL = tuple(
    s.name for s in SIGNALS.values()
    if not s.command and s.unit in {"V", "A", "W", "var"}
)  # fmt: skip
_ESTIMATED_FROM = ("rack.voltage", "rack.current", "rack.cell_voltage", "rack.cell_temperature", "cell.voltage",
                   "cell.temperature")  # fmt: skip
_EFFECTS = ("pcs.active_power_setpoint", "rack.connect_request", "bank.connect_request")
_CONTROLLED = ("pcs.active_power", "pcs.reactive_power", "pcs.operation", "pcs.state", "pcs.discharge_power_limit",
               "pcs.charge_power_limit")  # fmt: skip
_LOADING = ("refresh", "reads", "repeat", "point ")
_WRITTEN = ("heartbeat", "point pcs.controller_heartbeat", "point pcs.active_power_setpoint", "point pcs.watchdog",
            "point rack.controller_heartbeat", "point bank.controller_heartbeat")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Retest:
    """A check whose result no longer counts, and what of its slice changed (or that it is new)."""

    check: Check
    reasons: tuple[str, ...]


NOT_THERE = "not there"
"""What a difference says of a key that one of the two sites does not have."""


def invalidated(before: Iterable[Check], after: Iterable[Check]) -> tuple[Retest, ...]:
    """Return which checks of the later site must be done (again), with their reasons."""
    known = {check.name: check for check in before}
    found = []
    for check in after:
        old = known.get(check.name)
        if old is None:
            found.append(Retest(check, ("new",)))
        elif old.hash != check.hash:
            found.append(Retest(check, tuple(_changes(old.slice, check.slice))))
    return tuple(found)


def _changes(before: Slice, after: Slice) -> Iterator[str]:
    old, new = dict(before), dict(after)
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key, NOT_THERE)} -> {new.get(key, NOT_THERE)}"
