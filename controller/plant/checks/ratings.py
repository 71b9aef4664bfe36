"""Do the ratings add up: racks against PCS, PCS against transformers and the POI, energy against the contract."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.batteries import energy_is_credible
from controller.plant.checks.context import CheckContext
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, error, one_of, warning
from controller.plant.model import DcBus, Pcs, Plant, Transformer, UnloadsContactors

VOLTAGE_TOLERANCE = 0.05
AMPLE_ENERGY = 2.0
LONGEST_DISCHARGE_H = 100.0
"""Lithium cells last 1 to 10 h, the slowest of other kinds about 100 h."""
AMPLE_TRANSFORMER, ABSURD_TRANSFORMER = 5.0, 50.0
MOST_LOSS = 0.05
FAR_OFF_CURRENT = 4.0
MOST_AUXILIARY = 0.5


def buses_are_whole(context: CheckContext) -> Iterator[Message]:
    """A bus has racks and a PCS."""
    for bus in context.plant.buses:
        for key, found in (("racks", bus.racks), ("pcs", bus.pcs)):
            if not found:
                yield error(context.place("buses", bus.index, key), f"{bus.name} has no {key}", "at least one")


def windows_fit(context: CheckContext) -> Iterator[Message]:
    """A PCS can work at every voltage that the racks of its bus may have."""
    plant = context.plant
    for pcs in plant.pcs:
        low, high = context.place("pcs", pcs.index, "dc", "min"), context.place("pcs", pcs.index, "dc", "max")
        if pcs.dc_voltage_min_v >= pcs.dc_voltage_max_v:
            continue  # `causes` tells it
        for rack in (plant.racks[r] for r in _bus_of(plant, pcs).racks):
            battery = rack.battery
            also = [context.at("batteries", battery.name, "window")]
            if battery.voltage_max_v > pcs.dc_voltage_max_v:
                message = f"{rack.name} reaches {quantity(battery.voltage_max_v, 'V')}, but {pcs.name} bears only"
                message += f" {quantity(pcs.dc_voltage_max_v, 'V')}"
                yield error(high, message, f"dc.max of at least {quantity(battery.voltage_max_v, 'V')}", see_also=also)
            if battery.voltage_min_v < pcs.dc_voltage_min_v:
                message = f"{rack.name} falls to {quantity(battery.voltage_min_v, 'V')}, but {pcs.name} works only from"
                message += f" {quantity(pcs.dc_voltage_min_v, 'V')}"
                yield error(low, message, f"dc.min of at most {quantity(battery.voltage_min_v, 'V')}", see_also=also)


def _bus_of(plant: Plant, pcs: Pcs) -> DcBus:
    return plant.buses[pcs.bus]


def ac_voltage_fits(context: CheckContext) -> Iterator[Message]:
    """A converter can't make an AC peak above its DC voltage."""
    for pcs in context.plant.pcs:
        needed_v = math.sqrt(2.0) * pcs.ac_voltage_v
        if pcs.dc_voltage_min_v < needed_v:
            message = f"{pcs.name} can't make {quantity(pcs.ac_voltage_v, 'V')} AC from"
            message += f" {quantity(pcs.dc_voltage_min_v, 'V')} DC"
            expected = f"dc.min of at least {quantity(math.ceil(needed_v), 'V')}"
            yield error(context.place("pcs", pcs.index, "ac_voltage"), message, expected)


def dc_current_fits(context: CheckContext) -> Iterator[Message]:
    """Full power at the lowest voltage stays within the PCS's DC current; else it derates there."""
    for pcs in context.plant.pcs:
        bus = _bus_of(context.plant, pcs)
        lowest_v = min((context.plant.racks[r].battery.voltage_min_v for r in bus.racks), default=0.0)
        if lowest_v <= 0:
            continue
        needed_a = pcs.power_w / pcs.efficiency_ratio / lowest_v
        if needed_a > pcs.dc_current_max_a:
            message = f"{pcs.name} needs {quantity(needed_a, 'A')} for full power at {quantity(lowest_v, 'V')}"
            expected = f"dc.current of at least {quantity(needed_a, 'A')}, or less power at low voltage"
            made = error if needed_a > FAR_OFF_CURRENT * pcs.dc_current_max_a else warning
            yield made(context.place("pcs", pcs.index, "dc", "current"), message, expected)
        elif pcs.dc_current_max_a > FAR_OFF_CURRENT * needed_a:
            message = f"{pcs.name} is said to bear {quantity(pcs.dc_current_max_a, 'A')} DC; full power at the"
            message += f" lowest voltage of {quantity(lowest_v, 'V')} needs {quantity(needed_a, 'A')}"
            expected = f"dc.current near {quantity(needed_a, 'A')}, as its data sheet has it"
            yield error(context.place("pcs", pcs.index, "dc", "current"), message, expected)


