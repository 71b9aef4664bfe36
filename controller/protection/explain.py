"""What a protection is worth: the whole chain from the cell to the contactor, and the cause-and-effect matrix.

A software delay of half a second is honest only beside the chain it stands in: the BMS's own scan, the polling, our
scan, the write, the BMS again, the contactor. All figures are worst cases; nothing is averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.alarms.groups import unit_of
from controller.alarms.text import quantity_text
from controller.image.data_periods import binding_owner
from controller.plant.contactors import can_be_opened
from controller.plant.model import Device, Pcs, Plant
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Qualifier, Reduction
from controller.plant.row_coverage import covered
from controller.plant.signals import SIGNALS, Owner

CONTACTOR_OPENS_S = 0.25
"""Opening time of a main contactor with its auxiliary relay, where no device file states one."""


MEASUREMENTS_LOST = "measurements lost"
"""The cause of the stale ladder's lines; D in their limits is the period at which a value is read."""


@dataclass(frozen=True, slots=True)
class Delay:
    """One link of the chain; `seconds` None: nobody has stated it, which is not zero."""

    name: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CauseEffect:
    """One line of the cause-and-effect matrix; `reaction_s` is the slowest equipment's.

    None where a part of it is not stated, and where the limit itself is a time (`MEASUREMENTS_LOST`).
    """

    cause: str
    owner: str
    equipments: int
    level: str
    limit: str
    delay_s: float
    effect: str
    reset_class: str
    reaction_s: float | None


def worst_case_reaction(
    plant: Plant, row: ProtectionRow, equipment: int, level: Level | None = None
) -> tuple[Delay, ...]:
    """Return the chain of delays from a change of the measured thing to the effect, for one equipment.

    Args:
        plant: The plant.
        row: One of its protection rows.
        equipment: Index of the row's equipment.
        level: Which level; the worst, if absent.

    Returns:
        Named delays; their sum is the worst-case reaction. Of several signals (`also`) the slowest counts. An age is
        a time itself: no reading is waited for.
    """
    graded = next((g for g in row.levels if g.level is level), row.levels[-1])
    if row.reduction is Reduction.AGE:
        sensing: tuple[Delay, ...] = (Delay("age of the value", graded.limit),)
    else:
        sensing = max((tuple(_sensing(plant, signal, equipment)) for signal in row.signals), key=total_s)
    scan_s = plant.control.scan_period_s
    delay = (Delay("on-delay", graded.delay_s), Delay("next scan", scan_s)) if graded.delay_s else ()
    return (*sensing, Delay("scan", scan_s), *delay, *_effect(plant, row, equipment, graded))


def total_s(chain: tuple[Delay, ...]) -> float:
    """Return the sum of a chain's known links: what it takes at least, and at most where all of them are known."""
    return sum(delay.seconds or 0.0 for delay in chain)


def is_known(chain: tuple[Delay, ...]) -> bool:
    """Tell whether every link of a chain is stated, so that its sum is the worst case."""
    return all(delay.seconds is not None for delay in chain)


def cause_effect_matrix(plant: Plant) -> tuple[CauseEffect, ...]:
    """Return all causes and effects: each level of each row, then the stale ladder."""
    return (*_row_lines(plant), *_ladder_lines(plant))


def _devices(plant: Plant, owner: Owner, equipment: int) -> Iterator[Device]:
    for device in plant.devices:
        if any((b.owner, b.equipment) == (owner, equipment) for b in device.bindings):
            yield device


def _sensing(plant: Plant, signal_name: str, equipment: int) -> Iterator[Delay]:
    owner = binding_owner(SIGNALS[signal_name].owner)
    for device in _devices(plant, owner, equipment):
        point = device.type.point(signal_name)
        if point is not None and point.poll_block:
            yield Delay("device refresh", device.type.refresh_s)
            yield Delay("poll period", device.period_s(point.poll_block))
            yield Delay("answer", plant.links[device.link].timeout_s)


def _write(plant: Plant, signal_name: str, equipment: int) -> Iterator[Delay]:
    for device in _devices(plant, SIGNALS[signal_name].owner, equipment):
        if device.type.point(signal_name) is not None:
            yield Delay("write", plant.links[device.link].timeout_s)
            yield Delay("device refresh", device.type.refresh_s)


def _effect(plant: Plant, row: ProtectionRow, equipment: int, graded: Graded) -> Iterator[Delay]:
    if graded.action is Action.ANNUNCIATE:
        return
    converters = _converters(plant, row, equipment, graded.action)
    slowest = max((tuple(_to_zero(plant, pcs)) for pcs in converters), key=total_s, default=())
    yield from slowest
    racks = plant.banks[equipment].racks if row.owner is Owner.BANK else (equipment,)
    requests = [_request(plant, rack) for rack in racks] if graded.action is Action.DISCONNECT_RACK else []
    if requests and all(requests):
        yield Delay("next scan", plant.control.scan_period_s)
        yield from max(requests, key=total_s)
        yield Delay("contactor opens", CONTACTOR_OPENS_S)


