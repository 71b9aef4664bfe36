"""Devices and links: `connect` strings parsed, units behind a connection gathered, registers bound to equipment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from controller.plant.device_types import DeviceKind, DevicePoint, DeviceType
from controller.plant.expansion.names import Findings, Member, Names
from controller.plant.messages import Complaint, did_you_mean, one_of
from controller.plant.model import BatteryType, Binding, Device, Link, SerialAddress, TcpAddress
from controller.plant.schema.equipment import GatewaySection
from controller.plant.signals import SIGNALS, Owner
from controller.plant.yaml_tree import Loc

Address = TcpAddress | SerialAddress
CONNECT_EXPECTED = '"tcp://10.20.1.10:502?unit=1" or "serial:///dev/ttyS0?baud=19200&parity=even&stop=1&unit=1"'
_TCP = re.compile(r"tcp://(\[[0-9A-Za-z:.%_-]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?:\?(.*))?")
_BARE_IPV6 = re.compile(r"tcp://([0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f]*)(\?.*)?")
_SERIAL = re.compile(r"serial://(/[A-Za-z0-9/._-]+)(?:\?(.*))?")
_PARITY = {"none": "N", "even": "E", "odd": "O"}


def parse_connect(text: str) -> tuple[Address, int] | Complaint:
    """Return the address and the unit number, or what is wrong."""
    tcp, serial = _TCP.fullmatch(text), _SERIAL.fullmatch(text)
    if tcp:
        return _parse_tcp(text, tcp)
    if serial:
        return _parse_serial(text, serial)
    bare = _BARE_IPV6.fullmatch(text)
    hint = "an IPv6 address stands in brackets: tcp://[fd00::5]:502?unit=1" if bare else ""
    return Complaint(f"'{text}' is no connection", CONNECT_EXPECTED, hint)


def _parse_tcp(text: str, matched: re.Match[str]) -> tuple[Address, int] | Complaint:
    host, port = matched[1], matched[2]
    if port is None:
        return Complaint(f"'{text}' has no port", CONNECT_EXPECTED, f"write {host}:502")
    if int(port) > 65_535:
        return Complaint(f"there is no port {port}", "0 to 65535")
    if re.fullmatch(r"[0-9.]+", host) and not _is_ip(host):
        return Complaint(f"'{host}' is no IP address", "four numbers from 0 to 255")
    if host.startswith("[") and not _is_ip(host[1:-1]):
        return Complaint(f"'{host}' is no IPv6 address", "such as [fd00:10:20::5]")
    options = dict(parse_qsl(matched[3] or "", keep_blank_values=True))
    unit = _unit(options, 255)
    if isinstance(unit, Complaint):
        return unit
    return TcpAddress(host.strip("[]"), int(port)), unit


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parse_serial(text: str, matched: re.Match[str]) -> tuple[Address, int] | Complaint:
    options = dict(parse_qsl(matched[2] or "", keep_blank_values=True))
    line = {key: options.pop(key, default) for key, default in (("baud", "19200"), ("parity", "even"), ("stop", "1"))}
    unit = _unit(options, 247)
    if isinstance(unit, Complaint):
        return unit
    if (
        not (line["baud"].isascii() and line["baud"].isdigit())
        or line["parity"] not in _PARITY
        or line["stop"] not in ("1", "2")
    ):
        return Complaint(f"'{text}' has line settings that do not exist", CONNECT_EXPECTED)
    return SerialAddress(matched[1], int(line["baud"]), _PARITY[line["parity"]], int(line["stop"])), unit


def _unit(options: Mapping[str, str], most: int) -> int | Complaint:
    unknown = next((key for key in options if key != "unit"), None)
    if unknown is not None:
        return Complaint(
            f"unknown word '{unknown}' in the connection", CONNECT_EXPECTED, did_you_mean(unknown, ["unit"])
        )
    text = options.get("unit")
    if text is None:
        return Complaint("the connection has no unit number", CONNECT_EXPECTED, "append ?unit=1")
    if not (text.isascii() and text.isdigit()) or len(text) > 3 or int(text) > most:
        return Complaint(f"there is no unit {text}", f"0 to {most}")
    return int(text)


@dataclass
class _LinkDraft:
    address: Address
    place: Loc
    gateway: GatewaySection
    types: list[DeviceType] = field(default_factory=list)


class DeviceBuilder:
    """Collects devices in order; links come into being as addresses appear."""

    def __init__(self, names: Names, types: Mapping[str, DeviceType], findings: Findings) -> None:
        self.names = names
        self.types = types
        self.findings = findings
        self.devices: list[Device] = []
        self._links: dict[Address, int] = {}
        self._drafts: list[_LinkDraft] = []
        self._used: dict[tuple[int, int], Member[object]] = {}
        self._special: dict[tuple[int, int, float], DeviceType] = {}

    def type_of(self, member: Member[object], name: str, kinds: tuple[DeviceKind, ...]) -> DeviceType | None:
        """Return the device type that a group names; complain if it is of another kind or could not be loaded."""
        device_type = self.types.get(name)
        if device_type is not None and device_type.kind not in kinds:
            message = f"'{name}' is a {device_type.kind}, which can't stand under {member.loc[0]}"
            of_kind = [t.name for t in self.types.values() if t.kind in kinds]
            self.findings.complain((*member.loc, "type"), message, one_of(of_kind) or f"a {kinds[0]}", rule="kind")
            return None
        return device_type

    def add(
        self,
        member: Member[object],
        device_type: DeviceType,
        connect: str,
        gateway: GatewaySection | None,
        poll: Mapping[str, float],
        bindings: tuple[Binding, ...],
    ) -> None:
        """Add the device of one equipment."""
        filled = self.names.fill(member, "connect", connect)
        parsed = parse_connect(filled) if filled is not None else None
        if isinstance(parsed, Complaint):
            loc = (*member.loc, "connect")
            self.findings.complain(loc, parsed.message, parsed.expected, parsed.hint, rule="connect")
        if parsed is None or isinstance(parsed, Complaint):
            return
        address, unit = parsed
        link = self._link(member, address, gateway or GatewaySection())
        self._check_unit(member, link, unit, filled or "")
        self._drafts[link].types.append(device_type)
        self._check_poll(member, device_type, poll)
        device = Device(
            len(self.devices), member.name, device_type, link, unit, bindings, periods_s=tuple(sorted(poll.items()))
        )
        self.devices.append(device)

    def _link(self, member: Member[object], address: Address, gateway: GatewaySection) -> int:
        if address not in self._links:
            self._links[address] = len(self._drafts)
            self._drafts.append(_LinkDraft(address, member.loc, gateway))
        draft = self._drafts[self._links[address]]
        if gateway.model_fields_set and not draft.gateway.model_fields_set:
            draft.gateway = gateway
        elif gateway.model_fields_set and gateway != draft.gateway:
            other = self.findings.place((*draft.place, "gateway"), key=True)
            message = f"two different gateway settings for {address}"
            self.findings.complain_of_two(
                (*member.loc, "gateway"), message, other, "one setting a connection", rule="gw"
            )
        return self._links[address]

    def _check_unit(self, member: Member[object], link: int, unit: int, filled: str) -> None:
        other = self._used.setdefault((link, unit), member)
        if other is member:
            return
        loc: Loc = (*member.loc, "connect")
        message = f"{member.name} and {other.name} would both use {filled}"
        axes = " or ".join(f"{{{word}}}" for word in member.values)
        hint = f"put {axes} in the unit, the port or the host" if axes and other.loc == member.loc else ""
        place = self.findings.place((*other.loc, "connect"))
        if other.loc == member.loc:
            self.findings.complain(loc, message, "one device per address and unit", hint, rule="unit")
        else:
            self.findings.complain_of_two(loc, message, place, "one device per address and unit", hint, rule="unit")

    def _check_poll(self, member: Member[object], device_type: DeviceType, poll: Mapping[str, float]) -> None:
        blocks = [block.name for block in device_type.poll_blocks]
        for name in poll:
            if name not in blocks:
                hint = did_you_mean(name, blocks)
                message = f"{device_type.name} has no block '{name}'"
                self.findings.complain(
                    (*member.loc, "poll", name), message, one_of(blocks), hint, rule="poll", key=True
                )

    def links(self) -> tuple[Link, ...]:
        """Return the links; what a group does not say comes from the most careful of the devices behind it."""
        return tuple(self._finished(index, draft) for index, draft in enumerate(self._drafts))

    def _finished(self, index: int, draft: _LinkDraft) -> Link:
        gateway, types = draft.gateway, draft.types
        return Link(
            index,
            draft.address,
            in_flight=gateway.in_flight or min((t.pipeline for t in types), default=1),
            gap_s=gateway.gap if gateway.gap is not None else max((t.gap_s for t in types), default=0.0),
            timeout_s=gateway.timeout or max((t.timeout_s for t in types), default=0.5),
        )

    def turned(self, device_type: DeviceType) -> DeviceType:
        """Return a meter's device type with export and import exchanged."""
        cached = (id(device_type), 0, -1.0)
        if cached not in self._special:
            self._special[cached] = replace(device_type, points=tuple(_turned(p) for p in device_type.points))
        return self._special[cached]

    def fitted(self, device_type: DeviceType, battery: BatteryType | None, watchdog_s: float | None) -> DeviceType:
        """Return the device type with as many cells and sensors as the rack has, and the site's watchdog time."""
        cached = (id(device_type), id(battery), watchdog_s or 0.0)
        if cached not in self._special:
            self._special[cached] = _fit(device_type, battery, watchdog_s)
        return self._special[cached]