def racks_carry_pcs(context: CheckContext) -> Iterator[Message]:
    """The racks of a bus can carry its converters."""
    plant = context.plant
    for bus in plant.buses:
        rack_w = sum(
            plant.racks[r].battery.discharge_current_max_a * plant.racks[r].battery.voltage_min_v for r in bus.racks
        )
        pcs_w = sum(plant.pcs[p].power_w for p in bus.pcs)
        if bus.racks and bus.pcs and rack_w < pcs_w:
            message = f"the racks of {bus.name} carry {quantity(rack_w, 'W', 3)},"
            message += f" its PCS have {quantity(pcs_w, 'W', 3)}"
            yield warning(context.place("buses", bus.index, "racks"), message, "racks that carry the PCS's power")


def pcs_make_rating(context: CheckContext) -> Iterator[Message]:
    """The converters make the power that the plant is sold as."""
    plant, poi = context.plant, context.plant.poi
    power_w = sum(pcs.power_w for pcs in plant.pcs)
    apparent_va = sum(pcs.apparent_va for pcs in plant.pcs)
    if power_w < poi.power_w * 0.999:
        message = f"the PCS add up to {quantity(power_w, 'W')}, less than the plant's {quantity(poi.power_w, 'W')}"
        yield error(context.at("site", "rating", "power"), message, f"at most {quantity(power_w, 'W')}, or more PCS")
    if apparent_va < poi.apparent_va * 0.999:
        message = f"the PCS add up to {quantity(apparent_va, 'VA')}, less than the plant's"
        message += f" {quantity(poi.apparent_va, 'VA')}"
        yield error(context.at("site", "rating", "apparent"), message, f"at most {quantity(apparent_va, 'VA')}")
    if poi.apparent_va < poi.power_w:
        yield error(context.at("site", "rating", "apparent"), "rating.apparent is below rating.power", "MVA above MW")
    for key, limit_w in (("export_limit", poi.export_limit_w), ("import_limit", poi.import_limit_w)):
        if limit_w > power_w * 1.5:
            message = f"{key} is {quantity(limit_w, 'W')}, but the PCS add up to {quantity(power_w, 'W')}"
            yield warning(context.at("site", "poi", key), message, "a limit near the plant's rating")


def pcs_ratings_make_sense(context: CheckContext) -> Iterator[Message]:
    """MVA is at least MW, and efficiency is what converters have."""
    for pcs in context.plant.pcs:
        if pcs.apparent_va < pcs.power_w:
            place = context.place("pcs", pcs.index, "rating", "apparent")
            yield error(place, f"rating.apparent of {pcs.name} is below its rating.power", "MVA above MW")


def transformers_carry_pcs(context: CheckContext) -> Iterator[Message]:
    """A transformer carries its converters and has their voltage; its other side has the POI's."""
    plant = context.plant
    for transformer in plant.transformers:
        mine = [pcs for pcs in plant.pcs if pcs.transformer == transformer.index]
        apparent_va = sum(pcs.apparent_va for pcs in mine)
        if apparent_va > transformer.apparent_va:
            message = f"{transformer.name} has {quantity(transformer.apparent_va, 'VA')},"
            message += f" its PCS {quantity(apparent_va, 'VA')}"
            place = context.place("transformers", transformer.index, "apparent")
            yield error(place, message, f"at least {quantity(apparent_va, 'VA')}")
        if mine and transformer.apparent_va > AMPLE_TRANSFORMER * apparent_va:
            message = f"{transformer.name} has {quantity(transformer.apparent_va, 'VA')}, far more than its PCS,"
            message += f" {quantity(apparent_va, 'VA')}"
            made = error if transformer.apparent_va > ABSURD_TRANSFORMER * apparent_va else warning
            expected = f"its plate's rating, mostly about {quantity(apparent_va, 'VA', 2)}"
            yield made(context.place("transformers", transformer.index, "apparent"), message, expected)
        if not mine and not any(_is_lost(plant, pcs) for pcs in plant.pcs):
            place = context.place("transformers", transformer.index, "name")
            yield warning(place, f"no PCS is on {transformer.name}", f"a PCS with transformer: {transformer.name}")
        for pcs in mine:
            if not _near(pcs.ac_voltage_v, transformer.secondary_v):
                message = f"{pcs.name} makes {quantity(pcs.ac_voltage_v, 'V')}, {transformer.name} has"
                message += f" {quantity(transformer.secondary_v, 'V')} on its side"
                also = [context.place("transformers", transformer.index, "secondary")]
                yield error(context.place("pcs", pcs.index, "ac_voltage"), message, "one voltage", see_also=also)
        if mine and not _near(transformer.primary_v, plant.poi.voltage_v) and not poi_is_alone(plant):
            message = f"{transformer.name} has {quantity(transformer.primary_v, 'V')} towards a POI of"
            message += f" {quantity(plant.poi.voltage_v, 'V')}"
            place = context.place("transformers", transformer.index, "primary")
            yield warning(
                place,
                message,
                "the POI's voltage, or a second transformer",
                see_also=[context.at("site", "poi", "voltage")],
            )


