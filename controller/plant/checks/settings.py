"""How the plant is run and shown: order of times and limits, grid functions at one place, faces that are not open."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.figures import number, quantity, span
from controller.plant.messages import Message, error, warning
from controller.plant.model import GridFunctionPlace, MeterRole
from controller.plant.schema.equipment import GridFunction

LARGE_FALLBACK_RATIO = 0.5
LONG_SETPOINT_S, SHORT_LEASE_S, LONG_PLANT_RAMP_S = 3600.0, 5.0, 1800.0


def settings_are_ordered(context: CheckContext) -> Iterator[Message]:
    """The smaller of two settings is smaller."""
    control = context.plant.control
    stale = control.stale
    for keys, low, high, what in (
        (
            ("limits", "soc", "min"),
            control.soc_min_ratio,
            control.soc_max_ratio,
            "limits.soc.min is not below limits.soc.max",
        ),
        (("limits", "soc", "max"), control.soc_max_ratio, 1.0 + 1e-9, "limits.soc.max is more than 100 %"),
        (
            ("setpoint", "timeout"),
            control.setpoint_timeout_s,
            control.setpoint_timeout_max_s * (1 + 1e-9),
            "setpoint.timeout is above setpoint.timeout_max",
        ),
        (
            ("stale", "uncertain_periods"),
            stale.uncertain_periods,
            stale.bad_periods,
            "stale.uncertain_periods is not below stale.bad_periods",
        ),
        (
            ("stale", "bad_periods"),
            stale.bad_periods,
            stale.zero_periods,
            "stale.bad_periods is not below stale.zero_periods",
        ),
    ):
        if low >= high:
            yield error(context.at("controls", *keys), f"controls.{what}", "the smaller value first")


def ramps_are_possible(context: CheckContext) -> Iterator[Message]:
    """A plant can't ramp faster than its converters."""
    possible_w_per_s = sum(pcs.ramp_w_per_s for pcs in context.plant.pcs)
    asked_w_per_s = context.plant.control.ramp_w_per_s
    if asked_w_per_s > possible_w_per_s * 1.001:
        possible = quantity(possible_w_per_s, "W/s")
        message = f"controls.limits.ramp is {quantity(asked_w_per_s, 'W/s')}, but the PCS ramp at {possible}"
        yield warning(context.at("controls", "limits", "ramp"), message, f"at most {possible}")


def times_are_usable(context: CheckContext) -> Iterator[Message]:
    """Set-points die soon after their master, leases outlast a poll of a master, and a ramp ends within its period."""
    control, poi = context.plant.control, context.plant.poi
    if control.setpoint_timeout_s > LONG_SETPOINT_S:
        message = f"a set-point that nobody renews would live for {_spoken(control.setpoint_timeout_s)}"
        place = context.at("controls", "setpoint", "timeout")
        yield warning(place, message, "a few times the period of the master that writes it, such as 60 s")
    if not control.shared_owner and control.lease_s < SHORT_LEASE_S:
        message = (
            f"an owner who does not write for {_spoken(control.lease_s)} loses the set-points to the next who does"
        )
        place = context.at("controls", "owner", "lease")
        expected = f"several periods of the slowest master, at least {_spoken(SHORT_LEASE_S)}, such as 2 min"
        yield warning(place, message, expected)
    for key, rated, per_s, unit, usual in (
        ("ramp", poi.power_w, control.ramp_w_per_s, "W", "MW/min"),
        ("reactive_ramp", poi.apparent_va, control.reactive_ramp_var_per_s, "var", "Mvar/min"),
    ):
        if rated > LONG_PLANT_RAMP_S * per_s:
            message = f"at controls.limits.{key} the plant would take {_spoken(rated / per_s)} from 0 to"
            message += f" {quantity(rated, unit)}"
            written = context.text("controls", "limits", key).partition(" ")[0]
            hint = (
                f"did you mean '{written} {usual}'?" if context.text("controls", "limits", key).endswith("/h") else ""
            )
            yield warning(context.at("controls", "limits", key), message, "a ramp of minutes or less", hint)


