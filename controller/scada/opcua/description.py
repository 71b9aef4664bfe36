"""What the OPC UA server says of itself: product, limits, time, and how much its values can be relied on.

Rule: the service level (OPC 10000-4, 6.6.2.4.2) is 255 while control publishes and 1, "no data", while it is silent,
so that a client with two servers turns to the other one.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua

from controller import __version__
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.value_types import attribute, date_time, standard_id

NAME = "Battery plant controller"
_PRODUCT = "urn:bess-controller"
_HEALTHY, _NO_DATA = 255, 1
_TIME = standard_id(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_STATUS = standard_id(ua.ObjectIds.Server_ServerStatus)
_LEVEL = standard_id(ua.ObjectIds.Server_ServiceLevel)
_LIMITS = {
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerRead": "read_nodes",
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite": "write_nodes",
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall": "calls",
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse": "browse_nodes",
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes": "browse_nodes",
    "Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds": "browse_nodes",
    "Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall": "monitored_per_call",
    "Server_ServerCapabilities_MaxSessions": "sessions",
    "Server_ServerCapabilities_MaxSubscriptions": "subscriptions",
    "Server_ServerCapabilities_MaxSubscriptionsPerSession": "subscriptions_per_session",
    "Server_ServerCapabilities_MaxMonitoredItems": "items",
    "Server_ServerCapabilities_MaxMonitoredItemsPerSubscription": "items_per_subscription",
    "Server_ServerCapabilities_MaxMonitoredItemsQueueSize": "item_queue",
}


async def describe(server: Server, allowed: Limits) -> None:
    """Write name, version and limits into the standard's nodes."""
    server.application_type = ua.ApplicationType.Server
    server.name, server.product_uri, server.manufacturer_name = NAME, _PRODUCT, _PRODUCT
    built = datetime(1970, 1, 1, tzinfo=UTC)
    await server.set_build_info(_PRODUCT, _PRODUCT, NAME, __version__, "0", built)
    for node, limit in _LIMITS.items():
        key = standard_id(getattr(ua.ObjectIds, node))
        await _write(server, key, getattr(allowed, limit), ua.VariantType.UInt32)


async def tell_time(server: Server, utc_ns: int) -> None:
    """Write the present time, which many clients watch to see that the server lives."""
    now = date_time(utc_ns)
    shown = server.iserver.read_attribute_value(_STATUS).Value
    if shown is not None:
        await _write(server, _STATUS, dataclasses.replace(shown.Value, CurrentTime=now), ua.VariantType.ExtensionObject)
    await _write(server, _TIME, now, ua.VariantType.DateTime)


async def tell_level(server: Server, *, is_fresh: bool) -> None:
    """Write whether there is data."""
    level = _HEALTHY if is_fresh else _NO_DATA
    shown = server.iserver.read_attribute_value(_LEVEL).Value
    if shown is None or shown.Value != level:
        await _write(server, _LEVEL, level, ua.VariantType.Byte)


async def _write(server: Server, key: ua.NodeId, value: Any, variant_type: ua.VariantType) -> None:
    result = await server.iserver.aspace.write_attribute_value(
        key, ua.AttributeIds.Value, attribute(value, variant_type)
    )
    result.check()
