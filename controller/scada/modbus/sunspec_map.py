"""The SunSpec units: unit 1 the plant, unit 10 + n its n-th block as a battery of its own; both at 40000.

Unit 1: models 1, 701, 702, 704, 713, 715, 802 and, while its strings fit, 803. Unit 10 + n: 1, 802, 803 and an 804 for
each rack, as many as the address space holds. A chain is laid out when it is first asked for. A write that touches a
register nobody may write is exception 2; one that cuts a value in two, or holds a number that can't be meant, 3;
several values written together are one write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from controller import __version__
from controller.image.data_periods import DataPeriods
from controller.link.plant_view import Snapshot
from controller.modbus.errors import ExceptionCode
from controller.modbus.registers import RegisterType
from controller.modbus.sunspec import layout
from controller.modbus.sunspec_chain import BASES, LAST_ADDRESS
from controller.plant.model import Block, Plant
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.requests import Plan, RegisterMap
from controller.scada.modbus.sunspec_bank import STRINGS_MAX, Bank, bank_values, scale_factors
from controller.scada.modbus.sunspec_controls import BankControls, PlantControls
from controller.scada.modbus.sunspec_plant import plant_scale_factors, plant_values
from controller.scada.modbus.sunspec_registers import ChainRegisters, Path
from controller.scada.modbus.sunspec_writes import Written

PLANT_UNIT, BLOCK_UNIT, LAST_UNIT = 1, 10, 247
Models = list[tuple[int, dict[str, int]]]
ValuesOf = Callable[[Judged], dict[Path, Any]]


class Controls(Protocol):
    """What may be written to a unit."""

    @property
    def version(self) -> int:
        """Moves when a register reads differently because of a write."""

    def writable(self) -> tuple[Path, ...]:
        """Return the points that may be written."""

    def values(self, judged: Judged, published_ns: int, /) -> dict[Path, Any]:
        """Return what they read, where the plant alone does not know."""

    def plan(self, written: Written, judged: Judged, published_ns: int, now_ns: int, /) -> Plan | ExceptionCode:
        """Return what a write asks of the plant."""


class SunSpecUnit:
    """One chain: its registers kept until a value, a quality or a written register changes."""

    def __init__(
        self, build: Callable[[], ChainRegisters], values: ValuesOf, controls: Controls, periods: DataPeriods
    ) -> None:
        """Take how the chain is laid out, what its values are and what may be written."""
        self._build, self._values, self._controls, self._periods = build, values, controls, periods
        self._registers: ChainRegisters | None = None
        self._places: dict[int, tuple[Path, int, RegisterType]] = {}
        self._snapshot: Snapshot | None = None
        self._valid_until_ns = 0
        self._version = -1
        self._image = b""

    def read(self, snapshot: Snapshot, now_ns: int, address: int, count: int) -> bytes | ExceptionCode:
        """Return registers as they are now; exception 2 outside of the chain."""
        registers = self._laid_out()
        start = address - registers.base
        if start < 0 or start + count > registers.size:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        self._renew(registers, snapshot, now_ns)
        return self._image[2 * start : 2 * (start + count)]

    def write(self, snapshot: Snapshot, now_ns: int, address: int, data: bytes) -> Plan | ExceptionCode:
        """Return what the registers ask of the plant."""
        self._laid_out()
        written: dict[Path, int] = {}
        end = address + len(data) // 2
        if any(at not in self._places for at in range(address, end)):
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        at = address
        while at < end:
            path, first, kind = self._places[at]
            words = data[2 * (at - address) : 2 * (at - address + kind.words)]
            if at != first or len(words) < 2 * kind.words or words == kind.not_implemented:
                return ExceptionCode.ILLEGAL_DATA_VALUE
            written[path] = int.from_bytes(words, signed=kind.dtype[1] == "i")
            at += kind.words
        judged = Judged(snapshot, self._periods, now_ns)
        return self._controls.plan(written, judged, snapshot.published_mono_ns, now_ns)

    def _renew(self, registers: ChainRegisters, snapshot: Snapshot, now_ns: int) -> None:
        version = self._controls.version
        if snapshot is self._snapshot and now_ns <= self._valid_until_ns and version == self._version:
            return
        judged = Judged(snapshot, self._periods, now_ns)
        values = self._values(judged) | self._controls.values(judged, snapshot.published_mono_ns)
        self._image = registers.encode(values)
        self._snapshot, self._valid_until_ns, self._version = snapshot, judged.valid_until_ns, version

    def _laid_out(self) -> ChainRegisters:
        if self._registers is None:
            self._registers = self._build()
            self._places = self._registers.places(dict.fromkeys(self._controls.writable()))
        return self._registers


def sunspec_units(plant: Plant, periods: DataPeriods) -> dict[int, RegisterMap]:
    """Return unit 1 and the blocks' units, by unit id; blocks beyond the last unit id have none."""
    units: dict[int, RegisterMap] = {PLANT_UNIT: _plant_unit(plant, periods)}
    for block in plant.blocks[: LAST_UNIT - BLOCK_UNIT]:
        units[BLOCK_UNIT + 1 + block.index] = _block_unit(plant, block, periods)
    return units


