"""What is asked of the converters in the end: clipped by protection last, written only when it changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.converters import PcsStatus
from controller.control.inputs import ProtectionOrders
from controller.control.mismatch import MismatchFindings
from controller.control.power import PowerResult
from controller.control.state import ControlState
from controller.image.outputs import Requests, WriteState
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]

SMALLEST_CHANGE_RATIO = 1e-4
"""Of the rating: smaller moves are not worth a write. Zero and a change of direction always are."""


def ask_converters(
    arrays: PlantArrays,
    state: ControlState,
    protection: ProtectionOrders,
    status: PcsStatus,
    power: PowerResult,
    findings: MismatchFindings,
) -> None:
    """Put the commands into the output image. Protection has the last word, whatever was computed before."""
    forbidden = status.stop | protection.bus_zero[arrays.pcs_bus]
    memory = state.pcs
    memory.command_w = np.where(forbidden, 0.0, power.pcs_active_w)
    memory.command_var = np.where(status.stop, 0.0, power.pcs_reactive_var)
    line = state.outputs["pcs.active_power_setpoint"]
    _ask(line, memory.command_w, arrays.pcs_power_w)
    _ask(state.outputs["pcs.reactive_power_setpoint"], memory.command_var, arrays.pcs_apparent_va)
    if findings.repeat_command.any():
        for index in np.flatnonzero(findings.repeat_command).tolist():
            line.repeat(index, float(line.value[index]))


def _ask(line: Requests, wanted: FloatArray, rated: FloatArray) -> None:
    moved = np.abs(wanted - line.value) > SMALLEST_CHANGE_RATIO * rated
    to_zero = (wanted == 0.0) & (line.value != 0.0)
    for index in np.flatnonzero(moved | to_zero | (line.issue == 0)).tolist():
        line.ask(index, float(wanted[index]))


def clear_reset_requests(state: ControlState) -> None:
    """Take back confirmed reset requests, so that the next one is a change for devices that look at edges."""
    for name in ("rack.reset_request", "bank.reset_request", "pcs.reset_request"):
        line = state.outputs[name]
        done = (line.value != 0.0) & (line.state == WriteState.CONFIRMED)
        if done.any():
            for index in np.flatnonzero(done).tolist():
                line.ask(index, 0.0)
