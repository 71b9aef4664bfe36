"""The catalogue of quantities that the image holds: measured signals first, then what the controller computes.

Each quantity has an owner (its first axis), a unit and a stored type. The order here is the order in memory, so that
the measured part is one contiguous prefix of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.plant.signals import SIGNALS, Owner, Signal, SignalForm


class Section(StrEnum):
    """Parts of the image that change at different rates: each scan, or only when cells were read."""

    RACKS = "racks"
    CELLS = "cells"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity. `dtype` as numpy writes it, little-endian; `per_cell` values share one time per rack."""

    name: str
    owner: Owner
    unit: str
    dtype: str
    measured: bool

    @property
    def per_cell(self) -> bool:
        """Whether the second axis is cells or sensors."""
        return self.owner in {Owner.CELL, Owner.SENSOR}

    @property
    def section(self) -> Section:
        """The part of the image it lies in."""
        return Section.CELLS if self.per_cell else Section.RACKS


_DTYPES = {
    SignalForm.QUANTITY: "<f8",
    SignalForm.CODE: "<i4",
    SignalForm.BITS: "<u4",
    SignalForm.BOOL: "u1",
    SignalForm.COUNT: "<u4",
}


def _measured(signal: Signal) -> Quantity:
    per_cell = signal.owner in {Owner.CELL, Owner.SENSOR}
    dtype = "<f4" if per_cell and signal.form is SignalForm.QUANTITY else _DTYPES[signal.form]
    return Quantity(signal.name, signal.owner, signal.unit, dtype, measured=True)


def _number(name: str, unit: str) -> Quantity:
    return Quantity(name, Owner(name.split(".", maxsplit=1)[0]), unit, "<f8", measured=False)


def _code(name: str) -> Quantity:
    return Quantity(name, Owner(name.split(".", maxsplit=1)[0]), "", "<i4", measured=False)


def _yes_no(name: str) -> Quantity:
    return Quantity(name, Owner(name.split(".", maxsplit=1)[0]), "", "u1", measured=False)


def _count(name: str) -> Quantity:
    return Quantity(name, Owner(name.split(".", maxsplit=1)[0]), "", "<u4", measured=False)


MEASURED: tuple[Quantity, ...] = tuple(_measured(s) for s in SIGNALS.values() if not s.command)

POWER_HORIZONS = ("2s", "10s", "30s", "15min")
"""How long a rack's power must last; as names say it."""