_COUNTED_BACKWARDS = ("meter.active_power", "meter.reactive_power")
_SWAPPED = {"meter.energy_out": SIGNALS["meter.energy_in"], "meter.energy_in": SIGNALS["meter.energy_out"]}


def _turned(point: DevicePoint) -> DevicePoint:
    """Return a meter's point as it reads with its current transformers the other way round."""
    if point.signal.name in _SWAPPED:
        return replace(point, signal=_SWAPPED[point.signal.name])
    if point.signal.name not in _COUNTED_BACKWARDS:
        return point
    low = None if point.valid_max is None else -point.valid_max
    high = None if point.valid_min is None else -point.valid_min
    return replace(point, sign=-point.sign, valid_min=low, valid_max=high)


def _fit(device_type: DeviceType, battery: BatteryType | None, watchdog_s: float | None) -> DeviceType:
    timeout = device_type.communication_timeout
    if watchdog_s is not None and timeout is not None:
        timeout = replace(timeout, after_s=watchdog_s)
    points = device_type.points
    if battery is not None:
        points = tuple(_fit_point(point, battery) for point in points)
    return replace(device_type, points=points, communication_timeout=timeout)


def _fit_point(point: DevicePoint, battery: BatteryType) -> DevicePoint:
    if point.signal.owner is Owner.CELL:
        return replace(point, count=min(point.count, battery.cells_in_series))
    if point.signal.owner is Owner.SENSOR:
        return replace(point, count=min(point.count, battery.temperatures))
    return point
