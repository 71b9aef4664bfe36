"""The OPC UA face: the library's server around our nodes, our writes and calls, our notifications.

Rules. Reads are answered from the newest snapshot. A write or a call of a plant point becomes a command, and its reply
the status code: the controller decides, the face only carries. Monitored nodes, and only those, are compared a few
times a second and notified on change. Nothing is ever Good once control is silent.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server import Server
from asyncua.server.address_space import AttributeService
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.monitored_item_service import MonitoredItemValues

from controller.control.commands import Action, Command, Refusal, Reply
from controller.image.data_periods import DataPeriods
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock
from controller.plant.model import OpcUaFace
from controller.points.point_list import Method, Point, PointList
from controller.scada.opcua_nodes import NAMESPACE_URI, PlantNodes
from controller.scada.opcua_standard_nodes import load_standard_nodes
from controller.scada.opcua_values import DataValues, command_value, status_of
from controller.scada.readings import PointReader

NOTIFY_PERIOD_S = 0.2
COLLECT_PERIOD_S = 10.0
MAX_MESSAGE_BYTES = 4 << 20
_user: ContextVar[User | None] = ContextVar("user", default=None)


class _Session(InternalSession):
    """Remembers who calls for the length of the call: the library's method service does not pass it on."""

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        token = _user.set(self.user)
        try:
            return await super().call(params)
        finally:
            _user.reset(token)


class _InternalServer(InternalServer):
    """The library's internal server with cached standard nodes and sessions that know their user."""

    def __init__(self, users: Any, cache: Path | None) -> None:
        super().__init__(user_manager=users)
        self._cache = cache

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        del shelf_file
        await load_standard_nodes(self.aspace, self.node_mgt_service, self._cache)

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:  # noqa: FBT001, FBT002 - the library's signature
        user = user or User(role=UserRole.Anonymous)
        return _Session(self, self.aspace, self.subscription_service, name, user=user, external=external)


class _Users:
    """Who may come in. Anonymous only where the site says so; named users come with the security issue's user file."""

    def __init__(self, *, anonymous: bool) -> None:
        self._anonymous = anonymous

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: object = None
    ) -> User | None:
        del iserver, password, certificate
        if username is None and self._anonymous:
            return User(role=UserRole.User, name="anonymous")
        return None


class _PointWrites(AttributeService):
    """Writes of plant points become commands; everything else is the library's."""

    def __init__(self, server: _InternalServer, points: dict[str, Point], submit: Callable[..., Any]) -> None:
        super().__init__(server.aspace)
        self._points, self._submit = points, submit

    async def write(self, params: ua.WriteParameters, user: User | None = None) -> list[ua.StatusCode]:
        user = user or User(role=UserRole.Admin)
        if user.role == UserRole.Admin:  # the library's own writes; nobody gets this role from outside
            return list(await super().write(params, user))
        return [await self._write_one(item, user) for item in params.NodesToWrite]

    async def _write_one(self, item: ua.WriteValue, user: User) -> ua.StatusCode:
        point = self._points.get(str(item.NodeId.Identifier))
        if point is None or not point.action or item.AttributeId != ua.AttributeIds.Value:
            known = item.NodeId in self._aspace
            return ua.StatusCode(ua.StatusCodes.BadUserAccessDenied if known else ua.StatusCodes.BadNodeIdUnknown)
        if item.IndexRange:
            return ua.StatusCode(ua.StatusCodes.BadIndexRangeInvalid)
        value = command_value(point, item.Value.Value)
        if isinstance(value, Refusal):
            return status_of(value)
        reply: Reply = await self._submit(Action(point.action), "Plant", value, user)
        return status_of(reply.refusal)


