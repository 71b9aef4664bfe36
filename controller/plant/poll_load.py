"""How busy a connection will be, before anything is started: requests a second times the time each takes.

A first formula: addresses of a polling class are merged over the gaps that the device allows and cut at its longest
read; every request takes the device's response time and the silence after it; requests in flight share the time. On a
serial line each frame takes its characters too, one after another (Modbus over Serial Line V1.02, 2.5.1: 11 bits a
character, and 3.5 characters of silence between frames, at least 1.75 ms above 19,200 baud).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from controller.plant.device_loader import register_span
from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace, RegisterTable
from controller.plant.model import Device, Link, SerialAddress
from controller.plant.signals import Owner

SUNSPEC_REGISTERS = {802: 64, 803: 60, 804: 260, 805: 130, 701: 155, 702: 52, 704: 67, 713: 9, 714: 45, 715: 9}
"""About how long a model is, where no device has been asked yet."""
BIT_TABLES = (RegisterTable.COIL, RegisterTable.DISCRETE)
WRITES = "writes"
CHARACTER_BITS, FRAME_BYTES, LEAST_SILENCE_S = 11, 8 + 5, 1.75e-3
"""A request of 8 bytes, and an answer of 5 beside its values."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one round of a polling class asks for: so many requests, whose answers carry so many bytes of values."""

    requests: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class BlockLoad:
    """What one polling class (or the cyclic writes) of a connection's devices costs."""

    name: str
    period_s: float
    requests_per_s: float
    busy_ratio: float


def link_loads(devices: Sequence[Device], link: Link) -> list[BlockLoad]:
    """Return the load of each polling class on a connection, those of one name and period together."""
    sums: dict[tuple[str, float], list[float]] = {}
    for device in devices:
        for name, period_s, asked in _requests(device):
            busy_s = asked.requests * (device.type.response_s + link.gap_s) + _wire_s(link, asked)
            total = sums.setdefault((name, period_s), [0.0, 0.0])
            total[0] += asked.requests / period_s
            total[1] += busy_s / period_s / at_a_time(link)
    return [BlockLoad(name, period_s, rate, busy) for (name, period_s), (rate, busy) in sums.items()]


def at_a_time(link: Link) -> int:
    """Return how many requests may be under way on a connection: on a serial line one."""
    return 1 if isinstance(link.address, SerialAddress) else link.in_flight


def _wire_s(link: Link, asked: Asked) -> float:
    """Return how long the frames of so many requests and answers take on a serial line; nothing to speak of on TCP."""
    if not isinstance(link.address, SerialAddress):
        return 0.0
    character_s = CHARACTER_BITS / link.address.baud
    silence_s = max(3.5 * character_s, LEAST_SILENCE_S)
    return asked.requests * (FRAME_BYTES * character_s + 2 * silence_s) + asked.payload_bytes * character_s


def likeness(devices: Sequence[Device], link: Link) -> Hashable:
    """Return what the load of a connection follows from: connections of one likeness bear the same load."""
    each = ((id(device.type), _instances(device), device.periods_s) for device in devices)
    line = link.address.baud if isinstance(link.address, SerialAddress) else 0
    return (link.gap_s, link.in_flight, line, *each)


def _instances(device: Device) -> tuple[int, ...]:
    return tuple(sorted(b.instance for b in device.bindings if _repeats(device.type, b.owner)))


def _requests(device: Device) -> Iterator[tuple[str, float, Asked]]:
    instances = _instances(device)
    for block in device.type.poll_blocks:
        asked = asked_of_block(device.type, block.name, instances)
        if asked.requests:
            yield block.name, device.period_s(block.name), asked
    for point in device.type.points:
        if point.refresh_s is not None:
            yield WRITES, point.refresh_s, Asked(1, 2 * register_span(point))


def _repeats(device_type: DeviceType, owner: Owner) -> bool:
    return device_type.repeat is not None and device_type.repeat.equipment == owner.value


_ROOT_OWNER = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}


def reads_of_block(device_type: DeviceType, block: str, instances: tuple[int, ...]) -> int:
    """Return how many read requests a polling class takes on one device that shows these instances."""
    return asked_of_block(device_type, block, instances).requests


def asked_of_block(device_type: DeviceType, block: str, instances: tuple[int, ...]) -> Asked:
    """Return what one round of a polling class asks of one device that shows these instances."""
    points = [p for p in device_type.points if p.poll_block == block]
    if device_type.sunspec_models:
        sizes = [SUNSPEC_REGISTERS.get(m, 60) for m in _models(points)]
        return Asked(sum(-(-size // device_type.max_read_registers) for size in sizes), 2 * sum(sizes))
    spans = sorted(span for point in points for span in _spans(device_type, point, instances))
    return _merged_reads(device_type, spans)


def _models(points: Sequence[DevicePoint]) -> set[int]:
    return {p.place.model for p in points if not isinstance(p.place, RegisterPlace)}


def _spans(
    device_type: DeviceType, point: DevicePoint, instances: tuple[int, ...]
) -> Iterator[tuple[RegisterTable, int, int]]:
    """Yield table, first and last address of a point, for every instance that it repeats for."""
    place, repeat = point.place, device_type.repeat
    if not isinstance(place, RegisterPlace):
        return
    length = register_span(point)
    owner = _ROOT_OWNER.get(point.signal.owner, point.signal.owner)
    shifts: tuple[int, ...] = (0,)
    if repeat is not None and repeat.equipment == owner.value:
        shifts = tuple((place.repeat_stride or repeat.stride) * instance for instance in instances)
    for shift in shifts:
        yield place.table, place.address + shift, place.address + shift + length - 1


def _merged_reads(device_type: DeviceType, spans: Sequence[tuple[RegisterTable, int, int]]) -> Asked:
    reads, payload_bytes, table, first, last = 0, 0, None, 0, -1
    for next_table, next_first, next_last in spans:
        bits = next_table in BIT_TABLES
        most = device_type.max_read_bits if bits else device_type.max_read_registers
        joins = next_table is table and next_first - last - 1 <= device_type.max_gap_registers
        if joins and next_last - first + 1 <= most:
            payload_bytes += _bytes(max(0, next_last - last), bits=bits)
            last = max(last, next_last)
            continue
        reads += -(-(next_last - next_first + 1) // most)
        payload_bytes += _bytes(next_last - next_first + 1, bits=bits)
        table, first, last = next_table, next_first, next_last
    return Asked(reads, payload_bytes)


def _bytes(count: int, *, bits: bool) -> int:
    return -(-count // 8) if bits else 2 * count