def _request(plant: Plant, rack: int) -> tuple[Delay, ...]:
    """Return what a request to open takes: by the rack's own register, else by its bank's; () where it has neither."""
    own, bank = tuple(_write(plant, "rack.connect_request", rack)), plant.racks[rack].bank
    return own or (tuple(_write(plant, "bank.connect_request", bank)) if bank >= 0 else ())


def _to_zero(plant: Plant, pcs: Pcs) -> Iterator[Delay]:
    yield from _write(plant, "pcs.active_power_setpoint", pcs.index)
    yield Delay("converter ramps to zero", pcs.power_w / pcs.ramp_w_per_s)


def _converters(plant: Plant, row: ProtectionRow, equipment: int, action: Action) -> tuple[Pcs, ...]:
    """Return the converters that an action takes to zero."""
    if action is Action.STOP_PLANT:
        return plant.pcs
    match row.owner:
        case Owner.RACK:
            bus, block = plant.racks[equipment].bus, plant.racks[equipment].block
        case Owner.BANK:
            first = plant.racks[plant.banks[equipment].racks[0]]
            bus, block = first.bus, first.block
        case Owner.PCS:
            bus, block = plant.pcs[equipment].bus, plant.pcs[equipment].block
        case _:
            owners = plant.meters if row.owner is Owner.METER else plant.interlocks
            block = owners[equipment].block
            return tuple(p for p in plant.pcs if block in {-1, p.block})
    if action is Action.STOP_BLOCK:
        return tuple(p for p in plant.pcs if p.block == block)
    return tuple(p for p in plant.pcs if p.bus == bus)


def _counts(plant: Plant) -> dict[Owner, int]:
    return {
        Owner.RACK: len(plant.racks),
        Owner.BANK: len(plant.banks),
        Owner.PCS: len(plant.pcs),
        Owner.METER: len(plant.meters),
        Owner.INTERLOCK: len(plant.interlocks),
    }


def _row_lines(plant: Plant) -> Iterator[CauseEffect]:
    for row in plant.protection:
        indices = [index for index, about in enumerate(covered(plant, row)) if about]
        for graded in row.levels:
            for effect, members in _by_effect(plant, row, graded, indices).items():
                chains = (worst_case_reaction(plant, row, index, graded.level) for index in members)
                yield CauseEffect(
                    cause=row.name,
                    owner=row.owner.value,
                    equipments=len(members),
                    level=graded.level.name.lower(),
                    limit=_limit_text(row, graded),
                    delay_s=graded.delay_s,
                    effect=effect.value,
                    reset_class=row.reset_class.value if graded.level is Level.TRIP else "auto",
                    reaction_s=_slowest_s(list(chains)),
                )


def _by_effect(plant: Plant, row: ProtectionRow, graded: Graded, indices: Sequence[int]) -> dict[Action, Sequence[int]]:
    """Return what a level really does, and to which equipment: a rack that can't be asked to open stops its converter.

    Control takes a disconnection that nobody can be asked for as failed, and stops the converters of that bus.
    """
    if graded.action is not Action.DISCONNECT_RACK or row.owner not in {Owner.RACK, Owner.BANK}:
        return {graded.action: indices}
    opens = can_be_opened(plant)
    parted: dict[Action, list[int]] = {}
    for index in indices:
        racks = plant.banks[index].racks if row.owner is Owner.BANK else (index,)
        action = Action.DISCONNECT_RACK if all(opens[rack] for rack in racks) else Action.STOP_PCS
        parted.setdefault(action, []).append(index)
    return {**parted} or {graded.action: indices}


def _slowest_s(chains: list[tuple[Delay, ...]]) -> float | None:
    if not all(is_known(chain) for chain in chains):
        return None
    return max((total_s(chain) for chain in chains), default=0.0)


def _limit_text(row: ProtectionRow, graded: Graded) -> str:
    unit = unit_of(row)
    sign = ">=" if row.direction is Direction.HIGH else "<="
    limit = f"{sign} {quantity_text(graded.limit, unit)}" if unit else ("yes" if graded.limit else "no")
    return limit if row.qualifier is Qualifier.ALWAYS else f"{limit} when {row.qualifier.value.replace('_', ' ')}"


def _ladder_lines(plant: Plant) -> Iterator[CauseEffect]:
    stale = plant.control.stale
    counts = _counts(plant)
    for owner in (Owner.RACK, Owner.PCS):
        zero = f"max({stale.zero_periods:g} D, {stale.zero_min_s:g} s)"
        if owner is Owner.RACK:
            zero += f", {stale.zero_bms_stops_pcs_s:g} s where the BMS stops the converter"
        for limit, effect in ((f"{stale.bad_periods:g} D", "bus_no_increase"), (zero, "zero_bus")):
            yield CauseEffect(
                cause=MEASUREMENTS_LOST,
                owner=owner.value,
                equipments=counts[owner],
                level="alarm",
                limit=f"older than {limit}",
                delay_s=0.0,
                effect=effect,
                reset_class="auto",
                reaction_s=None,
            )
