"""The registers of simulated devices: all devices of a type as one image, written by signal and read as on the wire.

Rule: an image serves exactly the registers that its map names (and what lies in the gaps that the device file allows to
be read); everything else does not exist. A value that does not fit its register, or is invalid, reads as "no value". A
SunSpec device serves its whole chain. Values are coded by the very fields that the driver decodes with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.modbus.device_setup import identity_check
from controller.modbus.errors import DeviceMapError
from controller.modbus.field_codec import canonical, encode_field, raw_whole
from controller.modbus.pdu import ADDRESSES, BIT_READS
from controller.modbus.raw_blocks import ReadSpan
from controller.modbus.read_plan import TABLES, Interval, Row, forbidden, merged, occupied
from controller.modbus.register_map import READ_FUNCTIONS, RegisterMap
from controller.modbus.registers import WIRE, Decoded, Words, register_type
from controller.modbus.row_decoder import WordFields, shaped
from controller.modbus.sunspec_image import SunSpecImage
from controller.plant.device_types import DeviceType, RegisterPlace, RegisterTable

HOLDING = READ_FUNCTIONS[RegisterTable.HOLDING]
COIL = READ_FUNCTIONS[RegisterTable.COIL]


class RegisterImage:
    """`words` are `[devices, words]` as on the wire, `bits` are `[devices, bits]`; both may be disturbed by faults.

    `columns` are the words of a signal (high word first, element after element) or its bits, `factor_columns` the words
    of its SunSpec scale factors, one per element, None if it has none.
    """

    def __init__(self, register_map: RegisterMap, devices: int, sunspec: SunSpecImage | None = None) -> None:
        """Lay out the image; registers begin at 0, those of a SunSpec device as `sunspec` has them.

        `sunspec` must be the chain that the map was compiled with.
        """
        self.map = register_map
        self._areas = tuple(_areas(register_map, sunspec))
        row = Row(self._areas)
        bit_count = sum(8 * a.size_bytes for a in self._areas if a.function in BIT_READS)
        self._bits_from = 16 * row.word_count
        self.words: Words = np.zeros((devices, row.word_count), WIRE)
        self.bits: NDArray[np.uint8] = np.zeros((devices, bit_count), np.uint8)
        self.columns = {
            f.signal.name: row.bits(f) - self._bits_from if f.is_bits else row.words(f)
            for f in register_map.fields.values()
        }
        self.factor_columns = {f.signal.name: row.factors(f) for f in register_map.fields.values() if not f.is_bits}
        self._decoders = {f.signal.name: WordFields([f], row) for f in register_map.fields.values() if not f.is_bits}
        self._write_constants(sunspec)

    def put(self, signal: str, values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """Write a signal of all devices: `[devices, instances]`, for cells and sensors `[..., elements]`.

        Raises EncodeError if a SunSpec scale factor is not set, KeyError if the map has no such signal.
        """
        field, columns = self.map.fields[signal], self.columns[signal]
        flat = values.reshape(len(self.words), -1)
        flat_valid = None if valid is None else valid.reshape(flat.shape)
        if field.is_bits:
            self.bits[:, columns] = raw_whole(field, flat, flat_valid).values
            return
        factors = self.factor_columns[signal]
        found = encode_field(field, flat, flat_valid, None if factors is None else self.words[:, factors])
        self.words[:, columns] = found

    def get(self, signal: str) -> Decoded:
        """Return a signal of all devices as the driver would decode it: what a controller has written, for one."""
        field = self.map.fields[signal]
        if field.is_bits:
            raw = self.bits[:, self.columns[signal]].astype(np.int64)
            return shaped(field, canonical(field, Decoded(raw, np.ones(raw.shape, np.bool_))))
        return self._decoders[signal].decode(self.words)[signal]

    def read(self, device: int, function: int, address: int, count: int) -> bytes | None:
        """Return registers (or packed bits) as on the wire, or None if one of them does not exist."""
        start = self.position(function, address, count)
        if start is None:
            return None
        if function in BIT_READS:
            return np.packbits(self.bits[device, start : start + count], bitorder="little").tobytes()
        return self.words[device, start : start + count].tobytes()

    def write_registers(self, device: int, address: int, data: bytes) -> bool:
        """Write holding registers as they came; False, and nothing written, if one of them does not exist."""
        start = self.position(HOLDING, address, len(data) // 2)
        if start is None:
            return False
        self.words[device, start : start + len(data) // 2] = np.frombuffer(data, WIRE)
        return True

    def write_coils(self, device: int, address: int, count: int, data: bytes) -> bool:
        """Write packed coils as they came; False, and nothing written, if one of them does not exist."""
        start = self.position(COIL, address, count)
        if start is None:
            return False
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        self.bits[device, start : start + count] = unpacked
        return True

    def position(self, function: int, address: int, count: int) -> int | None:
        """Return where an address lies in `words` or `bits`, if that many are there from it on."""
        for area in self._areas:
            if area.function == function and area.address <= address <= area.address + area.count - count:
                offset = address - area.address
                if function in BIT_READS:
                    return 8 * area.offset_bytes - self._bits_from + offset
                return area.offset_bytes // 2 + offset
        return None

    def _write_constants(self, sunspec: SunSpecImage | None) -> None:
        identity, check = self.map.device_type.identity, identity_check(self.map.device_type)
        if sunspec is not None:
            self._write_all(HOLDING, sunspec.base, sunspec.words.tobytes())
        if identity is not None and check is not None:
            self._write_all(READ_FUNCTIONS[identity.place.table], identity.place.address, check.expected)

    def _write_all(self, function: int, address: int, data: bytes) -> None:
        start = self.position(function, address, len(data) // 2)
        assert start is not None, "every constant has its area"
        self.words[:, start : start + len(data) // 2] = np.frombuffer(data, WIRE)


def _areas(register_map: RegisterMap, sunspec: SunSpecImage | None) -> Iterator[ReadSpan]:
    """Yield what the device serves, as spans of one row."""
    device_type = register_map.device_type
    if register_map.chain != (sunspec.chain if sunspec else ()):
        raise DeviceMapError(f"{device_type.name}: the image's chain of models is not the map's")
    offset_bytes = 0
    for table in TABLES:
        fields = (f for f in register_map.fields.values() if f.table is table)
        intervals = sorted([*occupied(fields), *_constants(device_type, table, sunspec)])
        for first, end in merged(intervals, ADDRESSES, device_type.max_gap_registers, forbidden(device_type, table)):
            area = ReadSpan(READ_FUNCTIONS[table], first, end - first, offset_bytes)
            offset_bytes += area.size_bytes
            yield area


def _constants(device_type: DeviceType, table: RegisterTable, sunspec: SunSpecImage | None) -> Iterator[Interval]:
    """Yield what is served beside the signals: the identity, the set-up, the chain of models."""
    identity = device_type.identity
    if identity is not None and identity.place.table is table:
        yield identity.place.address, identity.place.address + register_type(identity.register_type).words
    for setup in device_type.setup:
        if isinstance(setup.place, RegisterPlace) and setup.place.table is table:
            yield setup.place.address, setup.place.address + register_type(setup.register_type).words
    if sunspec is not None and table is RegisterTable.HOLDING:
        yield sunspec.base, sunspec.base + sunspec.words.size
