"""How busy a connection will be, before anything is started: requests a second times the time each takes.

A first formula: addresses of a polling class are merged over the gaps that the device allows and cut at its longest
read; every request takes the device's response time and the silence after it; requests in flight share the time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from controller.plant.device_loader import register_span
from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace, RegisterTable
from controller.plant.model import Device, Link
from controller.plant.signals import Owner

SUNSPEC_REGISTERS = {802: 64, 803: 60, 804: 260, 805: 130, 701: 155, 702: 52, 704: 67, 713: 9, 714: 45, 715: 9}
"""About how long a model is, where no device has been asked yet."""
BIT_TABLES = (RegisterTable.COIL, RegisterTable.DISCRETE)
WRITES = "writes"


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
        each_s = (device.type.response_s + link.gap_s) / link.in_flight
        for name, period_s, requests in _requests(device):
            total = sums.setdefault((name, period_s), [0.0, 0.0])
            total[0] += requests / period_s
            total[1] += requests / period_s * each_s
    return [BlockLoad(name, period_s, rate, busy) for (name, period_s), (rate, busy) in sums.items()]


def likeness(devices: Sequence[Device], link: Link) -> Hashable:
    """Return what the load of a connection follows from: connections of one likeness bear the same load."""
    each = ((id(device.type), _instances(device), device.periods_s) for device in devices)
    return (link.gap_s, link.in_flight, *each)


def _instances(device: Device) -> tuple[int, ...]:
    return tuple(sorted(b.instance for b in device.bindings if _repeats(device.type, b.owner)))


def _requests(device: Device) -> Iterator[tuple[str, float, int]]:
    instances = _instances(device)
    for block in device.type.poll_blocks:
        requests = reads_of_block(device.type, block.name, instances)
        if requests:
            yield block.name, device.period_s(block.name), requests
    for point in device.type.points:
        if point.refresh_s is not None:
            yield WRITES, point.refresh_s, 1


def _repeats(device_type: DeviceType, owner: Owner) -> bool:
    return device_type.repeat is not None and device_type.repeat.equipment == owner.value


_ROOT_OWNER = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}


def reads_of_block(device_type: DeviceType, block: str, instances: tuple[int, ...]) -> int:
    """Return how many read requests a polling class takes on one device that shows these instances."""
    points = [p for p in device_type.points if p.poll_block == block]
    if device_type.sunspec_models:
        return sum(-(-SUNSPEC_REGISTERS.get(m, 60) // device_type.max_read_registers) for m in _models(points))
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


def _merged_reads(device_type: DeviceType, spans: Sequence[tuple[RegisterTable, int, int]]) -> int:
    reads, table, first, last = 0, None, 0, -1
    for next_table, next_first, next_last in spans:
        most = device_type.max_read_bits if next_table in BIT_TABLES else device_type.max_read_registers
        joins = next_table is table and next_first - last - 1 <= device_type.max_gap_registers
        if joins and next_last - first + 1 <= most:
            last = max(last, next_last)
            continue
        reads += -(-(next_last - next_first + 1) // most)
        table, first, last = next_table, next_first, next_last
    return reads