def converters_have_a_transformer(context: CheckContext) -> Iterator[Message]:
    """A converter without a transformer is directly at the POI, and makes its voltage."""
    plant = context.plant
    for pcs in (pcs for pcs in plant.pcs if _is_lost(plant, pcs)):
        message = f"{pcs.name} has no transformer and makes {quantity(pcs.ac_voltage_v, 'V')}, but the POI has"
        message += f" {quantity(plant.poi.voltage_v, 'V')}"
        names = [t.name for t in plant.transformers if _near(pcs.ac_voltage_v, t.secondary_v)]
        expected = (
            f"transformer: {names[0]}" if len(names) == 1 else one_of(names) or "transformer: NAME, and one so named"
        )
        also = [context.at("site", "poi", "voltage")]
        yield error(context.place("pcs", pcs.index, "ac_voltage"), message, expected, see_also=also)


def _is_lost(plant: Plant, pcs: Pcs) -> bool:
    """Tell whether a converter would stand directly at a POI of another voltage."""
    return pcs.transformer < 0 and not _near(pcs.ac_voltage_v, plant.poi.voltage_v)


def poi_is_alone(plant: Plant) -> bool:
    """Tell whether the control meter and all transformers have one voltage, and the POI is said to have another."""
    if plant.poi.meter < 0 or not plant.transformers:
        return False
    meter_v = plant.meters[plant.poi.meter].voltage_v
    return not _near(plant.poi.voltage_v, meter_v) and all(_near(t.primary_v, meter_v) for t in plant.transformers)


def losses_make_sense(context: CheckContext) -> Iterator[Message]:
    """A transformer loses a few percent of its rating, auxiliaries take less than the plant makes."""
    for transformer in context.plant.transformers:
        for key, loss_w in (("no_load_loss", transformer.no_load_loss_w), ("load_loss", transformer.load_loss_w)):
            if loss_w > MOST_LOSS * transformer.apparent_va and _is_large_enough(context.plant, transformer):
                percent = number(100 * loss_w / transformer.apparent_va, 2)
                message = f"{key} of {transformer.name} is {percent} % of its rating"
                place = context.place("transformers", transformer.index, key)
                yield error(place, message, f"at most {quantity(MOST_LOSS * transformer.apparent_va, 'W')}")
        if transformer.no_load_loss_w > transformer.load_loss_w > 0:
            message = f"{transformer.name} loses more without a load ({quantity(transformer.no_load_loss_w, 'W')}) than"
            message += f" by its full load ({quantity(transformer.load_loss_w, 'W')})"
            place, also = (
                context.place("transformers", transformer.index, key) for key in ("no_load_loss", "load_loss")
            )
            expected = "the smaller of the two; its plate or test report has both"
            yield warning(place, message, expected, "are the two exchanged?", [also])
    for auxiliary in context.plant.auxiliaries:
        if auxiliary.power_w > MOST_AUXILIARY * context.plant.poi.power_w:
            message = f"{auxiliary.name} takes {quantity(auxiliary.power_w, 'W')} of the plant's"
            message += f" {quantity(context.plant.poi.power_w, 'W')}"
            place = context.place("auxiliaries", auxiliary.index, "power")
            yield error(place, message, f"at most {MOST_AUXILIARY:.0%} of the plant's power")


def _near(one_v: float, other_v: float) -> bool:
    return abs(one_v - other_v) <= VOLTAGE_TOLERANCE * other_v


