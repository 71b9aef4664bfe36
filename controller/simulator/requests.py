"""What the controller may ask of the virtual plant: command signal by signal, by equipment index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from controller.plant.signals import ConnectRequest, PcsOperation, RestartKind
from controller.simulator.virtual_plant import VirtualPlant

Request = Callable[[VirtualPlant, int, float], None]


def _connect_rack(virtual: VirtualPlant, index: int, value: float) -> None:
    virtual.bms.request([index], ConnectRequest(int(value)))


def _reset_rack(virtual: VirtualPlant, index: int, value: float) -> None:
    if int(value) == RestartKind.RESET:
        virtual.bms.reset([index])


def _hear_rack(virtual: VirtualPlant, index: int, value: float) -> None:
    virtual.bms.hear([index], value)


def _connect_bank(virtual: VirtualPlant, index: int, value: float) -> None:
    virtual.bms.request(list(virtual.plant.banks[index].racks), ConnectRequest(int(value)))


def _reset_bank(virtual: VirtualPlant, index: int, value: float) -> None:
    if int(value) == RestartKind.RESET:
        virtual.bms.reset(list(virtual.plant.banks[index].racks))


def _hear_bank(virtual: VirtualPlant, index: int, value: float) -> None:
    virtual.bms.hear(list(virtual.plant.banks[index].racks), value)


def _operate(virtual: VirtualPlant, index: int, value: float) -> None:
    converter = virtual.converters[index]
    converter.operate(PcsOperation(int(value)), float(virtual.bus_voltage_v[converter.rating.bus]))


def _reset_pcs(virtual: VirtualPlant, index: int, value: float) -> None:
    if int(value) == RestartKind.RESET:
        virtual.converters[index].reset()


REQUESTS: Mapping[str, Request] = {
    "rack.connect_request": _connect_rack,
    "rack.reset_request": _reset_rack,
    "rack.controller_heartbeat": _hear_rack,
    "bank.connect_request": _connect_bank,
    "bank.reset_request": _reset_bank,
    "bank.controller_heartbeat": _hear_bank,
    "pcs.active_power_setpoint": lambda v, i, x: v.converters[i].ask_power(active_w=x),
    "pcs.reactive_power_setpoint": lambda v, i, x: v.converters[i].ask_power(reactive_var=x),
    "pcs.operation": _operate,
    "pcs.reset_request": _reset_pcs,
    "pcs.controller_heartbeat": lambda v, i, x: v.converters[i].hear(x),
    "pcs.watchdog_timeout_setting": lambda v, i, x: v.converters[i].set_watchdog(x),
}
"""What each command signal does, given the virtual plant, the equipment's index and the value in base units."""


def hear_all(
    virtual: VirtualPlant, heartbeat: int, deaf_racks: Collection[int] = (), deaf_pcs: Collection[int] = ()
) -> None:
    """Let every rack and converter hear the controller's heartbeat, but those (by index) that it does not reach."""
    if deaf_racks:
        virtual.bms.hear([r.index for r in virtual.plant.racks if r.index not in deaf_racks], heartbeat)
    else:
        virtual.bms.hear_all(heartbeat)
    for index, converter in enumerate(virtual.converters):
        if index not in deaf_pcs:
            converter.hear(heartbeat)
