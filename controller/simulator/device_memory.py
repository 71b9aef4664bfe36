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
from controller.modbus.registers import WIRE, text_registers
from controller.modbus.sunspec_image import SunSpecImage

SCALE_FACTORS = {
    **dict.fromkeys(("V_SF", "A_SF", "AMax_SF", "Tmp_SF", "ModTmp_SF"), -1),
    **dict.fromkeys(("SoC_SF", "SoH_SF", "DoD_SF", "Pct_SF"), -2),
    **dict.fromkeys(("CellV_SF", "PF_SF", "Hz_SF"), -3),
}
POWER_SCALE_FACTORS = frozenset({"W_SF", "VA_SF", "Var_SF", "WChaDisChaMax_SF", "WHRtg_SF", "WMaxRtg_SF"})
INT16_MAX = 32767

SERIAL_OFFSET, SERIAL_WORDS = 50, 16
"""Where `SN` stands in SunSpec model 1, counted from its ID register."""


def device_memory(register_map: RegisterMap, devices: int, rating_w: float) -> RegisterImage:
    """Return the image of so many devices; `rating_w` chooses the scale factors of powers."""
    sunspec = _sunspec_image(register_map, rating_w) if register_map.device_type.sunspec_models else None
    return RegisterImage(register_map, devices, sunspec)


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


def _sunspec_image(register_map: RegisterMap, rating_w: float) -> SunSpecImage:
    """Return the chain with its head, its texts and every scale factor that fits what is to be shown."""
    device_type = register_map.device_type
    image = SunSpecImage(expected_models(device_type, register_map.instances))
    image.put_text(1, "Mn", device_type.maker[:32])
    image.put_text(1, "Md", device_type.name[:32])
    image.put_text(1, "SN", "SIMULATED")
    for served in image.fields:
        point = served.field.point
        if point.kind.name == "sunssf":
            image.put(served.model, served.field.path, _scale_factor(point.name, rating_w), served.occurrence)
    return image


def _scale_factor(name: str, rating_w: float) -> int:
    """Return a scale factor by the name of its point: fine where the range allows, coarse enough for the rating."""
    if name in POWER_SCALE_FACTORS:
        return max(0, math.ceil(math.log10(1.5 * rating_w / INT16_MAX)))
    return SCALE_FACTORS.get(name, 0)
