"""What is asked of the converters in the end: clipped by protection last, written only when it changes."""

from __future__ import annotations

import numpy as np

from controller.control.inputs import ProtectionOrders
from controller.control.mismatch import MismatchFindings
from controller.control.power import PowerResult
from controller.control.state import ControlState
from controller.control.status import PcsStatus
from controller.image.outputs import Requests, WriteState
from controller.image.plant_arrays import PlantArrays


def ask_converters(
    arrays: PlantArrays,
    state: ControlState,
    protection: ProtectionOrders,
    status: PcsStatus,
    power: PowerResult,
    findings: MismatchFindings,
) -> None:
    """Put the commands into the output image. Protection has the last word, whatever was computed before."""
    stop, zero = status.stop.tolist(), protection.bus_zero[arrays.pcs_bus].tolist()
    active_w = [0.0 if s or z else p for p, s, z in zip(power.pcs_active_w, stop, zero, strict=True)]
    reactive_var = [0.0 if s else q for q, s in zip(power.pcs_reactive_var, stop, strict=True)]
    state.pcs.command_w, state.pcs.command_var = np.array(active_w), np.array(reactive_var)
    line = state.outputs["pcs.active_power_setpoint"]
    _ask(line, active_w, state.relations.pcs_smallest_w)
    _ask(state.outputs["pcs.reactive_power_setpoint"], reactive_var, state.relations.pcs_smallest_w)
    if findings.repeat_command is not None:
        for index in np.flatnonzero(findings.repeat_command).tolist():
            line.repeat(index, float(line.value[index]))


def _ask(line: Requests, wanted: list[float], smallest: list[float]) -> None:
    asked = zip(wanted, line.value.tolist(), line.issue.tolist(), smallest, strict=True)
    for index, (new, old, issue, step) in enumerate(asked):
        if abs(new - old) > step or (new == 0.0 and old != 0.0) or issue == 0:
            line.ask(index, new)


def clear_reset_requests(state: ControlState) -> None:
    """Take back confirmed reset requests, so that the next one is a change for devices that look at edges."""
    for name in ("rack.reset_request", "bank.reset_request", "pcs.reset_request"):
        line = state.outputs[name]
        if _CONFIRMED in line.state.tobytes():
            for index in np.flatnonzero((line.value != 0.0) & (line.state == _CONFIRMED)).tolist():
                line.ask(index, 0.0)


_CONFIRMED = int(WriteState.CONFIRMED)
