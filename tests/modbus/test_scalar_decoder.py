"""The decoder of all scalars together says what the decoder of rows, which is the reference, says of each group."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.raw_blocks import RawGroup
from controller.modbus.read_plan import plan_reads
from controller.modbus.register_map import RegisterMap, compile_map
from controller.modbus.row_decoder import RowDecoder
from controller.modbus.scalar_decoder import Elements, Part, ScalarDecoder

Group = tuple[RegisterMap, RawGroup]

EVERY_TYPE = """
    rack.voltage: {at: input 0, as: u32, unit: mV, words: low_first, block: fast, range: [0 V, 2 kV]}
    rack.current: {at: input 2, as: i16, unit: A, scale: 0.1, sign: charge_positive, missing: [-32768, 7], block: fast}
    rack.cell_temperature_max: {at: input 3, as: f32, unit: degC, missing: -1000, block: fast}
    rack.insulation_resistance: {at: input 5, as: u64, unit: ohm, missing: 0xFFFFFFFFFFFFFFFF, block: fast}
    rack.soc: {at: input 9, as: f64, unit: "%", block: fast}
    rack.contactor: {at: input 13, as: i16, block: fast, values: {1: open, 7: closed}}
    rack.tripped: {at: discrete 4, as: bool, block: fast, values: {0: yes, 1: no}}
    rack.alarms: {at: input 14, as: u32, block: fast, values: {15: communication_error, 0: open_door, 31: open_door}}
    rack.heartbeat: {at: input 16, as: u64, missing: 3, block: fast}
"""


def _group(device_type, block: str, data: np.ndarray, instances: tuple[int, ...] | None = None) -> Group:
    register_map = compile_map(device_type, instances=instances)
    spans = plan_reads(register_map, block)
    group = RawGroup(device_type, block, spans, tuple(range(len(data))))
    group.data[:] = data[:, : group.data.shape[1]]
    return register_map, group


def _parts(register_map: RegisterMap, group: RawGroup) -> list[Part]:
    """Every scalar of a group, on all of its rows."""
    parts = []
    for field in register_map.block(group.block):
        if not field.is_array:
            rows, instances = np.indices(field.shape(len(group.devices))).reshape(2, -1)
            parts.append(Part(group, field, rows, instances))
    return parts


def _agrees(elements: Elements, values: np.ndarray, groups: list[Group]) -> None:
    for part, place in zip(elements.parts, elements.places, strict=True):
        register_map = next(m for m, g in groups if g is part.group)
        reference = RowDecoder(register_map, part.group.block, part.group.spans).decode(part.group.data)
        wanted = reference[part.field.signal.name]
        at = part.rows, part.instances
        assert np.array_equal(elements.valid[place], wanted.valid[at]), part.field.signal.name
        assert np.array_equal(values[place], wanted.values[at], equal_nan=True), part.field.signal.name


def _check(decoder: ScalarDecoder, groups: list[Group]) -> None:
    decoder.decode()
    _agrees(decoder.quantities, decoder.quantities.values, groups)
    _agrees(decoder.wholes, decoder.wholes.values, groups)


def test_every_library_device_decodes_as_row_by_row(library_device, library_name: str) -> None:
    device_type, random = library_device(library_name), np.random.default_rng(3)
    instances = (0, 2, 5) if device_type.repeat else None
    data = random.integers(0, 256, (3, 20_000), np.uint8)
    groups = [_group(device_type, b.name, data, instances) for b in device_type.poll_blocks]
    decoder = ScalarDecoder(part for group in groups for part in _parts(*group))
    for _ in range(30):
        _check(decoder, groups)
        for _, group in groups:
            group.data[:] = random.choice([0, 0, 0, 1, 7, 128, 255], group.data.shape)


def test_all_devices_together_decode_as_each_alone(library_device) -> None:
    random = np.random.default_rng(4)
    names = ("generic-pcs", "generic-meter", "sunspec-meter-3ph", "generic-digital-io")
    groups = [_group(library_device(n), "fast", random.integers(0, 256, (2, 4_000), np.uint8)) for n in names]
    decoder = ScalarDecoder(part for group in groups for part in _parts(*group))
    for _ in range(30):
        _check(decoder, groups)
        _check(decoder, groups)  # the same bytes again
        for _, group in groups:
            group.data[:] = random.choice([0, 0, 1, 2, 255], group.data.shape)


@given(st.lists(st.binary(min_size=41, max_size=41), min_size=2, max_size=2))
def test_every_register_type_decodes_as_row_by_row(device, rows: list[bytes]) -> None:
    rack = device(EVERY_TYPE, kind="rack_bms")
    groups = [_group(rack, "fast", np.frombuffer(b"".join(rows), np.uint8).reshape(2, 41))]
    _check(ScalarDecoder(_parts(*groups[0])), groups)


def test_sentinels_of_wide_registers_are_told_from_their_neighbours(device) -> None:
    rack = device(EVERY_TYPE, kind="rack_bms")
    row = np.zeros((2, 41), np.uint8)
    row[0, 10:18], row[1, 10:17] = 0xFF, 0xFF  # insulation resistance: the sentinel, and 255 below it
    row[:, 32:40] = [[0, 0, 0, 0, 0, 0, 0, 3], [0x80, 0, 0, 0, 0, 0, 0, 0]]  # heartbeat: its sentinel, and too large
    groups = [_group(rack, "fast", row)]
    decoder = ScalarDecoder(_parts(*groups[0]))
    _check(decoder, groups)
    names = [part.field.signal.name for part in decoder.quantities.parts]
    place = decoder.quantities.places[names.index("rack.insulation_resistance")]
    assert decoder.quantities.valid[place].tolist() == [False, True]


def test_some_rows_alone_may_be_asked_for(library_device) -> None:
    group = _group(library_device("generic-pcs"), "fast", np.ones((3, 400), np.uint8))
    part = next(p for p in _parts(*group) if p.field.signal.name == "pcs.dc_voltage")
    decoder = ScalarDecoder([part._replace(rows=part.rows[[2, 0]], instances=part.instances[[2, 0]])])
    group[1].data[0] = 0xFF
    decoder.decode()
    assert decoder.quantities.valid.tolist() == [True, False]


def test_nothing_to_decode_decodes_to_nothing() -> None:
    decoder = ScalarDecoder([])
    decoder.decode()
    assert decoder.quantities.values.size == decoder.wholes.values.size == 0