def _plant_unit(plant: Plant, periods: DataPeriods) -> SunSpecUnit:
    bank = Bank(plant, "plant", 0, np.arange(len(plant.racks)), plant.poi.power_w)
    strings = len(plant.racks) if len(plant.racks) <= STRINGS_MAX else 0
    factors = plant_scale_factors(plant) | scale_factors(bank)
    models: Models = [(model, {}) for model in (1, 701, 702, 704, 713, 715, 802)]
    if strings:
        models.append((803, {"NStr": strings}))
    return SunSpecUnit(
        lambda: _chain(models, factors, "Plant controller", plant.site_id),
        lambda judged: plant_values(judged, plant) | bank_values(judged, bank, strings=bool(strings), racks=0),
        PlantControls(plant, 10.0 ** factors[704, "WSet_SF"], 10.0 ** factors[704, "VarSet_SF"]),
        periods,
    )


def _block_unit(plant: Plant, block: Block, periods: DataPeriods) -> SunSpecUnit:
    rows = np.array([rack.index for rack in plant.racks if rack.block == block.index], np.int64)
    bank = Bank(plant, "block", block.index, rows, sum(pcs.power_w for pcs in plant.pcs if pcs.block == block.index))
    strings = len(rows) <= STRINGS_MAX
    models: Models = [(1, {}), (802, {})]
    if strings:
        models.append((803, {"NStr": len(rows)}))
    racks = _racks_that_fit(models, bank)
    models += [(804, {"NMod": battery.modules}) for battery in bank.batteries[:racks]]
    return SunSpecUnit(
        lambda: _chain(models, scale_factors(bank), "Battery bank", f"{plant.site_id}-{block.name}"),
        lambda judged: bank_values(judged, bank, strings=strings, racks=racks),
        BankControls(plant, tuple(rows.tolist())),
        periods,
    )


def _racks_that_fit(models: Models, bank: Bank) -> int:
    """Return how many racks' 804 find room behind the other models."""
    header, marker_and_end = 2, 4
    room = LAST_ADDRESS + 1 - BASES[0] - marker_and_end
    room -= sum(header + layout(model, counts).length for model, counts in models)
    for number, battery in enumerate(bank.batteries):
        room -= header + layout(804, {"NMod": battery.modules}).length
        if room < 0:
            return number
    return len(bank.rows)


def _chain(models: Models, factors: dict[Path, int], kind: str, serial: str) -> ChainRegisters:
    present = {model for model, _ in models}
    served = {path: exponent for path, exponent in factors.items() if path[0] in present}
    texts = {"Mn": "bess-controller", "Md": kind, "Vr": __version__, "SN": serial}
    room = {"Mn": 32, "Md": 32, "Vr": 16, "SN": 32}
    return ChainRegisters(models, served, {(1, name): _cut(text, room[name]) for name, text in texts.items()})


def _cut(text: str, size: int) -> str:
    """Return as much of a text as fits into so many bytes."""
    return text.encode()[:size].decode("utf-8", "ignore")
