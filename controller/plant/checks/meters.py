"""Do instrument transformers fit what they measure: ratios the right way round, sized for the plant's current."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.ratings import poi_is_alone
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, error, warning
from controller.plant.model import Meter
from controller.plant.ratios import Plate, read_plate

CT_OVERLOAD = 1.2
"""IEC 61869-2: a current transformer carries 120 % of its rating and keeps its class."""
CT_FAR_TOO_LARGE = 10.0
VT_TOLERANCE, VT_ALIKE_RATIO = 0.10, 0.05
POI_TOLERANCE = 0.05
_SECONDARY_A = (1.0, 5.0)
_SECONDARY_V = (50.0, 250.0)


def _plate(context: CheckContext, meter: Meter, key: str) -> Plate | None:
    """Return what the plate of a meter's transformer says, None where it has no such transformer."""
    return read_plate(context.document.text_at((*context.loc("meters", meter.index), key, "ratio")))


def current_transformers_fit(context: CheckContext) -> Iterator[Message]:
    """A current transformer has a usual secondary and, at the POI, bears the plant's current without hiding it."""
    poi = context.plant.poi
    for meter in context.plant.meters:
        plate = _plate(context, meter, "ct")
        if plate is None:
            continue
        ends = (plate.primary, plate.secondary)
        place = context.place("meters", meter.index, "ct", "ratio")
        if ends[1] not in _SECONDARY_A:
            hint = f"write {ends[1]:g}/{ends[0]:g}" if ends[0] in _SECONDARY_A else ""
            message = f"the current transformer of {meter.name} has a secondary of {ends[1]:g} A"
            yield error(place, message, "primary/secondary with 1 A or 5 A, such as 600/5", hint)
            continue
        plant_a = poi.apparent_va / (math.sqrt(3.0) * meter.voltage_v)
        if not meter.is_at_poi or not _near(meter.voltage_v, poi.voltage_v):
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
    """A voltage transformer's primary is the voltage that the meter is said to measure, between lines or to earth."""
    for meter in context.plant.meters:
        plate = _plate(context, meter, "vt")
        if plate is None:
            continue
        place = context.place("meters", meter.index, "vt", "ratio")
        primary_v, secondary_v = plate.primary, plate.secondary
        off_ratio = min(abs(v / meter.voltage_v - 1.0) for v in _between_lines(plate))
        if not plate.alike:
            message = f"the voltage transformer of {meter.name} has the root of three on one side only"
            yield error(place, message, "on both sides or on none, such as 20000:sqrt3/100:sqrt3 or 20000/100")
        elif not _SECONDARY_V[0] <= secondary_v <= _SECONDARY_V[1]:
            turned = _SECONDARY_V[0] <= primary_v <= _SECONDARY_V[1]
            hint = f"write {number(secondary_v)}/{number(primary_v)}" if turned else ""
            message = f"the voltage transformer of {meter.name} has a secondary of {number(secondary_v)} V"
            yield error(place, message, "primary/secondary in V, such as 33000/110", hint)
        elif off_ratio > VT_ALIKE_RATIO and not _is_told_at_the_poi(context, meter, plate):
            made = error if off_ratio > VT_TOLERANCE else warning
            message = f"the voltage transformer of {meter.name} is for {quantity(primary_v, 'V')},"
            message += f" but it measures {quantity(meter.voltage_v, 'V')}"
            also = [context.place("meters", meter.index, "voltage")]
            yield made(place, message, f"a primary of {number(meter.voltage_v)} V", see_also=also)


def _is_told_at_the_poi(context: CheckContext, meter: Meter, plate: Plate) -> bool:
    """Tell whether a meter's voltage is that of neither the POI nor its own transformer: one mistake, told once."""
    poi_v = context.plant.poi.voltage_v
    return meter.is_at_poi and not _near(meter.voltage_v, poi_v) and any(_near(v, poi_v) for v in _between_lines(plate))


def poi_has_the_voltage_of_its_neighbours(context: CheckContext) -> Iterator[Message]:
    """Where the control meter and the transformers agree on a voltage, the POI's is the wrong one."""
    if not poi_is_alone(context.plant):
        return
    plant = context.plant
    meter = plant.meters[plant.poi.meter]
    message = f"the POI is said to have {quantity(plant.poi.voltage_v, 'V')}, but {meter.name} measures"
    message += f" {quantity(meter.voltage_v, 'V')}, and so has the primary of {plant.transformers[0].name}"
    also = [context.place("meters", meter.index, "voltage"), context.place("transformers", 0, "primary")]
    expected = f"voltage: {quantity(meter.voltage_v, 'V')}"
    yield error(context.at("site", "poi", "voltage"), message, expected, see_also=also)


def meters_at_the_poi_have_its_voltage(context: CheckContext) -> Iterator[Message]:
    """The loops close on a meter that sees the contracted voltage; one behind a transformer is told once."""
    plant, poi = context.plant, context.plant.poi
    if poi_is_alone(plant):
        return
    for meter in (m for m in plant.meters if m.is_at_poi):
        if abs(meter.voltage_v - poi.voltage_v) <= POI_TOLERANCE * poi.voltage_v:
            continue
        place, also = context.place("meters", meter.index, "voltage"), [context.at("site", "poi", "voltage")]
        behind = next((t for t in plant.transformers if _near(meter.voltage_v, t.secondary_v)), None)
        if behind is None:
            message = (
                f"{meter.name} measures {quantity(meter.voltage_v, 'V')} at a POI of {quantity(poi.voltage_v, 'V')}"
            )
            yield error(place, message, "one voltage", see_also=also)
        else:
            message = (
                f"{meter.name} measures {quantity(meter.voltage_v, 'V')}, on the converters' side of {behind.name}:"
            )
            message += " what transformers lose is not in its power, and its voltage is not that of the POI"
            expected = f"a meter at {quantity(poi.voltage_v, 'V')}, if there is one"
            yield warning(place, message, expected, see_also=also)


def _between_lines(plate: Plate) -> tuple[float, ...]:
    """Return which voltages between lines a primary may mean; only one without the root of three leaves it open."""
    to_earth_v = plate.primary * math.sqrt(3.0)
    return (to_earth_v,) if plate.to_earth else (plate.primary, to_earth_v)


def _near(one_v: float, other_v: float) -> bool:
    return abs(one_v - other_v) <= VT_TOLERANCE * other_v


METER_CHECKS = (
    current_transformers_fit,
    voltage_transformers_fit,
    poi_has_the_voltage_of_its_neighbours,
    meters_at_the_poi_have_its_voltage,
)
