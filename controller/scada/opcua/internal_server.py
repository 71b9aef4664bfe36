"""The library's internal server and sessions with the plant's services in place of its own.

Rules. A session's token can't be guessed. A subscription belongs to its session: nobody else sees, changes, deletes or
takes it over, but the same user with a session of its own. Nothing can be registered or added from outside.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from asyncua import ua
from asyncua.crypto.permission_rules import User
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.server.user_managers import UserManager

from controller.plant.clock import Clock
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.monitoring import PlantSubscriptions
from controller.scada.opcua.nodes import NodeStore, PlantNodes
from controller.scada.opcua.services import PlantServices
from controller.scada.opcua.standard_nodes import StandardNodes
from controller.scada.opcua.trust import TrustList
from controller.scada.opcua.users import Users
from controller.scada.opcua.value_types import fault, opaque_id
from controller.scada.opcua.view import Browsing

NO_SUBSCRIPTION = 0
_RSA_15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"  # decryption of it can be used as an oracle


class PlantSession(InternalSession):
    """One client's session."""

    iserver: PlantInternalServer

    def __init__(self, server: PlantInternalServer, session_name: str) -> None:
        """Replace the library's token, which counts up."""
        super().__init__(server, server.aspace, server.subscription_service, session_name, User(), external=True)
        server.unregister_external_session(self)
        self.auth_token = opaque_id(secrets.token_bytes(32))
        server.register_external_session(self)
        self.certificate: bytes | None = None  # of the channel it was created on
        self.holder: object = None  # the connection that serves it now
        self.texts: list[str] = []  # of the last write or call, for its diagnostics

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self.state is SessionState.Closed

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: tuple[str, int] | None = None
    ) -> ua.CreateSessionResult:
        """Answer with the size of requests that is really taken."""
        result = await super().create_session(params, sockname)
        result.MaxRequestMessageSize = cast("ua.UInt32", self.iserver.allowed.message_bytes)
        return result

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read attributes."""
        return self.iserver.services.read(params, self.user)

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Write values."""
        outcomes = await self.iserver.services.write(params.NodesToWrite, self.user)
        self.texts = [outcome.text for outcome in outcomes]
        return [outcome.status for outcome in outcomes]

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call methods."""
        results = await self.iserver.services.call(params, self.user)
        self.texts = [text for _, text in results]
        return [result for result, _ in results]

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        """Create a subscription of one's own."""
        return await self.iserver.subscriptions.create_for(
            self.user, params, callback, self.session_id, request_callback
        )

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Watch attributes; here and below only in a subscription of one's own."""
        self._require_own(params.SubscriptionId)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """Change how."""
        self._require_own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """Watch no more."""
        self._require_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """Report, or be quiet."""
        self._require_own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Answer with what stays as it is."""
        self._require_own(params.SubscriptionId)
        return super().modify_subscription(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """Publish, or be quiet."""
        params.SubscriptionIds = [self._own(key) for key in params.SubscriptionIds]
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """End subscriptions."""
        return await super().delete_subscriptions([self._own(key) for key in ids])

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        """Acknowledge messages; return how many subscriptions there are to publish for."""
        own = sum(1 for one in self.subscription_service.subscriptions.values() if one.session_id == self.session_id)
        if not own:
            raise fault(ua.StatusCodes.BadNoSubscription)
        acks = [dataclasses.replace(ack, SubscriptionId=self._own(ack.SubscriptionId)) for ack in acks or ()]
        return own, super().publish(acks)[1]

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Send a message again that was not acknowledged."""
        self._require_own(params.SubscriptionId)
        message = super().republish(params)
        if not message.NotificationData:
            raise fault(ua.StatusCodes.BadMessageNotAvailable)
        return message

    async def transfer_subscriptions(  # type: ignore[override]  # as in the library, which says why
        self, params: ua.TransferSubscriptionsParameters, callback: Any
    ) -> list[ua.TransferResult]:
        """Take over what a lost session of the same user left; both of its callbacks, the library forgets one."""
        mine = self.iserver.subscriptions.of_user(self.user)
        taken = [key if key in mine else NO_SUBSCRIPTION for key in params.SubscriptionIds]
        results = await super().transfer_subscriptions(dataclasses.replace(params, SubscriptionIds=taken), callback)
        for key in mine.intersection(taken):
            self.subscription_service.subscriptions[key].pub_request_callback = callback.__self__.get_publish_request
        return results

    def _own(self, key: int) -> Any:
        found = self.subscription_service.subscriptions.get(key)
        return key if found is not None and found.session_id == self.session_id else NO_SUBSCRIPTION

    def _require_own(self, key: int) -> None:
        if self._own(key) != key:
            raise fault(ua.StatusCodes.BadSubscriptionIdInvalid)


