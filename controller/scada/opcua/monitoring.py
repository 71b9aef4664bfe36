"""Subscriptions: what a client may ask for, how often, and how much of it.

Rules. Intervals, lives, queues and numbers are bounded here; what is beyond is refused, item by item where the
standard can. Items on plant nodes are ours and sampled together (`opcua_sampling`), items on the standard's nodes are
the library's. A subscription has an owner: a session may take over only what a session of the same user left.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

from asyncua import ua
from asyncua.crypto.permission_rules import User
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.uaprotocol_auto import EventFilter  # what is decoded; `ua` exports a subclass of it

from controller.scada.opcua.items import PlantItem, filter_of, filter_problem
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.nodes import NAMESPACE, SAMPLING_MS
from controller.scada.opcua.sampling import Sampler
from controller.scada.opcua.services import PlantServices, is_unknown
from controller.scada.opcua.value_types import fault, status
from controller.scada.opcua.values import Moment, Moments

_LONGEST_INTERVAL_MS = 60_000.0
_LIFE_MS = 600_000.0  # of a subscription whose client asks for nothing


class PlantItems(MonitoredItemService):
    """The monitored items of one subscription."""

    def __init__(self, subscription: InternalSubscription, server: PlantSubscriptions, user: User) -> None:
        """Start without items."""
        super().__init__(subscription, server.aspace)
        self._server, self._user = server, user
        self.items: dict[int, PlantItem] = {}

    @property
    def count(self) -> int:
        """Items of both kinds."""
        return len(self.items) + len(self._monitored_items)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Create each item, or say why not."""
        moment = self._server.moments.now()
        return [await self._create(request, moment) for request in params.ItemsToCreate]

    async def _create(self, request: ua.MonitoredItemCreateRequest, moment: Moment) -> ua.MonitoredItemCreateResult:
        target = request.ItemToMonitor
        if self._server.is_full(self):
            return _refused(ua.StatusCodes.BadTooManyMonitoredItems)
        if target.IndexRange:
            return _refused(ua.StatusCodes.BadIndexRangeInvalid)
        if target.AttributeId == ua.AttributeIds.EventNotifier:
            return self._create_event_item(request)
        problem = filter_problem(filter_of(request.RequestedParameters), self._server.services.point_of(target.NodeId))
        if problem != ua.StatusCodes.Good:
            return _refused(problem)
        if target.NodeId.NamespaceIndex == NAMESPACE:
            return self._create_plant_item(request, moment)
        return await self._create_data_change_monitored_item(request)

    def _create_event_item(self, request: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        if not isinstance(request.RequestedParameters.Filter, EventFilter):
            return _refused(ua.StatusCodes.BadEventFilterInvalid)
        return self._create_events_monitored_item(request)

    def _create_plant_item(
        self, request: ua.MonitoredItemCreateRequest, moment: Moment
    ) -> ua.MonitoredItemCreateResult:
        value = self._server.services.read_one(request.ItemToMonitor, moment, self._user)
        if is_unknown(value):
            assert value.StatusCode is not None, "an unknown node has a status"
            return _refused(value.StatusCode.value)
        result, _ = self._make_monitored_item_common(request)
        result.RevisedSamplingInterval = cast("ua.Duration", SAMPLING_MS)
        result.RevisedQueueSize = cast("ua.UInt32", self._queue_size(request.RequestedParameters.QueueSize))
        item = self._item(result, request)
        self.items[result.MonitoredItemId] = item
        item.offer(value)
        if item.point is not None:
            self._server.sampler.watch(item.point, item)
        return result

    def _item(self, result: ua.MonitoredItemCreateResult, request: ua.MonitoredItemCreateRequest) -> PlantItem:
        target, wanted, key = request.ItemToMonitor, request.RequestedParameters, result.MonitoredItemId
        is_value = target.AttributeId == ua.AttributeIds.Value
        return PlantItem(
            point=self._server.services.point_of(target.NodeId) if is_value else None,
            client_handle=wanted.ClientHandle,
            mode=request.MonitoringMode,
            queue_size=result.RevisedQueueSize,
            filter=filter_of(wanted),
            queue=lambda: self.isub._triggered_datachanges.setdefault(key, []),  # noqa: SLF001 - what is published next
        )

    def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        """Change handle, queue and filter of each item."""
        return [self._modify(request) for request in params.ItemsToModify]

    def _modify(self, request: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        result, wanted = ua.MonitoredItemModifyResult(), request.RequestedParameters
        item = self.items.get(request.MonitoredItemId)
        problem = filter_problem(filter_of(wanted), item.point) if item else ua.StatusCodes.Good
        if problem != ua.StatusCodes.Good:
            result.StatusCode = status(problem)
        elif item is not None:
            item.client_handle, item.queue_size = wanted.ClientHandle, self._queue_size(wanted.QueueSize)
            item.filter = filter_of(wanted)
            result.RevisedSamplingInterval = cast("ua.Duration", SAMPLING_MS)
            result.RevisedQueueSize = cast("ua.UInt32", item.queue_size)
        elif request.MonitoredItemId in self._monitored_items:
            self._monitored_items[request.MonitoredItemId].client_handle = wanted.ClientHandle
            result.RevisedQueueSize = cast("ua.UInt32", 1)
        else:
            result.StatusCode = status(ua.StatusCodes.BadMonitoredItemIdInvalid)
        return result

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        item = self.items.get(mid)
        if item is None:
            return await super()._set_monitoring_mode(mode, mid)
        item.mode = mode
        item.reported = None
        if item.point is not None:
            item.offer(self._server.moments.now().read(item.point))
        return status(ua.StatusCodes.Good)

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        item = self.items.pop(mid, None)
        if item is None:
            return super()._delete_monitored_items(mid)
        if item.point is not None:
            self._server.sampler.unwatch(item.point, item)
        return status(ua.StatusCodes.Good)

    def delete_all_monitored_items(self) -> None:
        """End with the subscription."""
        self.delete_monitored_items([*self.items, *self._monitored_items])

    def _queue_size(self, wanted: int) -> int:
        return min(max(1, wanted), self._server.allowed.item_queue)


class PlantSubscriptions(SubscriptionService):
    """All subscriptions of the face."""

    def __init__(
        self, iserver: InternalServer, allowed: Limits, sampler: Sampler, services: PlantServices, moments: Moments
    ) -> None:
        """Start without subscriptions."""
        super().__init__(iserver.aspace, iserver)
        self.allowed, self.sampler, self.services, self.moments = allowed, sampler, services, moments
        self._owners: dict[int, str] = {}

    @property
    def item_count(self) -> int:
        """Monitored items of all subscriptions."""
        return sum(cast("PlantItems", one.monitored_item_srv).count for one in self.subscriptions.values())

    async def create_for(
        self, user: User, params: ua.CreateSubscriptionParameters, callback: Any, session_id: ua.NodeId, request: Any
    ) -> ua.CreateSubscriptionResult:
        """Create a subscription within the limits, with items of ours."""
        if sum(1 for one in self.subscriptions.values() if one.session_id == session_id) >= (
            self.allowed.subscriptions_per_session
        ):
            raise fault(ua.StatusCodes.BadTooManySubscriptions)
        result = await self.create_subscription(self._bounded(params), callback, session_id, request)
        subscription = self.subscriptions[result.SubscriptionId]
        subscription.monitored_item_srv = PlantItems(subscription, self, user)
        self._owners = {key: self._owners.get(key, "") for key in self.subscriptions}
        self._owners[result.SubscriptionId] = user.name or ""
        return result

    def _bounded(self, params: ua.CreateSubscriptionParameters) -> ua.CreateSubscriptionParameters:
        """An interval within reason, and a life of at most ten minutes without a word from the client."""
        wanted = params.RequestedPublishingInterval
        shortest = self.allowed.publishing_interval_ms
        interval = min(max(wanted, shortest), _LONGEST_INTERVAL_MS) if math.isfinite(wanted) else shortest
        longest_life = max(3, int(_LIFE_MS / interval))
        keep_alive = min(max(1, params.RequestedMaxKeepAliveCount), longest_life // 3)
        life = min(max(3 * keep_alive, params.RequestedLifetimeCount), longest_life)
        return dataclasses.replace(
            params,
            RequestedPublishingInterval=cast("ua.Duration", interval),
            RequestedMaxKeepAliveCount=cast("ua.Counter", keep_alive),
            RequestedLifetimeCount=cast("ua.Counter", life),
        )

    def of_user(self, user: User) -> set[int]:
        """Return the ids of a named user's subscriptions."""
        return {key for key in self.subscriptions if user.name and self._owners.get(key) == user.name}

    def is_full(self, items: PlantItems) -> bool:
        """Whether this subscription, or the face, has as many items as it may."""
        if items.count >= self.allowed.items_per_subscription:
            return True
        return self.item_count >= self.allowed.items


def _refused(code: int) -> ua.MonitoredItemCreateResult:
    result = ua.MonitoredItemCreateResult()
    result.StatusCode = status(code)
    return result
