"""The worst-case reaction of a protection row: every step from the sensor to the contactor, in seconds.

A software delay of 50 ms is honest only beside the real chain: the BMS scans, refreshes its map, we poll, decide,
write, the converter ramps, the BMS opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.plant.device_types import DeviceType
from controller.plant.model import Device, Plant
from controller.plant.protection_rows import Action, Graded, ProtectionRow
from controller.plant.signals import Owner

CONTACTOR_OPENS_S = 0.25
"""How long a contactor and its driver take; a typical figure, the rack's data sheet wins."""

_NO_WRITE = (Action.ANNUNCIATE,)


@dataclass(frozen=True, slots=True)
class ReactionStep:
    """One step of the chain and the most it can take."""

    name: str
    duration_s: float


def reaction_chain(plant: Plant, row: ProtectionRow, level: Graded, equipment: int) -> tuple[ReactionStep, ...]:
    """Return the chain for one level of a row on one equipment; empty if no device serves its signal."""
    owner = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}.get(row.owner, row.owner)
    device = _device_of(plant, owner, equipment, row)
    if device is None:
        return ()
    return (
        *_measured(plant, device, row),
        ReactionStep("scan", plant.control.scan_period_s),
        ReactionStep("delay", level.delay_s),
        *_acted(plant, device, level, owner, equipment),
    )


def reaction_s(chain: tuple[ReactionStep, ...]) -> float:
    """Return the sum of a chain."""
    return sum(step.duration_s for step in chain)


def _device_of(plant: Plant, owner: Owner, equipment: int, row: ProtectionRow) -> Device | None:
    for device in plant.devices:
        bound = any(b.owner is owner and b.equipment == equipment for b in device.bindings)
        if bound and _fastest_block(device, row) is not None:
            return device
    return None


def _fastest_block(device: Device, row: ProtectionRow) -> str | None:
    """Return the polling class that the row's signal (not its second one) is read in."""
    point = device.type.point(row.signal) or next((p for s, _ in row.also if (p := device.type.point(s))), None)
    return point.poll_block if point is not None and point.poll_block else None


def _measured(plant: Plant, device: Device, row: ProtectionRow) -> tuple[ReactionStep, ...]:
    block = _fastest_block(device, row) or ""
    link = plant.links[device.link]
    return (
        ReactionStep("device's own scan", device.type.refresh_s),
        ReactionStep(f"poll ({block})", device.period_s(block)),
        ReactionStep("read", device.type.response_s + link.gap_s),
    )


def _acted(plant: Plant, device: Device, level: Graded, owner: Owner, equipment: int) -> tuple[ReactionStep, ...]:
    if level.action in _NO_WRITE:
        return ()
    pcs_type = _pcs_type(plant, owner, equipment)
    steps = []
    if pcs_type is not None:
        timeout = pcs_type.communication_timeout
        steps.append(ReactionStep("write to PCS", pcs_type.response_s))
        steps.append(ReactionStep("PCS ramps to zero", timeout.ramp_s if timeout else 1.0))
    if level.action is Action.DISCONNECT_RACK:
        steps.append(ReactionStep("write to BMS", device.type.response_s))
        steps.append(ReactionStep("BMS acts", device.type.refresh_s))
        steps.append(ReactionStep("contactor opens", CONTACTOR_OPENS_S))
    return tuple(steps)


def _pcs_type(plant: Plant, owner: Owner, equipment: int) -> DeviceType | None:
    """Return the type of a PCS that acts for an equipment: on its bus, itself, or any of the plant."""
    wanted = set(range(len(plant.pcs)))
    if owner is Owner.PCS:
        wanted = {equipment}
    elif owner is Owner.RACK:
        wanted = set(plant.buses[plant.racks[equipment].bus].pcs)
    for device in plant.devices:
        if any(b.owner is Owner.PCS and b.equipment in wanted for b in device.bindings):
            return device.type
    return None
