"""The requests of one OPC UA connection: who may ask what, how much at once, and in what order all are served.

Rules. Services that change the server itself do not exist. A secure channel is opened only for a certificate that is
trusted; a session only on a channel whose policy is offered, and only by the application its certificate names; a
session stays with its certificate and its secret token. The number of operations is read before a request is decoded.
All connections are served in turn. Large requests for reading, browsing and subscribing pass one at a time, and a
connection that used its share of the time waits before its next large one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.crypto.uacrypto import x509_from_der
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from controller.scada.opcua.decoding import announced, check_additional_header
from controller.scada.opcua.encoding import packed, response_bytes
from controller.scada.opcua.internal_server import PlantInternalServer, PlantSession
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.trust import check_application
from controller.scada.opcua.value_types import fault

_REQUEST_BYTES, _OPERATION_BYTES = 16_384, 512
_CHANNEL_LIFE_MS = (10_000, 3_600_000)
_NONCE_BYTES = 32
_OPERATION_DIAGNOSTICS = 0x3E0
_MANY_OPERATIONS = 100
_REST_MAX_NS = 250_000_000  # clients take a server that is silent for a second for dead


@dataclass(frozen=True, slots=True)
class _Service:
    """A request with an array of operations: where it begins, its limit, and whether it costs time."""

    skipped: int
    limit: str
    heavy: bool = False
    may_be_empty: bool = False


def _number(request: str) -> int:
    return int(getattr(ua.ObjectIds, f"{request}Request_Encoding_DefaultBinary"))


_CREATE_SESSION, _ACTIVATE_SESSION, _BROWSE = (_number(r) for r in ("CreateSession", "ActivateSession", "Browse"))
_COUNTED = {
    _number("Read"): _Service(12, "read_nodes", heavy=True),
    _number("Write"): _Service(0, "write_nodes"),
    _number("Call"): _Service(0, "calls"),
    _BROWSE: _Service(16, "browse_nodes", heavy=True),
    _number("TranslateBrowsePathsToNodeIds"): _Service(0, "browse_nodes", heavy=True),
    _number("RegisterNodes"): _Service(0, "browse_nodes"),
    _number("UnregisterNodes"): _Service(0, "browse_nodes"),
    _number("CreateMonitoredItems"): _Service(8, "monitored_per_call", heavy=True),
    _number("ModifyMonitoredItems"): _Service(8, "monitored_per_call", heavy=True),
    _number("SetMonitoringMode"): _Service(8, "monitored_per_call", heavy=True),
    _number("DeleteMonitoredItems"): _Service(4, "monitored_per_call", heavy=True),
    _number("DeleteSubscriptions"): _Service(0, "subscriptions", heavy=True),
    _number("SetPublishingMode"): _Service(1, "subscriptions"),
    _number("TransferSubscriptions"): _Service(0, "subscriptions"),
    _number("Publish"): _Service(0, "unacknowledged_at_once", may_be_empty=True),
}
_SINGLE = {_number(request) for request in ("CreateSubscription", "ModifySubscription", "Republish")}
_WITHOUT_TOKEN = {_CREATE_SESSION} | {_number(r) for r in ("FindServers", "GetEndpoints", "CloseSecureChannel")}
_WITHOUT_SESSION = _WITHOUT_TOKEN | {_ACTIVATE_SESSION, _number("CloseSession")}
_SERVICES = {*_COUNTED, *_SINGLE, *_WITHOUT_SESSION}


class Processor(UaProcessor):
    """One connection's requests."""

    session: PlantSession | None
    iserver: PlantInternalServer

    def __init__(
        self, server: PlantInternalServer, transport: asyncio.BaseTransport, limits: Any, allowed: Limits
    ) -> None:
        """Nobody has said anything yet."""
        cast("Any", super()).__init__(server, transport, limits)
        self._allowed = allowed
        self._wants_texts = False
        self._rests_until_ns = 0

    @property
    def is_logged_in(self) -> bool:
        """Whether a session is active."""
        return self.session is not None and self.session.is_activated()

    @property
    def _peer_certificate(self) -> bytes | None:
        """The channel's certificate, which the client has proved to own; None on a channel without security."""
        policy = self._connection.security_policy
        return None if policy.Mode == ua.MessageSecurityMode.None_ else policy.peer_certificate

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Buffer) -> None:
        """Open or renew the channel, for a trusted certificate."""
        request = struct_from_binary(ua.OpenSecureChannelRequest, body)
        wanted, connection = request.Parameters, self._connection
        if not connection.is_open():
            connection.select_policy(algohdr.SecurityPolicyURI, algohdr.SenderCertificate, wanted.SecurityMode)
        if self._peer_certificate is not None:
            assert self.iserver.trust is not None, "a policy with security has a trust list"
            self.iserver.trust.check(cast("Any", x509_from_der)(self._peer_certificate))
            if len(wanted.ClientNonce or b"") != connection.security_policy.secure_channel_nonce_length:
                raise fault(ua.StatusCodes.BadNonceInvalid)
        shortest, longest = _CHANNEL_LIFE_MS
        wanted.RequestedLifetime = cast("ua.UInt32", min(max(wanted.RequestedLifetime, shortest), longest))
        response = ua.OpenSecureChannelResponse()
        response.Parameters = connection.open(wanted, self.iserver)
        handle = request.RequestHeader.RequestHandle
        cast("Any", self).send_response(handle, seqhdr, response, ua.MessageType.SecureOpen)

    async def process_message(self, seqhdr: Any, body: Buffer) -> Any:
        """Bound the header before it is decoded."""
        check_additional_header(body)
        return await cast("Any", super()).process_message(seqhdr, body)

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Buffer) -> Any:
        number = cast("int", typeid.Identifier) if typeid.NamespaceIndex == 0 else 0
        self._check_session(number, requesthdr)
        is_large = self._check_size(number, body)
        self._wants_texts = bool(requesthdr.ReturnDiagnostics & _OPERATION_DIAGNOSTICS)

        async def serve() -> Any:
            return await cast("Any", super(Processor, self))._process_message(typeid, requesthdr, seqhdr, body)  # noqa: SLF001 - the library's own hook

        if number == _CREATE_SESSION:
            return await self._create_session(body, serve)
        if number == _ACTIVATE_SESSION:
            return await self._activate_session(requesthdr, body, serve)
        return await (self._in_turn(serve) if is_large else serve())

    def _check_session(self, number: int, requesthdr: Any) -> None:
        if number not in _SERVICES:
            raise fault(ua.StatusCodes.BadServiceUnsupported)
        if self.session is not None and self.session.is_closed:
            self.session = None
        if self.session is None and number not in _WITHOUT_SESSION:
            raise fault(ua.StatusCodes.BadSessionIdInvalid)
        needs_token = self.session is not None and number not in _WITHOUT_TOKEN
        if needs_token and requesthdr.AuthenticationToken != cast("PlantSession", self.session).auth_token:
            raise fault(ua.StatusCodes.BadSessionIdInvalid)

    def _check_size(self, number: int, body: Buffer) -> bool:
        """Refuse too many operations, or too large ones, before they are decoded; return whether it will cost time."""
        service, operations = _COUNTED.get(number), 0
        if service is not None:
            ahead = body.copy()
            if number == _BROWSE:
                nodeid_from_binary(ahead)  # the view
            operations = announced(ahead, service.skipped)
            if not operations and not service.may_be_empty:
                raise fault(ua.StatusCodes.BadNothingToDo)
            if operations > getattr(self._allowed, service.limit):
                raise fault(ua.StatusCodes.BadTooManyOperations)
        if len(body) > _REQUEST_BYTES + operations * _OPERATION_BYTES:
            raise fault(ua.StatusCodes.BadRequestTooLarge)
        return service is not None and service.heavy and operations > _MANY_OPERATIONS

    async def _create_session(self, body: Buffer, serve: Callable[[], Awaitable[Any]]) -> Any:
        policy = self._connection.security_policy
        if not any(offered.matches(policy.URI, policy.Mode) for offered in self._connection._policies):  # noqa: SLF001 - the library's list
            raise fault(ua.StatusCodes.BadSecurityPolicyRejected)
        if self.session is not None:
            raise fault(ua.StatusCodes.BadTooManySessions)
        wanted = struct_from_binary(ua.CreateSessionParameters, body.copy())
        mine = self._peer_certificate
        if mine is not None:
            own, stated = (cast("Any", x509_from_der)(der) for der in (mine, wanted.ClientCertificate))
            if own != stated:
                raise fault(ua.StatusCodes.BadCertificateInvalid)
            check_application(own, wanted.ClientDescription.ApplicationUri)
            if len(wanted.ClientNonce or b"") < _NONCE_BYTES:
                raise fault(ua.StatusCodes.BadNonceInvalid)
        answer = await serve()
        session = cast("PlantSession", self.session)
        session.certificate, session.holder = mine, self
        return answer

    async def _activate_session(self, requesthdr: Any, body: Buffer, serve: Callable[[], Awaitable[Any]]) -> Any:
        """Log in, here or on a new channel of the same application; the password is checked outside the loop."""
        held = self.session
        session = held or cast(
            "PlantSession | None", self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        )
        if session is None or session.certificate != self._peer_certificate:
            raise fault(ua.StatusCodes.BadSessionIdInvalid)
        token = struct_from_binary(ua.ActivateSessionParameters, body.copy()).UserIdentityToken
        if isinstance(token, ua.UserNameIdentityToken):
            await self.iserver.users.verify(*self.iserver.decrypt_user_token(session, token))
        activated = False
        try:
            answer = await serve()
            activated = True
        finally:
            if not activated:
                self.session = held  # the library would go on with somebody else's
        session.holder = self
        return answer

    async def _in_turn(self, serve: Callable[[], Awaitable[Any]]) -> Any:
        """Serve when this connection has rested from its last turn, and all others have had theirs."""
        clock = self.iserver.clock
        await asyncio.sleep(max(0.0, (self._rests_until_ns - clock.mono_ns()) * 1e-9))
        async with self.iserver.turnstile:
            await asyncio.sleep(0)
            started_ns = clock.mono_ns()
            answer = await serve()
            ended_ns = clock.mono_ns()
        rest_ns = (ended_ns - started_ns) * (1.0 / self._allowed.share - 1.0)
        self._rests_until_ns = ended_ns + min(round(rest_ns), _REST_MAX_NS)
        return answer

    def send_response(
        self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: Any = ua.MessageType.SecureMessage
    ) -> None:
        """Send a response, with the reasons of refused writes and calls where the client asked for diagnostics."""
        if self._wants_texts and self.session and isinstance(response, ua.WriteResponse | ua.CallResponse):
            response.DiagnosticInfos = [_diagnostics(text) for text in self.session.texts]
        response.ResponseHeader.RequestHandle = requesthandle
        data = response_bytes(response)
        self._transport.write(self._connection.message_to_binary(data, msgtype, seqhdr.RequestId))

    async def forward_publish_response(self, result: ua.PublishResult, requestdata: Any) -> None:
        """Send notifications, encoded once, also for those who will ask for them again."""
        message = result.NotificationMessage
        message.NotificationData = [packed(one) for one in message.NotificationData]
        await cast("Any", super()).forward_publish_response(result, requestdata)

    def _should_close_session_on_transport_loss(self) -> bool:
        """A session that went on to another connection outlives this one."""
        if self.session is None or self.session.holder is not self:
            return False
        return bool(cast("Any", super())._should_close_session_on_transport_loss())  # noqa: SLF001 - the library's own hook


def _diagnostics(text: str) -> ua.DiagnosticInfo:
    return ua.DiagnosticInfo(AdditionalInfo=cast("ua.String", text)) if text else ua.DiagnosticInfo()
