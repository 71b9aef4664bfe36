"""Real sockets: an independent client, a C client, and raw bytes for what a disturbed link does."""

from __future__ import annotations

import asyncio
import contextlib
import shutil

import pytest
from pymodbus.client import AsyncModbusTcpClient

from controller.modbus.mbap import HEADER, frame
from controller.modbus.pdu import FunctionCode, read, write_register
from controller.simulator.faults.menu import FaultMenu
from controller.simulator.modbus_server import DeviceServers, ServedUnit, loopback_port
from controller.simulator.simulated_field import SimulatedField

WAIT_S = 5.0
INPUT = FunctionCode.READ_INPUT_REGISTERS


class Served:
    """A plant's devices on ports that the system chose."""

    def __init__(self, plant):
        self.devices = SimulatedField(plant)
        self.servers = DeviceServers()
        self.menu = FaultMenu(self.devices, self.servers.drop)
        self.plant = plant

    async def start(self):
        units: dict[int, dict[int, ServedUnit]] = {link.index: {} for link in self.plant.links}
        for device, simulated in zip(self.plant.devices, self.devices.devices, strict=True):
            units[device.link][device.unit] = simulated
        await self.servers.listen(self.plant.links, units, site_ports=False)

    def address(self, name):
        device = next(d for d in self.plant.devices if d.name == name)
        return self.servers.addresses[device.link]


@pytest.fixture
async def served(demo):
    plant = Served(demo)
    await plant.start()
    yield plant
    await plant.servers.close()


@contextlib.asynccontextmanager
async def raw(served, name):
    address = served.address(name)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def one_frame(reader):
    async with asyncio.timeout(WAIT_S):
        head = await reader.readexactly(HEADER.size)
        transaction, _, length, unit = HEADER.unpack(head)
        return transaction, unit, await reader.readexactly(length - 1)


async def ask(connection, request, transaction=7, unit=1):
    reader, writer = connection
    writer.write(frame(transaction, unit, request.pdu))
    return await one_frame(reader)


READ = read(INPUT, 16, 4)


async def test_an_independent_client_reads_and_writes(served):
    address = served.address("PCS01")
    async with AsyncModbusTcpClient(address.host, port=address.port, timeout=WAIT_S, retries=0) as client:
        state = await client.read_input_registers(10, count=1, device_id=1)
        assert state.registers == [0]
        written = await client.write_registers(0, [0x0001, 0x86A0], device_id=1)
        assert not written.isError()
        read_back = await client.read_holding_registers(0, count=2, device_id=1)
        assert client.convert_from_registers(read_back.registers, client.DATATYPE.INT32) == 100_000
        refused = await client.write_register(10, 1, device_id=1)
        assert refused.exception_code == 2
        nobody = await client.read_input_registers(10, count=1, device_id=9)
        assert nobody.exception_code == 0x0B
    address = served.address("IO01")
    async with AsyncModbusTcpClient(address.host, port=address.port, timeout=WAIT_S, retries=0) as client:
        chains = await client.read_discrete_inputs(0, count=3, device_id=1)
        assert chains.bits[:3] == [True] * 3


@pytest.mark.peer
async def test_mbpoll_reads_a_bank(served):
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll is not installed")
    address = served.address("BANK01")
    words = ["-m", "tcp", "-p", str(address.port), "-a", "1", "-0", "-r", "1000", "-c", "16", "-t", "3", "-1", "-q"]
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *words, address.host, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WAIT_S):
        text, _ = await process.communicate()
    assert process.returncode == 0, text
    assert b"[1000]: \t79" in text  # about 790 V


async def test_pipelined_requests_are_answered_once_and_in_order(served):
    async with raw(served, "BANK01") as (reader, writer):
        for number in range(30):
            writer.write(frame(number, 1, read(INPUT, 1000 + 800 * (number % 12), 16).pdu))
        answers = [await one_frame(reader) for _ in range(30)]
    assert [a[0] for a in answers] == list(range(30))
    assert all(len(a[2]) == 2 + 32 for a in answers)


async def test_bytes_may_come_one_by_one(served):
    async with raw(served, "B02-R01") as (reader, writer):
        for byte in frame(3, 1, READ.pdu):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await one_frame(reader))[0] == 3


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", frame(1, 1, b"")[:6] + b"\0" * 20, b"\0\1\0\0\xff\xff\1\3"]
)
async def test_what_is_no_modbus_closes_the_connection_only(served, data):
    async with raw(served, "B02-R01") as (reader, writer):
        writer.write(data)
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
    async with raw(served, "B02-R01") as connection:
        assert (await ask(connection, READ))[2][0] == INPUT


