"""What control returns from a scan, and under which names the image publishes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.commands import Reply
from controller.control.desk import Forwarded
from controller.control.events import Event
from controller.control.limits.poi import Clip
from controller.control.uncontrolled import Uncontrolled
from controller.image.masks import anywhere
from controller.image.outputs import OutputImage
from controller.image.quality import WORST_USABLE, Quality

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
CodeArray = NDArray[np.int32]
Published = tuple[str, Any, Any]


class RackResult(NamedTuple):
    """Racks [R]; every field is the quantity `rack.<field without its unit>`."""

    power_w: FloatArray
    data_age_s: FloatArray
    charge_current_allowed_a: FloatArray
    discharge_current_allowed_a: FloatArray
    operating_state: CodeArray
    limit_reason: CodeArray
    contactor_closed: BoolArray
    available: BoolArray
    locked_out: BoolArray


class BusResult(NamedTuple):
    """Buses [B]."""

    voltage_v: FloatArray
    charge_power_allowed_w: FloatArray
    discharge_power_allowed_w: FloatArray
    limit_reason: CodeArray


class PcsResult(NamedTuple):
    """Converters [P]."""

    active_power_command_w: FloatArray
    reactive_power_command_var: FloatArray
    charge_power_allowed_w: FloatArray
    discharge_power_allowed_w: FloatArray
    operating_state: CodeArray
    sequence_state: CodeArray
    limit_reason: CodeArray
    limit_cause: CodeArray  # `cause_of`
    available: BoolArray


class BlockResult(NamedTuple):
    """Blocks [K]."""

    active_power_w: FloatArray
    soc_ratio: FloatArray
    operating_state: CodeArray
    racks_connected: NDArray[np.int64]


class PlantResult(NamedTuple):
    """The plant; NaN = unknown."""

    active_power_w: float
    reactive_power_var: float
    apparent_power_va: float
    power_factor_ratio: float
    frequency_hz: float
    voltage_v: float
    pcs_power_w: float
    auxiliary_power_w: float
    energy_out_wh: float
    energy_in_wh: float
    discharge_power_available_w: float
    charge_power_available_w: float
    discharge_power_sustained_15min_w: float
    charge_power_sustained_15min_w: float
    discharge_power_sustained_60min_w: float
    charge_power_sustained_60min_w: float
    energy_to_discharge_wh: float
    energy_to_charge_wh: float
    soc_ratio: float
    soc_installed_ratio: float
    soh_ratio: float
    active_power_setpoint_w: float
    reactive_power_setpoint_var: float
    active_power_accepted_w: float
    reactive_power_accepted_var: float
    active_power_in_effect_w: float
    reactive_power_in_effect_var: float
    setpoint_remaining_s: float  # of the one that leads
    active_setpoint_remaining_s: float
    reactive_setpoint_remaining_s: float
    export_limit_w: float
    import_limit_w: float
    export_limit_remaining_s: float
    operating_state: int
    sequence_state: int
    mode: int
    control_owner: int
    limit_reason: int
    limit_cause: int  # `cause_of`
    setpoint_source: int
    racks_installed: int
    racks_connected: int
    racks_available: int
    scada_heartbeat: int
    tripped: bool


class ControlResult(NamedTuple):
    """Everything of one scan, each value with its quality (`qualities`)."""

    racks: RackResult
    buses: BusResult
    pcs: PcsResult
    blocks: BlockResult
    plant: PlantResult
    quality: Mapping[str, NDArray[np.uint8]]  # of everything above but the plant's values, by quantity
    plant_quality: NDArray[np.uint8]  # in the order of `PlantResult`
    outputs: OutputImage
    withhold_heartbeat: BoolArray  # [P] converters that do not stop, or are lost: their own watchdogs shall act
    conditions: Mapping[str, BoolArray]
    condition_values: Mapping[str, float]  # what an alarm of that condition shows
    controlled_w: float  # what the converters that take commands were to give in sum
    uncontrolled: Uncontrolled
    active_clips: tuple[Clip, ...]
    reactive_clips: tuple[Clip, ...]
    replies: tuple[Reply, ...]
    forwarded: Forwarded
    events: tuple[Event, ...]


_UNITS = ("_w", "_var", "_va", "_wh", "_a", "_v", "_s", "_hz", "_ratio")


def _quantity(owner: str, name: str) -> str:
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if name.endswith(u)), "")
    return f"{owner}.{name.removesuffix(unit)}"


_NAMES = {
    owner: tuple((name, _quantity(owner, name)) for name in kind._fields)
    for owner, kind in (
        ("rack", RackResult),
        ("bus", BusResult),
        ("pcs", PcsResult),
        ("block", BlockResult),
        ("plant", PlantResult),
    )
}


PLANT_QUANTITIES = tuple(quantity for _, quantity in _NAMES["plant"])
"""What the fields of `PlantResult` are, in their order."""


def published(result: ControlResult) -> Iterator[Published]:
    """Yield (quantity, value, quality) of all that control computes for equipment, as arrays."""
    published_of: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("rack", result.racks),
        ("bus", result.buses),
        ("pcs", result.pcs),
        ("block", result.blocks),
    )
    for owner, values in published_of:
        for (_, quantity), value in zip(_NAMES[owner], values, strict=True):
            quality = result.quality[quantity]
            yield quantity, value, _where_known(value, quality) if quantity in _MAY_BE_UNKNOWN else quality


def plant_quality(result: ControlResult, numbers: FloatArray) -> NDArray[np.uint8]:
    """Return the quality of the plant's values, those of `PLANT_QUANTITIES` from the first on, given as numbers."""
    return _where_known(numbers, result.plant_quality)


_MAY_BE_UNKNOWN = frozenset({"rack.power", "rack.data_age", "bus.voltage", "block.active_power", "block.soc"})
_UNKNOWN = np.uint8(Quality.DEVICE_FAILURE)
_WORST_USABLE = np.uint8(WORST_USABLE)


def _where_known(value: NDArray[Any], quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What could not be computed is never usable."""
    unknown = np.isnan(value)
    return np.where(unknown & (quality <= _WORST_USABLE), _UNKNOWN, quality) if anywhere(unknown) else quality
