"""Do instrument transformers fit what they measure: ratios the right way round, sized for the plant's current."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, error, warning
from controller.plant.model import Meter, MeterRole

CT_OVERLOAD = 1.2
"""IEC 61869-2: a current transformer carries 120 % of its rating and keeps its class."""
CT_FAR_TOO_LARGE = 10.0
VT_TOLERANCE = 0.10
_SECONDARY_A = (1.0, 5.0)
_SECONDARY_V = (50.0, 250.0)
_AT_POI = (MeterRole.POI_CONTROL, MeterRole.POI_REVENUE)


def _ends(context: CheckContext, meter: Meter, key: str) -> tuple[float, float] | None:
    """Return primary and secondary as written, None where the meter has no such transformer."""
    text = context.document.text_at((*context.loc("meters", meter.index), key, "ratio"))
    found = re.findall(r"[0-9]+(?:\.[0-9]+)?", text)
    return (float(found[0]), float(found[1])) if len(found) == 2 else None


def current_transformers_fit(context: CheckContext) -> Iterator[Message]:
    """A current transformer has a usual secondary and, at the POI, bears the plant's current without hiding it."""
    poi = context.plant.poi
    for meter in context.plant.meters:
        ends = _ends(context, meter, "ct")
        if ends is None:
            continue
        place = context.place("meters", meter.index, "ct", "ratio")
        if ends[1] not in _SECONDARY_A:
            hint = f"write {ends[1]:g}/{ends[0]:g}" if ends[0] in _SECONDARY_A else ""
            message = f"the current transformer of {meter.name} has a secondary of {ends[1]:g} A"
            yield error(place, message, "primary/secondary with 1 A or 5 A, such as 600/5", hint)
            continue
        plant_a = poi.apparent_va / (math.sqrt(3.0) * meter.voltage_v)
        if meter.role not in _AT_POI or not _near(meter.voltage_v, poi.voltage_v):
            continue
        message = f"{meter.name} has a current transformer for {ends[0]:g} A; the plant's"
        message += f" {quantity(poi.apparent_va, 'VA')} at {quantity(meter.voltage_v, 'V')} are {number(plant_a, 3)} A"
        if plant_a > ends[0] * CT_OVERLOAD:
            yield error(place, message, f"a primary of at least {number(plant_a / CT_OVERLOAD)} A")
        elif ends[0] > plant_a * CT_FAR_TOO_LARGE:
            expected = f"a primary below {number(plant_a * CT_FAR_TOO_LARGE)} A:"
            expected += " a tenfold one is a slip, or measures noise"
            yield error(place, message, expected)


def voltage_transformers_fit(context: CheckContext) -> Iterator[Message]:
    """A voltage transformer's primary is the voltage that the meter is said to measure."""
    for meter in context.plant.meters:
        ends = _ends(context, meter, "vt")
        if ends is None:
            continue
        place = context.place("meters", meter.index, "vt", "ratio")
        if not _SECONDARY_V[0] <= ends[1] <= _SECONDARY_V[1]:
            hint = f"write {ends[1]:g}/{ends[0]:g}" if _SECONDARY_V[0] <= ends[0] <= _SECONDARY_V[1] else ""
            message = f"the voltage transformer of {meter.name} has a secondary of {ends[1]:g} V"
            yield error(place, message, "primary/secondary in V, such as 33000/110", hint)
        elif not _near(ends[0], meter.voltage_v) and not _near(ends[0] * math.sqrt(3.0), meter.voltage_v):
            message = f"the voltage transformer of {meter.name} is for {quantity(ends[0], 'V')},"
            message += f" but it measures {quantity(meter.voltage_v, 'V')}"
            also = [context.place("meters", meter.index, "voltage")]
            yield error(place, message, f"a primary of {number(meter.voltage_v)} V", see_also=also)


def meters_at_the_poi_have_its_voltage(context: CheckContext) -> Iterator[Message]:
    """The loops close on a meter that sees the voltage that was contracted."""
    poi = context.plant.poi
    for meter in context.plant.meters:
        if meter.role is MeterRole.POI_CONTROL and not _near(meter.voltage_v, poi.voltage_v):
            message = f"{meter.name} measures {quantity(meter.voltage_v, 'V')}, the POI has"
            message += f" {quantity(poi.voltage_v, 'V')}"
            also = [context.at("site", "poi", "voltage")]
            place = context.place("meters", meter.index, "voltage")
            yield warning(place, message, "a meter at the POI's voltage", see_also=also)


def _near(one_v: float, other_v: float) -> bool:
    return abs(one_v - other_v) <= VT_TOLERANCE * other_v


METER_CHECKS = (current_transformers_fit, voltage_transformers_fit, meters_at_the_poi_have_its_voltage)
