"""The register image of simulated devices before anything was measured: who they say they are, how they are scaled.

A SunSpec device serves the models that its file expects, with scale factors that suit the plant; any other device its
identity text.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controller.modbus.device_setup import identity_check
from controller.modbus.pdu import FunctionCode
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import RegisterMap, WireField, expected_models
from controller.modbus.registers import SCALE_FACTOR, WIRE, text_registers
from controller.modbus.sunspec_image import SunSpecImage
from controller.plant.model import Plant

FINEST_SCALE_FACTOR = -3
CONVERTER_POWERS = (
    "active_power",
    "reactive_power",
    "discharge_power_limit",
    "charge_power_limit",
    "active_power_setpoint",
    "reactive_power_setpoint",
)
HEADROOM = 1.2
"""How far beyond its ratings a value must still fit its register."""

SERIAL_OFFSET, SERIAL_WORDS = 50, 16
"""Where `SN` stands in SunSpec model 1, counted from its ID register."""


def device_memory(register_map: RegisterMap, devices: int, plant: Plant) -> RegisterImage:
    """Return the image of so many devices; the plant's ratings choose the scale factors of SunSpec models."""
    if not register_map.device_type.sunspec_models:
        return RegisterImage(register_map, devices)
    memory = RegisterImage(register_map, devices, _sunspec_image(register_map))
    peaks = _peaks(plant)
    wanted: dict[int, int] = {}
    for field in register_map.fields.values():
        columns = memory.factor_columns.get(field.signal.name)
        if columns is not None:
            exponent = _scale_factor(field, peaks.get(field.signal.name, peaks[field.signal.unit]))
            wanted |= {c: max(exponent, wanted.get(c, exponent)) for c in columns.tolist()}
    for column, exponent in wanted.items():
        memory.words[:, column] = exponent & 0xFFFF
    return memory


def put_identity(memory: RegisterImage, row: int, text: str) -> None:
    """Write what a device says it is: its identity register, or a SunSpec device's serial number."""
    check, chain = identity_check(memory.map.device_type), memory.map.chain
    if check is not None:
        function, address, words = check.request.function, check.request.address, check.kind.words
    elif chain:
        function = FunctionCode.READ_HOLDING_REGISTERS
        address, words = chain[0].address + SERIAL_OFFSET, SERIAL_WORDS
    else:
        return
    start = memory.position(function, address, words)
    assert start is not None, "what a device says of itself is served"
    memory.words[row, start : start + words] = np.frombuffer(text_registers(text[: 2 * words], words), WIRE)


def word_places(memory: RegisterImage, field: WireField) -> NDArray[np.intp]:
    """Return the words of a field, [element, word], high word first."""
    return memory.columns[field.signal.name].reshape(-1, field.words)


def scale_factors(memory: RegisterImage, field: WireField) -> NDArray[np.int64] | None:
    """Return the scale factors that a field's elements read with, flat; None if it has none."""
    columns = memory.factor_columns.get(field.signal.name)
    if columns is None:
        return None
    factors: NDArray[np.int64] = memory.words[0, columns].astype(np.uint16).astype(np.int16).astype(np.int64)
    return factors


def _sunspec_image(register_map: RegisterMap) -> SunSpecImage:
    """Return the chain with its head, its texts, and every scale factor at 0."""
    device_type = register_map.device_type
    image = SunSpecImage(expected_models(device_type, register_map.instances))
    image.put_text(1, "Mn", device_type.maker[:32])
    image.put_text(1, "Md", device_type.name[:32])
    image.put_text(1, "SN", "SIMULATED")
    for served in image.fields:
        if served.field.point.kind is SCALE_FACTOR:
            image.put(served.model, served.field.path, 0, served.occurrence)
    return image


def _scale_factor(field: WireField, peak: float) -> int:
    """Return the finest scale factor with which a field still shows its peak."""
    bits = 16 * field.words - (field.kind.dtype[1] == "i")
    raw_peak = float(np.abs(field.scaling.raw(np.array([peak, -peak]))).max()) * HEADROOM
    return max(FINEST_SCALE_FACTOR, math.ceil(math.log10(raw_peak / (2.0**bits - 2.0))))


def _peaks(plant: Plant) -> dict[str, float]:
    """Return the greatest values to be shown, by unit, and by signal where the unit says too little."""
    power_w = max([plant.poi.apparent_va, *(p.apparent_va for p in plant.pcs)])
    converter_va = max((p.apparent_va for p in plant.pcs), default=power_w)
    meter_v = [m.voltage_v for m in plant.meters] or [plant.poi.voltage_v]
    return {
        **dict.fromkeys(("W", "var", "VA"), power_w),
        **{f"pcs.{name}": converter_va for name in CONVERTER_POWERS},
        **dict.fromkeys(("cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min"), 5.0),
        "V": 1600.0,
        "A": 2000.0,
        "ratio": 1.0,
        "degC": 125.0,
        "Hz": 70.0,
        "Wh": 1e9,
        "ohm": 1e7,
        "s": 3600.0,
        "meter.voltage": max(meter_v),
        "meter.current": power_w / min(meter_v),
        "pcs.dc_current": max((p.dc_current_max_a for p in plant.pcs), default=2000.0),
    }