def energy_makes_rating(context: CheckContext) -> Iterator[Message]:
    """What can be discharged within the SOC window, after losses, is the energy that the plant is sold as."""
    plant = context.plant
    if not all(energy_is_credible(rack.battery) for rack in plant.racks):
        return  # reported at the battery
    installed_wh = sum(rack.battery.energy_wh for rack in plant.racks)
    efficiency = min((pcs.efficiency_ratio for pcs in plant.pcs), default=1.0)
    window = plant.control.soc_max_ratio - plant.control.soc_min_ratio
    if window <= 0.0:
        return  # reported at the window
    place, sold_wh = context.at("site", "rating", "energy"), plant.poi.energy_wh
    if sold_wh > LONGEST_DISCHARGE_H * plant.poi.power_w:
        lasts_h = number(sold_wh / plant.poi.power_w, 3)
        message = (
            f"{quantity(sold_wh, 'Wh')} at {quantity(plant.poi.power_w, 'W')} last {lasts_h} h: no battery is so slow"
        )
        yield error(
            context.at("site", "rating", "power"), message, "the power and the energy of one contract", "", [place]
        )
        return
    usable_wh = installed_wh * window * efficiency - _transformer_losses_wh(plant)
    if usable_wh < sold_wh:
        message = f"the racks deliver {quantity(usable_wh, 'Wh')}, less than the plant's {quantity(sold_wh, 'Wh')}"
        losses = "SOC window x efficiency - transformer losses"
        expected = f"at most {quantity(usable_wh, 'Wh')} ({quantity(installed_wh, 'Wh')} x {losses})"
        yield error(place, message, expected)
    elif usable_wh > AMPLE_ENERGY * sold_wh:
        message = f"the racks deliver {quantity(usable_wh, 'Wh')}, far more than the plant's {quantity(sold_wh, 'Wh')}"
        yield warning(place, message, "a rating near what is installed")


def _carries(plant: Plant, transformer: Transformer) -> bool:
    """Tell whether a transformer is large enough and loses what transformers do; else it is reported by itself."""
    worst_w = max(transformer.no_load_loss_w, transformer.load_loss_w)
    return _is_large_enough(plant, transformer) and worst_w <= MOST_LOSS * transformer.apparent_va


def _is_large_enough(plant: Plant, transformer: Transformer) -> bool:
    mine_va = sum(pcs.apparent_va for pcs in plant.pcs if pcs.transformer == transformer.index)
    return mine_va <= transformer.apparent_va


def _transformer_losses_wh(plant: Plant) -> float:
    """Return what transformers lose while the plant delivers its energy at its power: iron always, copper by load."""
    hours = plant.poi.energy_wh / plant.poi.power_w
    lost_w = 0.0
    for transformer in plant.transformers:
        power_w = sum(pcs.power_w for pcs in plant.pcs if pcs.transformer == transformer.index)
        load = power_w / transformer.apparent_va
        if _carries(plant, transformer):
            lost_w += transformer.no_load_loss_w + load**2 * transformer.load_loss_w
    return lost_w * hours


def contactors_are_unloaded(context: CheckContext) -> Iterator[Message]:
    """Where nobody but this controller takes the current away, the contactors must be able to open under it."""
    plant = context.plant
    for bus in plant.buses:
        if bus.unloads_contactors is not UnloadsContactors.CONTROLLER_ONLY:
            continue
        for battery in {plant.racks[r].battery.name: plant.racks[r].battery for r in bus.racks}.values():
            most_a = max(battery.discharge_current_max_a, battery.charge_current_max_a)
            if battery.break_current_a < most_a:
                message = (
                    f"the contactors of {battery.name} open under {battery.break_current_a:g} A at most, but carry"
                )
                message += f" {most_a:g} A, and on {bus.name} only this controller takes the current away"
                expected = "a BMS that stops the PCS itself (bms_stops_pcs: hardwired or can), or stronger contactors"
                also = [context.at("batteries", battery.name, "current", "break")]
                yield error(context.place("buses", bus.index, "bms_stops_pcs"), message, expected, see_also=also)


RATINGS_OF_RACKS = (
    contactors_are_unloaded,
    windows_fit,
    dc_current_fits,
    racks_carry_pcs,
    energy_makes_rating,
)
"""Checks of ratings that rest on what the cells of the racks are."""
RATING_CHECKS = (
    contactors_are_unloaded,
    buses_are_whole,
    windows_fit,
    ac_voltage_fits,
    dc_current_fits,
    racks_carry_pcs,
    pcs_make_rating,
    pcs_ratings_make_sense,
    transformers_carry_pcs,
    converters_have_a_transformer,
    losses_make_sense,
    energy_makes_rating,
)
