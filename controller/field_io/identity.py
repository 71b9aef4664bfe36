"""Making sure who answers: before a device is believed, on each new connection.

Rule: a device file's `identify` text must be there, and a SunSpec device must serve the models that its type expects,
of the same length and order; the whole chain may begin elsewhere (its addresses are shifted). A device that is not
what it should be is neither believed nor commanded, and is asked again after a rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.field_io.tcp_connection import TcpConnection
from controller.modbus.errors import ExceptionReply, SunSpecError
from controller.modbus.pdu import FunctionCode, read
from controller.modbus.poll_groups import instances_of
from controller.modbus.register_map import READ_FUNCTIONS, expected_models
from controller.modbus.registers import register_type, text
from controller.modbus.sunspec_chain import Chain, ChainWalker, chain_of
from controller.plant.device_types import Identity
from controller.plant.model import Device


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: `wrong` says what does not fit ("" = sound); addresses are to be moved by `shift`."""

    wrong: str = ""
    shift: int = 0


class Identities:
    """Verdicts of one connection's devices."""

    def __init__(self, devices: Mapping[int, Device]) -> None:
        """Know nothing yet."""
        self._devices = devices
        self._verdicts: dict[int, Verdict] = {}

    @property
    def wrong(self) -> dict[int, str]:
        """What does not fit, by device."""
        return {device: v.wrong for device, v in self._verdicts.items() if v.wrong}

    def forget(self) -> None:
        """Start anew: another connection may lead to another device."""
        self._verdicts.clear()

    async def of(self, device: Device, connection: TcpConnection, timeout_s: float) -> Verdict:
        """Return the verdict on a device, asking it at the first time and as long as it is wrong."""
        verdict = self._verdicts.get(device.index)
        if verdict is None or verdict.wrong:
            verdict = self._verdicts[device.index] = await _judge(device, connection, timeout_s)
        return verdict


async def _judge(device: Device, connection: TcpConnection, timeout_s: float) -> Verdict:
    if device.type.identity is not None:
        return await _text_verdict(device, device.type.identity, connection, timeout_s)
    if device.type.sunspec_models:
        return await _chain_verdict(device, connection, timeout_s)
    return Verdict()


async def _text_verdict(device: Device, identity: Identity, connection: TcpConnection, timeout_s: float) -> Verdict:
    words = register_type(identity.register_type).words
    request = read(READ_FUNCTIONS[identity.place.table], identity.place.address, words)
    (answer,) = await connection.exchange([(device.unit, request)], timeout_s)
    if isinstance(answer, ExceptionReply):
        return Verdict(f"refuses to be identified: {answer}")
    found = text(answer)
    return Verdict() if found == identity.equals else Verdict(f"identifies as '{found}', not '{identity.equals}'")


async def _chain_verdict(device: Device, connection: TcpConnection, timeout_s: float) -> Verdict:
    walker = ChainWalker()
    try:
        while (wanted := walker.next_read) is not None:
            request = read(FunctionCode.READ_HOLDING_REGISTERS, wanted.address, wanted.count)
            (answer,) = await connection.exchange([(device.unit, request)], timeout_s)
            if isinstance(answer, ExceptionReply):
                walker.refuse()
            else:
                walker.feed(answer)
        return _compare(chain_of(expected_models(device.type, instances_of(device))), walker.chain)
    except SunSpecError as error:
        return Verdict(f"is no SunSpec device as expected: {error}")


def _compare(expected: Chain, found: Chain) -> Verdict:
    """The expected models must stand in the found chain in one piece; more may follow or come before."""
    wanted = [(p.model, p.length) for p in expected]
    there = [(p.model, p.length) for p in found]
    for start in range(len(there) - len(wanted) + 1):
        if there[start : start + len(wanted)] == wanted:
            return Verdict(shift=found[start].address - expected[0].address)
    return Verdict(f"serves models {[m for m, _ in there]}, expected {[m for m, _ in wanted]} of the known lengths")