class PlantInternalServer(InternalServer):
    """Sessions, nodes and services of the face."""

    def __init__(self, plant_nodes: PlantNodes, users: Users, allowed: Limits, clock: Clock) -> None:
        """Wire what needs no address space; `services` and `trust` come later."""
        super().__init__(user_manager=cast("UserManager", users))
        self.users, self.allowed, self.clock = users, allowed, clock
        self.services: PlantServices
        self.subscriptions: PlantSubscriptions
        self.trust: TrustList | None = None
        self.turnstile = asyncio.Lock()
        self.view_service = Browsing(self.aspace)
        self._plant_nodes = plant_nodes
        self._cache: Path | None = None
        self._bound(allowed)

    def _bound(self, allowed: Limits) -> None:
        """Set the library's own limits."""
        self.disabled_clock = True  # the face sets the time
        self.max_session_timeout_ms = allowed.session_timeout_s * 1e3
        self.max_connections = allowed.connections
        self.max_pending_activation_seconds = allowed.activation_s
        self.max_subscriptions = allowed.subscriptions
        self.max_unacked_messages_per_subscription = allowed.unacknowledged
        self.max_monitored_item_queue_size = allowed.item_queue

    def use(self, services: PlantServices, subscriptions: PlantSubscriptions, cache: Path | None) -> None:
        """Take the services of the plant, and where standard nodes are kept."""
        self.services, self.subscriptions, self._cache = services, subscriptions, cache
        self.subscription_service = subscriptions
        self.isession.subscription_service = subscriptions

    @property
    def session_count(self) -> int:
        """Sessions of clients, active or not yet."""
        return len(self._external_sessions)

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        """Take the standard's nodes from the cache, or have the library build them and keep them."""
        del shelf_file
        standard = StandardNodes.load(self._cache) if self._cache else None
        if standard is None:
            await super().load_standard_address_space()
            standard = StandardNodes.pack(self.aspace._nodes)  # noqa: SLF001 - the library has no seam for its nodes
            if self._cache:
                standard.save(self._cache)
        self.aspace._nodes = NodeStore(standard, self._plant_nodes)  # noqa: SLF001 - as above

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:  # noqa: FBT001, FBT002 - the library's signature
        """Return a new session of a client, if there may be another."""
        del user, external
        if self.session_count >= self.allowed.sessions:
            raise fault(ua.StatusCodes.BadTooManySessions)
        return PlantSession(self, name)

    def decrypt_user_token(self, isession: Any, token: ua.UserNameIdentityToken) -> tuple[str, str]:
        """Return name and password; whatever is wrong with them is one and the same to the client."""
        if token.EncryptionAlgorithm == _RSA_15:
            raise fault(ua.StatusCodes.BadIdentityTokenInvalid)
        try:
            name, password = cast("tuple[Any, Any]", super().decrypt_user_token(isession, token))
        except (ValueError, TypeError, AttributeError, struct.error):
            raise fault(ua.StatusCodes.BadIdentityTokenInvalid) from None
        if not isinstance(name, str) or not isinstance(password, str):
            raise fault(ua.StatusCodes.BadIdentityTokenInvalid)
        return name, password