def _spoken(seconds: float) -> str:
    """Return a time in the largest unit that people use for it."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{number(seconds / size, 3)} {unit}"
    return f"{number(seconds, 3)} s"


def fallback_is_allowed(context: CheckContext) -> Iterator[Message]:
    """The fall-back lies within what the POI allows, and is not most of the plant: nobody watches it then."""
    poi, fallback_w = context.plant.poi, context.plant.control.fallback_w
    if not -poi.import_limit_w <= fallback_w <= poi.export_limit_w:
        message = f"controls.setpoint.fallback.power ({quantity(fallback_w, 'W')}) is more than the POI allows"
        expected = f"from {span(-poi.import_limit_w, poi.export_limit_w, 'W')}"
        yield error(context.at("controls", "setpoint", "fallback", "power"), message, expected)
    elif abs(fallback_w) > LARGE_FALLBACK_RATIO * poi.power_w:
        message = f"controls.setpoint.fallback.power ({quantity(fallback_w, 'W')}) is most of the plant's"
        message += f" {quantity(poi.power_w, 'W')}: it would run so while its master is lost, until the racks are"
        message += " empty or full"
        expected = f"0 kW, or at most {quantity(LARGE_FALLBACK_RATIO * poi.power_w, 'W')}"
        yield warning(context.at("controls", "setpoint", "fallback", "power"), message, expected)


def grid_functions_have_one_place(context: CheckContext) -> Iterator[Message]:
    """A function armed at the POI and in a PCS would answer the grid twice."""
    places = context.site.controls.grid_functions
    armed: set[GridFunction] = set()
    for position, group in enumerate(context.site.pcs):
        for entry, function in enumerate(group.grid_functions):
            armed.add(function)
            where = places.get(function.value, GridFunctionPlace.OFF)
            if where is not GridFunctionPlace.PCS:
                message = f"{function} is armed in the PCS, but controls says '{where}'"
                also = [context.at("controls", "grid_functions", function.value)]
                expected = f"controls.grid_functions.{function}: pcs, or not here"
                yield error(context.at("pcs", position, "grid_functions", entry), message, expected, see_also=also)
    for name, where in places.items():
        if where is GridFunctionPlace.PCS and name not in armed:
            message = f"controls says {name} acts in the PCS, but no PCS has it armed"
            yield error(context.at("controls", "grid_functions", name), message, f"pcs: grid_functions: [{name}]")


def one_control_meter(context: CheckContext) -> Iterator[Message]:
    """The P and Q loops close on one meter."""
    control = [meter for meter in context.plant.meters if meter.role is MeterRole.POI_CONTROL]
    if not control:
        message = "no meter has the role 'poi': power at the POI is then the sum of the PCS"
        yield warning(context.at("meters"), message, "a meter with role: poi")
    if len(control) > 1:
        message = f"{control[0].name} and {control[1].name} both have the role 'poi'"
        also = [context.place("meters", control[0].index, "role")]
        yield error(context.place("meters", control[1].index, "role"), message, "one control meter", see_also=also)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def faces_are_closed(context: CheckContext) -> Iterator[Message]:
    """Beyond loopback a face wants security, users and writers."""
    opcua, modbus = context.plant.faces.opcua, context.plant.faces.modbus
    if opcua is not None and not is_loopback(opcua.host):
        if "None" in opcua.policies:
            place = context.at("scada", "opcua", "security")
            yield error(place, f"OPC UA without security on {opcua.host}", "Basic256Sha256, or loopback only")
        if opcua.anonymous:
            place = context.at("scada", "opcua", "anonymous")
            yield error(place, f"OPC UA for anybody on {opcua.host}", "anonymous: no, with users: {secret: NAME}")
    if opcua is not None and not opcua.anonymous and not opcua.users_secret:
        place = context.at("scada", "opcua")
        yield warning(place, "nobody can log in to OPC UA: no users", "users: {secret: NAME}")
    if modbus is not None and not is_loopback(modbus.host) and not modbus.writers:
        place = context.at("scada", "modbus", "listen")
        yield warning(place, "nobody may write by Modbus: no writers", "writers: [10.10.0.11]")
    if opcua is not None and modbus is not None and 0 != opcua.port == modbus.port:
        place = context.at("scada", "modbus", "listen")
        also = [context.at("scada", "opcua", "listen")]
        yield error(place, f"both faces listen on port {opcua.port}", "two ports", see_also=also)


SETTING_CHECKS = (
    settings_are_ordered,
    ramps_are_possible,
    times_are_usable,
    fallback_is_allowed,
    grid_functions_have_one_place,
    one_control_meter,
    faces_are_closed,
)
