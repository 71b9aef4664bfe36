"""From a frame that shows a danger to the first protective command on the wire: the daemon's own share of the chain.

A cell of one rack after the other is driven over its trip limit in the simulated plant. Between controller and devices
stand taps on the links: they note when the frame that first shows it comes, and when the first command goes that
protects (another set-point to the bus's converter, or a request to disconnect to the rack). The trip's on-delay is set
to zero, because it is a setting, not a speed. A trip begins only while the bus carries power: one that comes where the
trip before it still holds the set-point at zero finds its first command already given, and would time the second one,
which waits until the unloading has been seen. Beside it stands what `bess explain` says of the whole chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from controller.modbus.pdu import Request
from controller.plant.demo_site import DEMO_RACKS, write_demo_site
from controller.plant.model import Plant, TcpAddress
from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import Place, flat_map
from controller.points.point_list import point_list
from controller.protection.explain import total_s, worst_case_reaction
from controller.runtime.bench.result import Result, at_most
from controller.runtime.bench.run import bess
from controller.runtime.clock import SystemClock
from controller.simulator.faults.port import FaultPort
from controller.simulator.tap import Tap

ALLOWED_BESIDE_SCAN_S = 0.005
ROUNDS, RACKS = 3, 11
LIMIT_MV, DANGER = 3650, "3.72V"
SETPOINT_W, PATIENCE_S, RECOVERY_S, LOADED_AFTER_S = 500e3, 10.0, 120.0, 5.0
_BLOCK, _TAPPED_UP = 2, 400
_BASES, _TAPPED_BASES = (20000, 17000, 16000, 15000, 15001, 15002), (20000, 16000)
_PORTS = (20201, 20212, 20601, 20612, 17001, 16001, 16002, 16402, 15000, 15001, 15002)
_INPUT_REGISTERS, _CELL_VOLTAGES = 4, {22, *range(100, 340)}
"""Where the demo's racks show the highest cell, and each cell."""
_NO_POWER = bytes(4)
_PROTECTION = "schema: protections/v1\nbase: lfp-utility@1\nrack:\n  cell_voltage_high: {trip: {delay: 0 s}}\n"


@dataclass(slots=True)
class Watch:
    """What the taps have seen of the trip that is under way."""

    rack: int = -1
    shown_ns: int = 0
    acted_ns: int = 0
    setpoint: bytes = _NO_POWER
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    acted: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, rack: int) -> None:
        """Wait for the next trip."""
        self.rack, self.shown_ns, self.acted_ns = rack, 0, 0
        self.acted.clear()

    def came(self, rack: int, request: Request, data: bytes, now_ns: int) -> None:
        """Note the first frame that shows a cell of the rack over the limit: the highest, or the cell itself."""
        if rack != self.rack or self.shown_ns or request.function != _INPUT_REGISTERS:
            return
        registers = range(request.address, request.address + request.count)
        values = struct.unpack(f">{request.count}H", data)
        if any(n in _CELL_VOLTAGES and v > LIMIT_MV for n, v in zip(registers, values, strict=True)):
            self.shown_ns = now_ns

    def request_went(self, rack: int, request: Request, now_ns: int) -> None:
        """Note that the rack is asked to disconnect."""
        if rack == self.rack and request.address == 0 and request.data == b"\x00\x02":
            self._act(now_ns)

    def setpoint_went(self, request: Request, now_ns: int) -> None:
        """Note that the converter gets another set-point."""
        if request.address == 0 and request.data[:4] != self.setpoint:
            self.setpoint = request.data[:4]
            self._act(now_ns)
            (self.loaded.clear if self.setpoint == _NO_POWER else self.loaded.set)()

    def _act(self, now_ns: int) -> None:
        if self.shown_ns and not self.acted_ns:
            self.acted_ns = now_ns
            self.acted.set()


