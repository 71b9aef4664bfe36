"""Abuse of the whole Modbus face: frames broken in every way, in bulk; it serves on, and gives back what it took."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.modbus.face import ModbusServerFace
from tests.scada.modbus.parts import fake_plant, raw_client, serving

FRAMES_OF_A_CLIENT = 200
CLIENTS_AT_ONCE = 8
GROWTH_BYTES = 64 << 20


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def _frame(random: np.random.Generator, number: int) -> bytes:
    """Return a request that is sound in one of three, and else broken in one place or all."""
    unit = int(random.choice([0, 1, 2, 2, 2, 3, 11, 12, 255]))
    address = int(random.choice([0, 4, 8, 100, 1039, 40_000, 40_300, 50_000, int(random.integers(0, 65_536))]))
    count = int(random.choice([0, 1, 2, 4, 125, 126, 65_535]))
    data = random.bytes(int(random.integers(0, 12)))
    pdu = [
        struct.pack(">BHH", int(random.choice([3, 6])), address, count),
        struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data,
        random.bytes(int(random.integers(1, 254))),
    ][int(random.integers(0, 3))]
    frame = bytearray(struct.pack(">HHHB", number & 0xFFFF, 0, len(pdu) + 1, unit) + pdu)
    match int(random.integers(0, 12)):
        case 0:
            frame[int(random.integers(0, len(frame)))] ^= 1 << int(random.integers(0, 8))
        case 1:
            del frame[int(random.integers(0, len(frame))) :]
        case 2:
            frame[4:6] = random.bytes(2)
    return bytes(frame)


async def _abuse(port: int, seed: int) -> None:
    """Send frames on one connection after the other: each breaks off at the first that can't be cut."""
    random = np.random.default_rng(seed)
    left = [_frame(random, n) for n in range(FRAMES_OF_A_CLIENT)]
    while left:
        sent, left = left[:20], left[20:]
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(sent))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 60)
            writer.close()


async def _abused(demo_plant, frames: int) -> None:
    view = fake_plant(demo_plant)
    assert demo_plant.faces.modbus is not None
    listed = point_list(demo_plant)
    places = flat_map(listed)
    settings = replace(demo_plant.faces.modbus, port=0)
    face = ModbusServerFace(settings, demo_plant, listed, places, view, SystemClock())
    port = int((await face.start()).rpartition(":")[2])
    before_bytes = 0
    async with serving(face.serve):
        for start in range(0, frames, FRAMES_OF_A_CLIENT * CLIENTS_AT_ONCE):
            first = start // FRAMES_OF_A_CLIENT
            async with asyncio.TaskGroup() as group:
                for client in range(CLIENTS_AT_ONCE):
                    group.create_task(_abuse(port, first + client))
            view.asked.clear()
            view.reported.clear()
            before_bytes = before_bytes or _resident_bytes()
        async with raw_client(("127.0.0.1", port)) as honest:
            version = await honest.read(2, 0, 2)
        assert version[-4:] == places.version.to_bytes(4)
        assert face.server.counters.frame_errors > 0
        assert face.requests.counters.exceptions > frames // 10
        async with asyncio.timeout(20):
            while face.server.connections:
                await asyncio.sleep(0.01)
    gc.collect()
    assert _resident_bytes() - before_bytes < GROWTH_BYTES


@pytest.mark.timeout(300)
async def test_ten_thousand_frames_sound_and_broken_leave_the_face_as_it_was(demo_plant):
    await _abused(demo_plant, 10_000)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_a_million_frames_sound_and_broken_leave_the_face_as_it_was(demo_plant):
    await _abused(demo_plant, 1_000_000)


async def test_a_flood_of_half_frames_from_all_connections_is_bounded_and_given_up(demo_plant, monkeypatch):
    monkeypatch.setattr("controller.scada.modbus.server._SWEEP_S", 0.05)
    view = fake_plant(demo_plant)
    listed = point_list(demo_plant)
    assert demo_plant.faces.modbus is not None
    settings = replace(demo_plant.faces.modbus, port=0)
    face = ModbusServerFace(settings, demo_plant, listed, flat_map(listed), view, SystemClock())
    face.server.limits = replace(face.server.limits, unfinished_s=0.2)
    port = int((await face.start()).rpartition(":")[2])
    async with serving(face.serve):
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(face.server.limits.connections)]
        for _, writer in slow:
            writer.write(b"\0\1\0\0\0\6\2")
        for reader, writer in slow:
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()
        async with raw_client(("127.0.0.1", port)) as honest:
            assert len(await honest.read(2, 0, 2)) >= 4
        assert face.server.counters.closed_idle == len(slow)