class OpcUaServer:
    """One face. `start` returns the endpoint; `serve` runs until cancelled."""

    def __init__(
        self,
        face: OpcUaFace,
        listed: PointList,
        view: PlantView,
        periods: DataPeriods,
        clock: Clock,
        cache: Path | None,
    ) -> None:
        """Wire the face; nothing is opened yet."""
        self._face, self._view, self._clock = face, view, clock
        self._points = {p.tag: p for p in listed.points}
        self._listed = listed
        self._values = DataValues(view, PointReader(periods), clock)
        self._internal = _InternalServer(_Users(anonymous=face.anonymous), cache)
        self._server = Server(iserver=self._internal)
        self._shown: dict[ua.NodeId, tuple[object, int]] = {}
        self._numbers = itertools.count(1)

    async def start(self) -> str:
        """Build the address space with the collector off, freeze it, open the port; return the endpoint's URL."""
        gc.disable()
        MonitoredItemValues.set_current_datavalue = _keep_without_copy
        server, internal = self._server, self._internal
        server.limits.max_message_size = MAX_MESSAGE_BYTES
        server.limits.max_chunk_count = 64
        await server.init()
        await server.set_application_uri("urn:bess-controller:server")
        server.set_server_name("Battery plant controller")
        server.set_security_policy([_POLICIES[name] for name in self._face.policies])
        await server.register_namespace(NAMESPACE_URI)
        aspace = internal.aspace
        aspace._nodes = PlantNodes(aspace._nodes, self._listed, self._values.read, self._call)  # noqa: SLF001 - the library has no seam for nodes that are made on demand
        internal.attribute_service = _PointWrites(internal, self._points, self._submit)
        server.set_endpoint(f"opc.tcp://{self._face.host}:{self._face.port}")
        await server.start()
        gc.freeze()
        gc.enable()
        return f"opc.tcp://{self._face.host}:{self._port()}"

    async def serve(self) -> None:
        """Notify and collect until cancelled, then close."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._notify_changes())
                group.create_task(_collect_garbage())
        finally:
            await self._server.stop()

    def _port(self) -> int:
        bound = self._server.bserver
        assert bound is not None
        sockets = bound._server.sockets  # noqa: SLF001 - the only way to learn a port chosen by the system
        return int(sockets[0].getsockname()[1])

    async def _submit(self, action: Action, target: str, value: float | str | None, user: User) -> Reply:
        command = Command(
            id=f"opcua-{os.getpid()}-{next(self._numbers)}",
            face="opcua",
            user=user.name or "anonymous",
            role="operator",
            action=action,
            target=target,
            value=value,
            issued_mono_ns=self._clock.mono_ns(),
        )
        return await self._view.submit(command)

    async def _call(self, method: Method, arguments: tuple[ua.Variant, ...]) -> ua.CallMethodResult:
        result = ua.CallMethodResult()
        wanted = 1 if method.argument else 0
        if len(arguments) != wanted:
            few = len(arguments) < wanted
            result.StatusCode = ua.StatusCode(
                ua.StatusCodes.BadArgumentsMissing if few else ua.StatusCodes.BadTooManyArguments
            )
            return result
        if arguments and not isinstance(arguments[0].Value, str):
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
            return result
        value = arguments[0].Value if arguments else None
        reply = await self._submit(Action(method.action), method.target, value, _user.get() or User())
        result.StatusCode = status_of(reply.refusal)
        result.OutputArguments = [ua.Variant(reply.text, ua.VariantType.String)]
        return result

    async def _notify_changes(self) -> None:
        while True:
            await asyncio.sleep(NOTIFY_PERIOD_S)
            await self._notify_once()

    async def _notify_once(self) -> None:
        """Compare each monitored value with what was last shown; tell the subscriptions that differ."""
        aspace = self._internal.aspace
        monitored = {
            node
            for node, attribute in aspace._handle_to_attribute_map.values()
            if attribute == ua.AttributeIds.Value  # noqa: SLF001 - the library's list of who listens
        }
        for node_id in self._shown.keys() - monitored:
            del self._shown[node_id]
        for node_id in monitored:
            point = self._points.get(str(node_id.Identifier))
            if point is None:
                continue
            value = self._values.read(point)
            shown = (self._values.comparable(value), value.StatusCode.value)
            if self._shown.get(node_id) == shown:
                continue
            self._shown[node_id] = shown
            for handle, callback in list(
                aspace[node_id].attributes[ua.AttributeIds.Value].datachange_callbacks.items()
            ):
                await callback(handle, value)


def _keep_without_copy(self: MonitoredItemValues, value: ua.DataValue) -> None:
    """Keep the value itself: ours are made fresh for each notification and never changed (the copy was 68 % of work)."""
    self.old_dvalue, self.current_dvalue = self.current_dvalue, value


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(COLLECT_PERIOD_S)
        gc.collect()


_POLICIES = {
    "None": ua.SecurityPolicyType.NoSecurity,
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128_Sha256_RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256_Sha256_RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}
