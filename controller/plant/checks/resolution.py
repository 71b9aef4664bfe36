"""How far apart two values of a register are: too far, and what is watched can't be told from what is not."""

from __future__ import annotations

from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.working_ranges import Working, working_ranges
from controller.plant.device_types import DevicePoint, DeviceType
from controller.plant.figures import number, quantity, span
from controller.plant.messages import Message, error, warning
from controller.plant.signals import SignalForm
from controller.plant.yaml_tree import Document

COARSEST: dict[str, float] = {
    "cell.voltage": 0.2,
    "rack.cell_voltage_max": 0.2,
    "rack.cell_voltage_min": 0.2,
    "cell.temperature": 2.5,
    "rack.cell_temperature_max": 2.5,
    "rack.cell_temperature_min": 2.5,
    "rack.voltage": 20.0,
    "rack.current": 20.0,
    "rack.soc": 0.05,
    "rack.soh": 0.05,
    "rack.insulation_resistance": 100e3,
    "pcs.frequency": 0.1,
    "pcs.temperature": 5.0,
    "pcs.watchdog_timeout": 5.0,
    "pcs.watchdog_timeout_setting": 5.0,
    "meter.frequency": 0.1,
    "meter.power_factor": 0.05,
}
"""The coarsest step, in base units, with which a signal is of any use at any plant."""

SCALES = 1e-9, 1e9
"""Between these a scale is one that somebody meant."""

STEPS_NEEDED: dict[str, int] = {
    "cell.voltage": 25,
    "rack.cell_voltage_max": 25,
    "rack.cell_voltage_min": 25,
    "rack.voltage": 25,
    "rack.current": 100,
    "pcs.active_power": 100,
    "pcs.active_power_setpoint": 100,
    "pcs.dc_voltage": 25,
    "pcs.dc_current": 100,
    "pcs.discharge_power_limit": 50,
    "pcs.charge_power_limit": 50,
    "pcs.ac_voltage": 25,
    "meter.active_power": 100,
    "meter.voltage": 25,
    "meter.apparent_power": 50,
    "meter.current": 50,
}
"""Into how many steps a working range must at least be parted."""

STEPS_WANTED = dict.fromkeys(("cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min"), 100)
"""What estimation wants to tell of a cell."""

_HAIR = 1 + 1e-9


def steps_are_fine_enough(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A scale is one that can be meant, and its step is of use at any plant."""
    for point in device_type.points:
        name = point.signal.name
        if point.scale and not SCALES[0] <= abs(point.scale) <= SCALES[1]:
            place = document.place_of(("points", name, "scale"))
            written = document.text_at(("points", name, "scale"))
            yield error(place, f"{name} has scale {written}: that can't be meant", "such as scale: 0.1")
        elif point.step > COARSEST.get(name, float("inf")) * _HAIR:
            place = document.place_of(("points", name, _key(name, document)))
            expected = f"steps of {_shown(COARSEST[name], point)} or finer"
            message = f"{name} is read in steps of {_shown(point.step, point)}: too coarse for what it is for"
            yield error(place, message, expected, _hint(point))


def steps_fit_this_site(context: CheckContext) -> Iterator[Message]:
    """What the equipment of this site reaches is parted into enough steps."""
    for working in working_ranges(context):
        point = working.device_type.point(working.signal)
        if point is None or point.signal.form is not SignalForm.QUANTITY:
            continue
        step, whole, name = point.step, working.high - working.low, working.signal
        needed, wanted = STEPS_NEEDED.get(name, 0), STEPS_WANTED.get(name, 0)
        if step * needed > whole * _HAIR:
            yield _coarse(context, working, point, needed)
        elif step * wanted > whole * _HAIR:
            yield _coarse(context, working, point, wanted, only_warn=True)


def _coarse(
    context: CheckContext, working: Working, point: DevicePoint, steps: int, *, only_warn: bool = False
) -> Message:
    document = context.device_document(working.device_type)
    place = document.place_of(("points", working.signal, _key(working.signal, document)))
    message = f"{working.signal} of {working.device_type.name} is read in steps of {_shown(point.step, point)},"
    message += f" but {working.of} works from {span(working.low, working.high, point.signal.unit)}"
    expected = f"steps of {_shown((working.high - working.low) / steps, point)} or finer"
    return (warning if only_warn else error)(place, message, expected, _hint(point))


def _key(name: str, document: Document) -> str:
    """Return the key that makes the step: the scale, if one is written."""
    return "scale" if document.text_at(("points", name, "scale")) else "unit"


def _hint(point: DevicePoint) -> str:
    scale = (
        f"scale {number(point.scale)} and unit {point.unit}"
        if point.scale != 1.0
        else f"unit {point.unit} and no scale"
    )
    return f"the file says {scale}: compare it with the maker's list, and with a value that is known"


def _shown(limit: float, point: DevicePoint) -> str:
    """Return a step in the unit that people use for the signal."""
    match point.signal.unit:
        case "ratio":
            return f"{number(100 * limit, 3)} %"
        case "degC":
            return quantity(limit, "K", 3)
        case unit:
            return quantity(limit, unit, 3)


RESOLUTION_CHECKS = (steps_fit_this_site,)
