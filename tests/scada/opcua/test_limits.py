"""What one client can do to the OPC UA face: with real sockets, each attempt bounded, and somebody honest beside it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import struct
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from controller.scada.opcua.limits import Limits
from controller.scada.opcua.value_types import standard_id
from tests.scada.opcua.parts import client_of, served, tag_id, talking_plant, until, value_of, write_of
from tests.scada.opcua.raw import SERVER_STATE, RawUa, chunk, fault_of, raw_ua, read_of

SMALL = Limits(
    connections=5,
    connections_per_peer=3,
    sessions=2,
    activation_s=600.0,
    unread_s=0.3,
    early_bytes=20_000,
    read_nodes=150,
    write_nodes=3,
)


@pytest.fixture
async def view(demo_plant):
    return talking_plant(demo_plant)


@pytest.fixture
async def face(demo_plant, view, state):
    async with served(demo_plant, view, state, allowed=SMALL) as up:
        yield up


async def is_serving(face) -> bool:
    """Whether somebody honest, from another address, is still served."""
    async with raw_ua(face.port, "127.0.0.9") as honest:
        await honest.logged_in()
        honest.send(read_of(SERVER_STATE))
        return bool((await honest.answer()).Results[0].StatusCode.is_good())


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"HELF" + struct.pack("<I", 2**31), "BadTcpMessageTooLarge"),
        (b"HELF" + struct.pack("<I", 8), "BadTcpMessageTooLarge"),
        (b"HELF" + struct.pack("<I", 0), "BadTcpMessageTooLarge"),
        (b"HELC" + struct.pack("<I", 32), "BadTcpMessageTypeInvalid"),
        (b"OPNF" + struct.pack("<I", 100), "BadTcpMessageTypeInvalid"),
        (b"MSGF" + struct.pack("<I", 100), "BadTcpMessageTypeInvalid"),
        (b"GET / HTTP/1.1\r\n\r\n", "BadTcpMessageTypeInvalid"),
        (bytes(8), "BadTcpMessageTypeInvalid"),
        (chunk(b"HELF", b"short"), "BadDecodingError"),
    ],
)
async def test_what_is_no_hello_is_refused_by_its_header(face, sent, reason):
    async with raw_ua(face.port) as raw:
        raw.writer.write(sent)

        assert await raw.error() == reason
    assert face.broken() == {reason: 1}
    assert await is_serving(face)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"MSGF" + struct.pack("<I", 2**31), "BadTcpMessageTooLarge"),
        (b"MSGC" + struct.pack("<I", 65_537), "BadTcpMessageTooLarge"),
        (b"MSGX" + struct.pack("<I", 100), "BadTcpMessageTypeInvalid"),
        (b"OPNC" + struct.pack("<I", 100), "BadTcpMessageTypeInvalid"),
        (b"HELF" + struct.pack("<I", 40), "BadTcpMessageTypeInvalid"),
        (chunk(b"MSGF", bytes(30)), "BadDecodingError"),
        (chunk(b"OPNF", bytes(60)), "BadSecurityChecksFailed"),
    ],
)
async def test_what_is_no_chunk_ends_an_open_channel(face, sent, reason):
    async with raw_ua(face.port) as raw:
        await raw.opened()
        raw.writer.write(sent)

        assert await raw.error() == reason
    assert await is_serving(face)


async def test_without_a_login_little_is_taken(face):
    async with raw_ua(face.port) as raw:
        await raw.opened()
        with contextlib.suppress(ConnectionError):
            for _ in range(10):  # chunks of a message that never ends
                raw.send_body(bytes(5_000), end=b"C")

        assert await raw.error() == "BadTcpNotEnoughResources"
    assert await is_serving(face)


async def test_a_message_has_at_most_so_many_chunks(demo_plant, view, state):
    async with served(demo_plant, view, state) as face, raw_ua(face.port) as raw:
        await raw.logged_in()
        for _ in range(65):
            raw.send_body(b"x", end=b"C")

        assert await raw.error() == "BadRequestTooLarge"


async def test_connections_are_few_from_one_peer_and_few_in_all(face):
    async with contextlib.AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(raw_ua(face.port)) for _ in range(3)]
        refused = await stack.enter_async_context(raw_ua(face.port))
        assert await refused.is_closed()
        taken += [await stack.enter_async_context(raw_ua(face.port, "127.0.0.2")) for _ in range(2)]
        assert await (await stack.enter_async_context(raw_ua(face.port, "127.0.0.3"))).is_closed()

        for raw in taken:
            await raw.opened()
        status = face.server.status()
        assert (status["connections"], status["accepted"], status["refused"]) == (5, 5, 2)

    await until(lambda: face.server.status()["connections"] == 0)
    assert await is_serving(face)


async def test_who_does_not_log_in_is_shown_out(demo_plant, view, state):
    async with served(demo_plant, view, state, allowed=Limits(activation_s=0.2)) as face:
        async with raw_ua(face.port) as silent, raw_ua(face.port) as slow:
            await slow.opened()

            assert await silent.is_closed()
            assert await slow.is_closed()
        await until(lambda: face.server.status()["connections"] == 0)


async def test_who_says_nothing_any_more_is_shown_out(demo_plant, view, state):
    async with served(demo_plant, view, state, allowed=Limits(idle_s=0.3)) as face, raw_ua(face.port) as raw:
        await raw.logged_in()

        assert await raw.is_closed()
        assert face.broken() == {"timeout": 1}


async def test_sessions_are_few_and_one_a_connection(face):
    async with raw_ua(face.port) as one, raw_ua(face.port) as two, raw_ua(face.port) as three:
        for raw in (one, two, three):
            await raw.opened()
        assert isinstance(await one.session_created(), ua.CreateSessionResponse)
        assert isinstance(await two.session_created(), ua.CreateSessionResponse)

        assert fault_of(await one.session_created()) == "BadTooManySessions"
        assert fault_of(await three.session_created()) == "BadTooManySessions"
    await until(lambda: face.server.status()["sessions"] == 0)


@pytest.mark.parametrize(
    "request_type",
    [
        "RegisterServer",
        "RegisterServer2",
        "AddNodes",
        "DeleteNodes",
        "AddReferences",
        "DeleteReferences",
        "HistoryRead",
    ],
)
async def test_nothing_can_be_changed_or_registered(face, request_type):
    async with raw_ua(face.port) as raw:
        await raw.opened()
        raw.send(getattr(ua, f"{request_type}Request")())
        assert fault_of(await raw.answer()) == "BadServiceUnsupported"

    async with raw_ua(face.port) as raw:
        await raw.logged_in()
        raw.send(getattr(ua, f"{request_type}Request")())
        assert fault_of(await raw.answer()) == "BadServiceUnsupported"


async def test_without_a_session_or_with_another_token_nothing_is_read(face):
    async with raw_ua(face.port) as raw:
        await raw.opened()
        raw.send(read_of(SERVER_STATE))
        assert fault_of(await raw.answer()) == "BadSessionIdInvalid"

    async with raw_ua(face.port) as raw:
        await raw.logged_in()
        raw.token = standard_id(1000)
        for request in (read_of(SERVER_STATE), ua.CloseSessionRequest(), ua.ActivateSessionRequest()):
            raw.send(request)
            assert fault_of(await raw.answer()) == "BadSessionIdInvalid"


async def test_one_request_does_not_ask_for_too_much(face):
    async with raw_ua(face.port) as raw:
        await raw.logged_in()
        raw.send(read_of(*[SERVER_STATE] * 150))
        assert len((await raw.answer()).Results) == 150
        raw.send(read_of(*[SERVER_STATE] * 151))
        assert fault_of(await raw.answer()) == "BadTooManyOperations"
        raw.send(read_of())
        assert fault_of(await raw.answer()) == "BadNothingToDo"
        write = ua.WriteRequest()
        write.Parameters.NodesToWrite = [write_of("Plant.ExportLimit", ua.Variant(1.0))] * 4
        raw.send(write)
        assert fault_of(await raw.answer()) == "BadTooManyOperations"
        write.Parameters.NodesToWrite = [write_of("Plant.ExportLimit", ua.Variant("x" * 30_000))]
        raw.send(write)
        assert fault_of(await raw.answer()) == "BadRequestTooLarge"


async def test_the_number_of_operations_is_believed_before_they_are_decoded(face):
    """A read that announces two thousand million nodes and brings none."""
    async with raw_ua(face.port) as raw:
        await raw.logged_in()
        request = read_of()
        request.RequestHeader.AuthenticationToken = raw.token
        body = struct_to_binary(request)
        raw.send_body(body[:-4] + struct.pack("<i", 2**31 - 1))

        assert fault_of(await raw.answer()) == "BadTooManyOperations"


def bomb() -> bytes:
    """An array of two thousand million Nulls: they take no bytes."""
    return bytes([0x80]) + struct.pack("<i", 2**31 - 1)


async def test_an_array_of_nothing_is_not_built_before_a_login(face):
    async with raw_ua(face.port) as raw:
        await raw.opened()
        request = ua.GetEndpointsRequest()
        literal = standard_id(ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary)
        request.RequestHeader.AdditionalHeader = ua.ExtensionObject(TypeId=literal, Body=cast("Any", bomb()))
        raw.send(request)

        assert await raw.error() == "BadEncodingLimitsExceeded"
    assert await is_serving(face)


async def test_an_array_of_nothing_is_not_written(face):
    async with raw_ua(face.port) as raw:
        await raw.logged_in()
        write = ua.WriteRequest()
        write.Parameters.NodesToWrite = [write_of("Plant.ExportLimit", ua.Variant(7.5))]
        write.RequestHeader.AuthenticationToken = raw.token
        good = bytes([ua.VariantType.Double.value]) + struct.pack("<d", 7.5)
        raw.send_body(struct_to_binary(write).replace(good, bomb()))

        assert fault_of(await raw.answer()) == "BadEncodingLimitsExceeded"


async def test_a_large_additional_header_is_not_decoded(demo_plant, view, state):
    async with served(demo_plant, view, state) as face, raw_ua(face.port) as raw:
        await raw.logged_in()
        request = read_of(SERVER_STATE)
        large = ua.ExtensionObject(TypeId=standard_id(1), Body=cast("Any", bytes(2_000)))
        request.RequestHeader.AdditionalHeader = large
        raw.send(request)

        assert await raw.error() == "BadEncodingLimitsExceeded"


async def test_who_does_not_read_answers_is_served_no_more(demo_plant, view, state):
    async with served(demo_plant, view, state, allowed=Limits(unread_s=0.3)) as face, raw_ua(face.port) as raw:
        await raw.logged_in()
        request = read_of(*[tag_id("Plant.Block01.Rack03.CellVoltages")] * 100)
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the kernel's buffers fill up, then ours would
        for _ in range(100):
            raw.send(request)

        await until(lambda: face.broken() == {"timeout": 1})
        assert face.server.status()["connections"] <= 1
        assert await is_serving(face)


async def test_large_requests_of_one_client_do_not_hold_up_another(demo_plant, view, state):
    async with served(demo_plant, view, state) as face, raw_ua(face.port) as greedy, raw_ua(face.port) as honest:
        await greedy.logged_in()
        await honest.logged_in()
        for _ in range(10):
            greedy.send(read_of(*[tag_id("Plant.ActivePower")] * 400))
        honest.send(read_of(SERVER_STATE))
        answered = 0

        async def count() -> None:
            nonlocal answered
            for _ in range(10):
                await greedy.answer()
                answered += 1

        async with asyncio.TaskGroup() as group:
            counting = group.create_task(count())
            await honest.answer()
            before = answered
            await counting

        assert before < 10
        assert answered == 10


@pytest.mark.parametrize("seeds", [40, pytest.param(20_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_the_face_outlives_garbage(demo_plant, view, state, seeds):
    async with served(demo_plant, view, state) as face:
        async with client_of(face) as honest:
            for seed in range(seeds):
                async with raw_ua(face.port) as raw:
                    await _garbage(raw, seed)
            assert (await value_of(honest, "Plant.State")).StatusCode.is_good()
        assert gc.isenabled()


async def _garbage(raw: RawUa, seed: int) -> None:
    """Break one byte, or the length, of each message of a login in turn."""
    await raw.opened()
    request: Any = ua.CreateSessionRequest() if seed % 2 else ua.GetEndpointsRequest()
    body = bytearray(struct_to_binary(request))
    body[seed * 7 % len(body)] ^= 1 << seed % 8
    raw.send_body(bytes(body[: len(body) - seed % 3]))
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await raw.receive()
