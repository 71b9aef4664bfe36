"""The OPC UA face of a plant: nodes, services, security and the listening socket, wired together.

Rules. Reads are answered from the newest snapshot; writes and calls become commands; monitored points, and only those,
are compared a few times a second. Nothing is ever Good once control is silent. Without security, or for anybody, the
face is on loopback only; elsewhere clients need a certificate in `pki/trusted` and a user of the secret file. The
collector is off while the face is built, what was built is frozen, and garbage is collected by the clock: connections
that break in the middle of a message leave cycles that an idle server would never collect.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import math
from pathlib import Path
from typing import Any, cast

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits

from controller.image.data_periods import DataPeriods
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock
from controller.plant.model import OpcUaFace
from controller.points.point_list import PointList
from controller.scada.alarm_words import AlarmWords
from controller.scada.code_words import Wording
from controller.scada.opcua.connection import Listener
from controller.scada.opcua.decoding import bound_decoding
from controller.scada.opcua.description import describe, tell_level, tell_time
from controller.scada.opcua.identity import application_uri, load_or_make
from controller.scada.opcua.internal_server import PlantInternalServer
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.monitoring import PlantSubscriptions
from controller.scada.opcua.nodes import NAMESPACE, NAMESPACE_URI, SAMPLING_MS, PlantNodes
from controller.scada.opcua.quiet_log import quieten_library
from controller.scada.opcua.sampling import Sampler
from controller.scada.opcua.services import PlantServices
from controller.scada.opcua.trust import TrustList
from controller.scada.opcua.users import UsersError, users_of
from controller.scada.opcua.values import Moments
from controller.scada.readings import PointReader

COLLECT_PERIOD_S = 10.0
_TIME_PERIOD_S = 1.0
_SAMPLED_AT_ONCE = 500
_NO_SECURITY = "None"
_POLICIES = {
    _NO_SECURITY: ua.SecurityPolicyType.NoSecurity,
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128_Sha256_RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256_Sha256_RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}
_logger = logging.getLogger(__name__)


class _Server(Server):
    """The library's server with our listener."""

    iserver: PlantInternalServer
    allowed: Limits

    async def start(self) -> None:
        """Open the port."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = Listener(self.iserver, host or "", port or 0, self.limits, self.allowed)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()


class OpcUaServer:
    """One face. `start` returns the endpoint; `serve` runs until cancelled."""

    def __init__(
        self,
        face: OpcUaFace,
        listed: PointList,
        view: PlantView,
        periods: DataPeriods,
        clock: Clock,
        state: Path | None,
        allowed: Limits | None = None,
        wording: Wording | None = None,
    ) -> None:
        """Wire the face; nothing is opened yet. `state` holds certificates, secrets and the standard's nodes."""
        _require_loopback_or_security(face)
        self._face, self._view, self._clock, self._state = face, view, clock, state
        self._allowed = allowed or Limits()
        nodes = PlantNodes(listed, wording.codes if wording else None)
        self._users = users_of(face, state, self._allowed.login_pause_s)
        internal = PlantInternalServer(nodes, self._users, self._allowed, clock)
        reader = PointReader(periods, AlarmWords(wording.alarms, clock) if wording else None)
        self._moments, self._sampler = Moments(view, reader, clock), Sampler(periods)
        services = PlantServices(internal.aspace, nodes, self._moments, view, clock)
        self._refusals = services.refusals
        subscriptions = PlantSubscriptions(internal, self._allowed, self._sampler, services, self._moments)
        internal.use(services, subscriptions, state)
        self._server = _Server(iserver=internal)
        self._server.allowed = self._allowed

    async def start(self) -> str:
        """Build the address space with the collector off, freeze it, open the port; return the endpoint's URL."""
        gc.disable()
        try:
            await self._build()
        finally:
            gc.freeze()
            gc.enable()
        host = f"[{self._face.host}]" if ":" in self._face.host else self._face.host
        return f"opc.tcp://{host}:{self._listener.bound_port()}"

    async def serve(self) -> None:
        """Sample, tell the time and collect until cancelled, then close.

        Raises an ExceptionGroup of SiteChangedError when control runs another site, also while nobody asks.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sample())
                group.create_task(self._tell())
                group.create_task(self._refusals.run())
                group.create_task(_collect_garbage())
        finally:
            await self._server.stop()

    def status(self) -> dict[str, Any]:
        """Return what `bess status` shows of this face."""
        internal, listener = self._server.iserver, self._listener
        return {
            "connections": len(listener.clients),
            "sessions": internal.session_count,
            "subscriptions": len(internal.subscriptions.subscriptions),
            "items": internal.subscriptions.item_count,
            "accepted": listener.counters.accepted,
            "refused": listener.counters.refused,
            "broken": dict(listener.counters.broken),
        }

    async def sample_once(self) -> None:
        """Offer what has changed to who monitors it. Asks for the snapshot also when nobody does."""
        moment = self._moments.now()
        for number, (value, listeners) in enumerate(self._sampler.changes(moment), 1):
            for listener in listeners:
                listener.offer(value)
            if number % _SAMPLED_AT_ONCE == 0:
                await asyncio.sleep(0)

    @property
    def _listener(self) -> Listener:
        return cast("Listener", self._server.bserver)

    async def _build(self) -> None:
        quieten_library(self._clock)
        bound_decoding()
        server, face = self._server, self._face
        server.limits = _transport_limits(self._allowed)
        await server.init()
        await self._secure()
        await describe(server, self._allowed)
        namespace = await server.register_namespace(NAMESPACE_URI)
        assert namespace == NAMESPACE, f"the points have namespace {namespace}"
        host = f"[{face.host}]" if ":" in face.host else face.host
        server.set_endpoint(f"opc.tcp://{host}:{face.port}")
        await server.start()

    async def _secure(self) -> None:
        """Offer the face's policies and log-ins; with security, load or make who we are and whom we trust."""
        server, face = self._server, self._face
        uri = application_uri()
        if set(face.policies) != {_NO_SECURITY}:
            assert self._state is not None, "certificates need the state folder"
            pki = self._state / "pki"
            identity = await asyncio.to_thread(load_or_make, pki, face.host, self._clock)
            server.iserver.certificate, server.iserver.private_key = identity.certificate, identity.key
            server.iserver.trust = TrustList(pki, self._clock)
            uri = identity.application_uri
        await server.set_application_uri(uri)
        server.set_security_policy([_POLICIES[policy] for policy in face.policies])
        tokens = {ua.AnonymousIdentityToken: face.anonymous, ua.UserNameIdentityToken: self._users.path is not None}
        server.set_identity_tokens([token for token, is_taken in tokens.items() if is_taken])
        try:
            self._users.load()
        except UsersError as error:
            _logger.warning("nobody can log in by name: %s", error)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLING_MS * 1e-3)
            await self.sample_once()
            is_fresh = not self._view.snapshot().is_stale(self._clock.mono_ns())
            await tell_level(self._server, is_fresh=is_fresh)

    async def _tell(self) -> None:
        while True:
            await tell_time(self._server, self._clock.utc_ns())
            await asyncio.sleep(_TIME_PERIOD_S)


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(COLLECT_PERIOD_S)
        gc.collect()


def _require_loopback_or_security(face: OpcUaFace) -> None:
    if not is_loopback(face.host) and (face.anonymous or _NO_SECURITY in face.policies):
        raise ValueError(f"OPC UA on {face.host} for anybody or without security; expected only on loopback")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _transport_limits(allowed: Limits) -> TransportLimits:
    assert allowed.chunks >= math.ceil(allowed.message_bytes / allowed.chunk_bytes), "chunks hold a message"
    return TransportLimits(allowed.chunk_bytes, allowed.chunk_bytes, allowed.chunks, allowed.message_bytes)