COMPUTED: tuple[Quantity, ...] = (
    # estimation of a rack
    _number("rack.soc_estimate", "ratio"),
    _number("rack.soc_estimator", "ratio"),
    _number("rack.soc_low", "ratio"),
    _number("rack.soc_high", "ratio"),
    _number("rack.soh_estimate", "ratio"),
    _number("rack.soh_low", "ratio"),
    _number("rack.soh_high", "ratio"),
    _number("rack.capacity", "Ah"),
    _number("rack.resistance", "ohm"),
    _number("rack.energy_to_empty", "Wh"),
    _number("rack.energy_to_full", "Wh"),
    _number("rack.anchor_age", "s"),
    _number("rack.core_temperature", "degC"),
    _number("rack.resistance_at_25", "ohm"),
    _number("rack.soh_resistance", "ratio"),
    _number("rack.soh_resistance_low", "ratio"),
    _number("rack.soh_resistance_high", "ratio"),
    *(_number(f"rack.{way}_power_{horizon}", "W") for way in ("discharge", "charge") for horizon in POWER_HORIZONS),
    _number("rack.remaining_life_low", "d"),
    _number("rack.remaining_life_high", "d"),
    _number("rack.current_gain_error", "ratio"),
    _number("rack.current_gain_error_low", "ratio"),
    _number("rack.current_gain_error_high", "ratio"),
    # warranty counters of a rack; bins by their upper edges in points and degC
    _number("rack.charge_out", "Ah"),
    _number("rack.charge_in", "Ah"),
    _number("rack.energy_out", "Wh"),
    _number("rack.energy_in", "Wh"),
    _number("rack.full_cycles", "ratio"),
    _number("rack.full_cycles_bms", "ratio"),
    _number("rack.uncounted_time", "s"),
    *(_number(f"rack.time_at_soc_{k}", "s") for k in range(6)),
    *(_number(f"rack.time_at_soc_bms_{k}", "s") for k in range(6)),
    *(_number(f"rack.time_at_temperature_{k}", "s") for k in range(6)),
    # protection and control of a rack
    _number("rack.power", "W"),
    _number("rack.data_age", "s"),
    _number("rack.charge_current_allowed", "A"),
    _number("rack.discharge_current_allowed", "A"),
    _code("rack.operating_state"),
    _code("rack.trip_cause"),
    _code("rack.limit_reason"),
    _code("rack.alarm_priority"),
    _yes_no("rack.trip_latched"),
    _yes_no("rack.any_trip"),
    _yes_no("rack.contactor_closed"),
    _yes_no("rack.available"),
    _yes_no("rack.locked_out"),
    # bus
    _number("bus.voltage", "V"),
    _number("bus.charge_power_allowed", "W"),
    _number("bus.discharge_power_allowed", "W"),
    _code("bus.limit_reason"),
    # pcs
    _number("pcs.active_power_command", "W"),
    _number("pcs.reactive_power_command", "var"),
    _number("pcs.charge_power_allowed", "W"),
    _number("pcs.discharge_power_allowed", "W"),
    _code("pcs.operating_state"),
    _code("pcs.sequence_state"),
    _code("pcs.limit_reason"),
    _code("pcs.limit_cause"),
    _code("pcs.alarm_priority"),
    _yes_no("pcs.available"),
    # block
    _number("block.active_power", "W"),
    _number("block.soc", "ratio"),
    _code("block.operating_state"),
    _count("block.racks_connected"),
    # plant, type by type: at the POI, what can be had, set-points and limits; codes; counts
    _number("plant.active_power", "W"),
    _number("plant.reactive_power", "var"),
    _number("plant.apparent_power", "VA"),
    _number("plant.power_factor", "ratio"),
    _number("plant.frequency", "Hz"),
    _number("plant.voltage", "V"),
    _number("plant.pcs_power", "W"),
    _number("plant.auxiliary_power", "W"),
    _number("plant.energy_out", "Wh"),
    _number("plant.energy_in", "Wh"),
    _number("plant.discharge_power_available", "W"),
    _number("plant.charge_power_available", "W"),
    _number("plant.discharge_power_sustained_15min", "W"),
    _number("plant.charge_power_sustained_15min", "W"),
    _number("plant.discharge_power_sustained_60min", "W"),
    _number("plant.charge_power_sustained_60min", "W"),
    _number("plant.energy_to_discharge", "Wh"),
    _number("plant.energy_to_charge", "Wh"),
    _number("plant.soc", "ratio"),
    _number("plant.soc_installed", "ratio"),
    _number("plant.soh", "ratio"),
    _number("plant.active_power_setpoint", "W"),
    _number("plant.reactive_power_setpoint", "var"),
    _number("plant.active_power_accepted", "W"),
    _number("plant.reactive_power_accepted", "var"),
    _number("plant.active_power_in_effect", "W"),
    _number("plant.reactive_power_in_effect", "var"),
    _number("plant.setpoint_remaining", "s"),
    _number("plant.active_setpoint_remaining", "s"),
    _number("plant.reactive_setpoint_remaining", "s"),
    _number("plant.export_limit", "W"),
    _number("plant.import_limit", "W"),
    _number("plant.export_limit_remaining", "s"),
    _code("plant.operating_state"),
    _code("plant.sequence_state"),
    _code("plant.mode"),
    _code("plant.control_owner"),
    _code("plant.limit_reason"),
    _code("plant.limit_cause"),
    _code("plant.time_quality"),
    _code("plant.setpoint_source"),
    _code("plant.alarm_priority"),
    _count("plant.racks_installed"),
    _count("plant.racks_connected"),
    _count("plant.racks_available"),
    _count("plant.active_alarms"),
    _count("plant.unacknowledged_alarms"),
    _count("plant.alarm_changes"),
    _count("plant.heartbeat"),
    _count("plant.scada_heartbeat"),
    _count("plant.map_version"),
    _yes_no("plant.tripped"),
    # the scan itself
    _count("plant.scan_count"),
    _count("plant.scan_overruns"),
    _number("plant.scan_lateness_p50", "s"),
    _number("plant.scan_lateness_p99", "s"),
    _number("plant.scan_lateness_p999", "s"),
    _number("plant.scan_lateness_max", "s"),
)

QUANTITIES: dict[str, Quantity] = {q.name: q for q in (*MEASURED, *COMPUTED)}