def bench_reaction(rounds: int = ROUNDS) -> list[Result]:
    """Trip every rack but one of a block, so many times over."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder, _sites(Path(folder)) as (devices, tapped):
        plant = load_site_or_raise(tapped)
        words = ["run", str(tapped), "--ports", "auto", "--state", str(Path(folder) / "state")]
        with (
            bess(["simulate", str(devices)]) as field_side,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            bench = _Bench(plant, field_side["faults"])
            taken_s = runner.run(bench.run(load_site_or_raise(devices), words, rounds))
    return [_row(sorted(taken_s), plant)]


def _row(taken_s: list[float], plant: Plant) -> Result:
    row = next(r for r in plant.protection if r.name == "cell_voltage_high")
    rack = next(r.index for r in plant.racks if r.block == _BLOCK - 1)
    scan_s = plant.control.scan_period_s
    goal_ms = round(1e3 * (scan_s + ALLOWED_BESIDE_SCAN_S), 1)
    if not taken_s:
        return {"name": "frame_to_protective_command_p99", "unit": "ms", "goal": goal_ms, "value": None, "met": None}
    beside = {
        "p50_ms": round(1e3 * taken_s[len(taken_s) // 2], 2),
        "max_ms": round(1e3 * taken_s[-1], 2),
        "trips": len(taken_s),
        "scan_period_ms": 1e3 * scan_s,
        "whole_chain_worst_case_s": round(total_s(worst_case_reaction(plant, row, rack)), 3),
    }
    p99_ms = round(1e3 * taken_s[min(int(0.99 * len(taken_s)), len(taken_s) - 1)], 2)
    return at_most("frame_to_protective_command_p99", p99_ms, "ms", goal_ms, beside)


class _Bench:
    """The taps, the plant behind them, and a master that asks for power."""

    def __init__(self, plant: Plant, faults: str) -> None:
        self._plant, self._faults = plant, faults
        self._taps: list[Tap] = []

    async def run(self, devices: Plant, words: Sequence[str], rounds: int) -> list[float]:
        """Run the controller behind the taps and return how long each trip took, in seconds."""
        await self._open_taps(devices)
        controller = bess(words)
        try:
            about = await asyncio.to_thread(controller.__enter__)
            try:
                return await self._trips(about["modbus"], rounds)
            finally:
                await asyncio.to_thread(controller.__exit__, None, None, None)
        finally:
            await asyncio.gather(*(tap.close() for tap in self._taps))

    async def _open_taps(self, devices: Plant) -> None:
        """Stand between the controller and the block's racks and converter."""
        self.watch, clock = Watch(), SystemClock()
        racks = {d.link: n for n in range(1, RACKS + 2) for d in devices.devices if d.name == f"B{_BLOCK:02}-R{n:02}"}
        (pcs,) = (d.link for d in devices.devices if d.name == f"PCS{_BLOCK:02}")
        for link in (*racks, pcs):
            address = devices.links[link].address
            assert isinstance(address, TcpAddress)
            tap = Tap(address, address.port + _TAPPED_UP, clock)
            if link == pcs:
                tap.went = self.watch.setpoint_went
            else:
                rack = racks[link]
                tap.came = lambda *seen, rack=rack: self.watch.came(rack, *seen)
                tap.went = lambda *seen, rack=rack: self.watch.request_went(rack, *seen)
            self._taps.append(tap)
            await tap.listen()

    async def _trips(self, modbus: str, rounds: int) -> list[float]:
        """Trip racks and return how long each took, in seconds."""
        master = await _Master.connect(modbus)
        port = await FaultPort.connect(self._faults)
        taken_s: list[float] = []
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(master.ask_for_power())
            for _ in range(rounds):
                await self._until_steady(master)
                for rack in range(1, RACKS + 1):
                    taken_s += await self._trip(port, rack)
                await port.execute("clear")
            asking.cancel()
        port.close()
        return taken_s

    async def _trip(self, port: FaultPort, rack: int) -> list[float]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.watch.loaded.wait()
                await asyncio.sleep(1.0 + 0.137 * rack)  # so that nothing is in step with the scan
                await self.watch.loaded.wait()
                self.watch.begin(rack)
                await port.execute(f"cell B{_BLOCK:02}-R{rack:02} 17 {DANGER}")
                await self.watch.acted.wait()
        except TimeoutError:
            return []
        return [(self.watch.acted_ns - self.watch.shown_ns) * 1e-9]

    async def _until_steady(self, master: _Master) -> None:
        """Reset what is tripped, connect every rack at zero power (under load its voltage is not the bus's), load it.

        TimeoutError if a rack stays away: what came next would not be a trip under load.
        """
        place = flat_map(point_list(self._plant)).points["Plant.RacksConnected"]
        master.asked_w = 0.0
        async with asyncio.timeout(RECOVERY_S):
            while await master.racks_connected(place) < len(self._plant.racks):
                await master.reset()
                await asyncio.sleep(2.0)
        master.asked_w = SETPOINT_W
        await asyncio.sleep(LOADED_AFTER_S)


class _Master:
    """A SCADA master on the flat map."""

    _START, _RESET, _SETPOINT = 8, 11, 4

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._lock = reader, writer, asyncio.Lock()
        self.asked_w = 0.0

    @classmethod
    async def connect(cls, where: str) -> _Master:
        host, _, port = where.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def ask_for_power(self) -> None:
        """Renew the set-point for ever."""
        while True:
            await self._exchange(2, struct.pack(">BHHBf", 16, self._SETPOINT, 2, 4, self.asked_w / 1e6))
            await asyncio.sleep(2.0)

    async def reset(self) -> None:
        """Reset trips and start."""
        for command in (self._RESET, self._START):
            await self._exchange(2, struct.pack(">BHH", 6, command, 1))

    async def racks_connected(self, place: Place) -> int:
        """Return how many racks are connected, -1 where that is not known."""
        reply = await self._exchange(place.unit, struct.pack(">BHH", 3, place.address, 2))
        return int.from_bytes(reply[2:]) if reply[0] == 3 else -1

    async def _exchange(self, unit: int, pdu: bytes) -> bytes:
        async with self._lock:
            self._writer.write(struct.pack(">HHHB", 1, 0, len(pdu) + 1, unit) + pdu)
            header = await self._reader.readexactly(7)
            return await self._reader.readexactly(int.from_bytes(header[4:6]) - 1)


@contextmanager
def _sites(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Write the demo's site twice, on ports that are free: as its devices listen, and as the taps show them."""
    shift = _free_shift()
    devices, tapped = (write_demo_site(folder / name, DEMO_RACKS) for name in ("devices", "tapped"))
    for site, up in ((devices, 0), (tapped, _TAPPED_UP)):
        text = site.read_text(encoding="utf-8").replace("id: demo", f"id: bench-{shift}")
        for base in _BASES:
            moved = base + shift + (up if base in _TAPPED_BASES else 0)
            text = text.replace(f"+{base}}}", f"+{moved}}}").replace(f"127.0.0.1:{base}?", f"127.0.0.1:{moved}?")
        site.write_text(text, encoding="utf-8")
        (site.parent / "protections.yaml").write_text(_PROTECTION, encoding="utf-8")
    yield devices, tapped


def _free_shift() -> int:
    """Return by how much the demo's ports must be moved to be free; OSError if no try is lucky."""
    for shift in range(2_000, 12_000, 2_003):
        if all(_is_free(port + shift) for port in _PORTS):
            return shift
    raise OSError("no free ports for the benchmark's devices")


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