async def test_unknown_functions_are_refused(served):
    async with raw(served, "B02-R01") as (reader, writer):
        writer.write(frame(1, 1, bytes((99, 1, 2))))
        assert await one_frame(reader) == (1, 1, bytes((99 | 0x80, 1)))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("wrong_tid B02-R03", (7 ^ 0x5555, 1)),
        ("zero_tid B02-R03", (0, 1)),
        ("wrong_unit B02-R03", (7, 2)),
        ("wrong_function B02-R03", (7, 1)),
        ("truncate B02-R03", (7, 1)),
        ("exception B02-R03 4", (7, 1)),
    ],
)
async def test_spoiled_answers_are_spoiled_as_told_and_neighbours_are_not(served, command, expected):
    healthy = served.devices.devices[0]
    assert healthy.name == "BANK01"
    assert served.menu.execute(command) == "ok"
    async with raw(served, "B02-R03") as connection:
        transaction, unit, pdu = await ask(connection, READ)
    assert (transaction, unit) == expected
    whole = len(pdu) == READ.reply_size and pdu.startswith(READ.reply_head)
    assert whole == command.startswith(("wrong_tid", "zero_tid", "wrong_unit"))
    if command.startswith("exception"):
        assert pdu == bytes((INPUT | 0x80, 4))
    async with raw(served, "B02-R04") as connection:
        assert (await ask(connection, READ))[0] == 7
    assert served.menu.execute("clear B02-R03") == "ok"
    async with raw(served, "B02-R03") as connection:
        transaction, unit, pdu = await ask(connection, READ)
        assert (transaction, unit, len(pdu)) == (7, 1, READ.reply_size)


async def test_garbage_is_garbage(served):
    served.menu.execute("garbage B02-R03")
    async with raw(served, "B02-R03") as (reader, writer):
        writer.write(frame(7, 1, READ.pdu))
        async with asyncio.timeout(WAIT_S):
            head = await reader.readexactly(HEADER.size)
        assert HEADER.unpack(head)[1] != 0


@pytest.mark.parametrize("command", ["silent B02-R03", "no_read B02-R03"])
async def test_nothing_comes_and_the_connection_stays(served, command):
    served.menu.execute(command)
    async with raw(served, "B02-R03") as (reader, writer):
        writer.write(frame(7, 1, READ.pdu))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        assert not reader.at_eof()
    served.menu.execute("clear")
    async with raw(served, "B02-R03") as connection:
        assert (await ask(connection, READ))[0] == 7


async def test_late_answers_come_late(served):
    served.menu.execute("late B02-R03 300ms")
    async with raw(served, "B02-R03") as (reader, writer):
        writer.write(frame(7, 1, READ.pdu))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert (await one_frame(reader))[0] == 7


async def test_each_request_is_answered_by_a_reset(served):
    served.menu.execute("rst B02-R03")
    async with raw(served, "B02-R03") as (reader, writer):
        writer.write(frame(7, 1, READ.pdu))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), WAIT_S)


async def test_a_flapping_link_comes_and_goes(served):
    served.menu.execute("flap B02-R03 1s")
    answered = []
    for _ in range(4):
        try:
            async with raw(served, "B02-R03") as connection:
                answered.append((await ask(connection, READ))[0] == 7)
        except (ConnectionError, asyncio.IncompleteReadError):
            answered.append(False)
        served.devices.virtual.time_s += 1.0
        served.menu.advance()
    assert answered == [False, True, False, True]


async def test_a_bad_echo_spoils_writes_only(served):
    served.menu.execute("bad_echo PCS01")
    async with raw(served, "PCS01") as connection:
        request = write_register(7, b"\0\x20")
        _, _, pdu = await ask(connection, request)
        assert pdu != request.reply_head
        assert (await ask(connection, read(INPUT, 10, 1)))[2][:2] == bytes((INPUT, 2))
    assert served.devices.virtual.converters[0].watchdog_s == 3.2


async def test_a_silent_device_does_not_carry_out_what_it_did_not_hear(served):
    served.menu.execute("silent PCS01")
    async with raw(served, "PCS01") as (_, writer):
        writer.write(frame(1, 1, write_register(7, b"\0\x20").pdu))
        await writer.drain()
        await asyncio.sleep(0.1)
    assert served.devices.virtual.converters[0].watchdog_s == 5.0


async def test_a_rack_behind_a_bank_refuses_writes_when_it_is_cut_off(served):
    served.menu.execute("silent B01-R03")
    async with raw(served, "BANK01") as connection:
        mine = await ask(connection, write_register(1000 + 2 * 800, b"\0\1"))
        other = await ask(connection, write_register(1000 + 3 * 800, b"\0\1"))
        values = await ask(connection, read(INPUT, 1000 + 2 * 800, 2))
    assert mine[2] == bytes((0x86, 0x0B))
    assert other[2][0] == 6
    assert values[2][2:] == b"\xff\xff\x80\x00"


def test_site_ports_are_used_on_loopback_only(demo):
    assert loopback_port(demo.links[0]) == demo.links[0].address.port
