"""Subscriptions over a real connection: changes, statuses, deadbands, limits, and whose they are."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, cast

import pytest
from asyncua import Client, ua
from asyncua.common.subscription import Subscription

from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.link.plant_view import Snapshot
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.value_types import standard_id
from tests.scada.opcua.parts import client_of, name_of, served, tag_id, talking_plant, until

POWER = "Plant.ActivePower"
FREQUENCY = "Plant.Frequency"
CELLS = "Plant.Block01.Rack03.CellVoltages"


class Seen:
    """What a subscription was told, by tag."""

    def __init__(self) -> None:
        self.values: defaultdict[str, list[Any]] = defaultdict(list)

    def datachange_notification(self, node: Any, _value: object, data: Any) -> None:
        self.values[str(node.nodeid.Identifier)].append(data.monitored_item.Value)

    def shown(self, tag: str) -> list[Any]:
        return [value.Value.Value for value in self.values[tag]]

    def statuses(self, tag: str) -> list[str]:
        return [name_of(value.StatusCode) for value in self.values[tag]]


@pytest.fixture
async def view(demo_plant):
    return talking_plant(demo_plant)


@pytest.fixture
async def face(demo_plant, view, state):
    allowed = Limits(subscriptions_per_session=2, items_per_subscription=5, item_queue=3)
    async with served(demo_plant, view, state, allowed=allowed) as up:
        yield up


@pytest.fixture
async def client(face):
    async with client_of(face) as connected:
        yield connected


async def subscribed(client: Client, *tags: str, period_ms: float = 100.0) -> tuple[Subscription, Seen]:
    seen = Seen()
    subscription = await client.create_subscription(period_ms, seen)
    await subscription.subscribe_data_change([client.get_node(tag_id(tag)) for tag in tags])
    await until(lambda: all(seen.values[tag] for tag in tags))
    return subscription, seen


async def created(subscription: Subscription, tag: str, **changes: Any) -> Any:
    """Create one monitored item by hand and return the result."""
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = ua.ReadValueId(tag_id(tag), cast("Any", changes.pop("attribute", ua.AttributeIds.Value)))
    item.ItemToMonitor.IndexRange = changes.pop("index_range", None)
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters = ua.MonitoringParameters(**changes)
    params = ua.CreateMonitoredItemsParameters(cast("Any", subscription.subscription_id), ItemsToCreate=[item])
    (result,) = await subscription.server.create_monitored_items(params)
    return result


async def test_changes_are_told_and_nothing_else(client, view):
    _, seen = await subscribed(client, POWER, FREQUENCY)

    view.show(plant__active_power=2e6)
    await until(lambda: len(seen.values[POWER]) > 1)

    assert seen.shown(POWER) == [1.5e-6, 2.0]
    assert len(seen.values[FREQUENCY]) == 1
    assert seen.values[POWER][1].SourceTimestamp >= seen.values[POWER][0].SourceTimestamp


async def test_arrays_are_told_whole(client, view):
    _, seen = await subscribed(client, CELLS)

    image = Image(view.snap.image.layout)
    image.copy_from(view.snap.image)
    image["cell.voltage"].value[2, 7] = 3.0
    view.publish(image)
    await until(lambda: len(seen.values[CELLS]) > 1)

    assert (len(seen.shown(CELLS)[1]), seen.shown(CELLS)[1][7], seen.shown(CELLS)[1][8]) == (240, 3.0, 3.5)


async def test_a_silent_control_is_told_and_so_is_its_return(client, view):
    _, seen = await subscribed(client, POWER, CELLS)

    view.publishes = False
    await until(lambda: len(seen.values[POWER]) > 1 and len(seen.values[CELLS]) > 1)
    assert seen.shown(POWER)[1] is seen.shown(CELLS)[1] is None
    assert seen.statuses(POWER)[1] == seen.statuses(CELLS)[1] == "BadNoCommunication"
    view.publishes = True
    await until(lambda: len(seen.values[POWER]) > 2 and len(seen.values[CELLS]) > 2)
    assert seen.statuses(POWER)[2] == seen.statuses(CELLS)[2] == "Good"


async def test_who_subscribes_before_control_ever_published_is_told_to_wait(client, view, demo_plant):
    published = view.snap
    view.publishes, view.snap = False, Snapshot.none(plant_layout(demo_plant))

    _, seen = await subscribed(client, POWER)
    view.publishes, view.snap = True, published
    await until(lambda: len(seen.values[POWER]) > 1)

    assert seen.statuses(POWER) == ["BadWaitingForInitialData", "Good"]


async def test_a_deadband_is_around_what_was_last_told(client, face, view):
    seen = Seen()
    subscription = await client.create_subscription(100, seen)
    await subscription.deadband_monitor(client.get_node(tag_id(POWER)), cast("Any", 0.5))
    await until(lambda: seen.values[POWER])

    for power_w in (0.3e6, 0.45e6, 0.6e6, 0.8e6):  # small steps; the third leaves the band around zero
        view.show(plant__active_power=power_w)
        await face.server.sample_once()
    await until(lambda: len(seen.values[POWER]) > 1)

    assert seen.shown(POWER) == [1.5e-6, 0.6]


@pytest.mark.parametrize(
    ("tag", "changes", "status"),
    [
        ("Plant.Nowhere", {}, "BadNodeIdUnknown"),
        (POWER, {"attribute": ua.AttributeIds.Executable}, "BadAttributeIdInvalid"),
        (CELLS, {"index_range": "0:3"}, "BadIndexRangeInvalid"),
        (POWER, {"Filter": ua.EventFilter()}, "BadMonitoredItemFilterUnsupported"),
        (POWER, {"Filter": ua.DataChangeFilter(DeadbandType=2, DeadbandValue=101.0)}, "BadDeadbandFilterInvalid"),
        (POWER, {"Filter": ua.DataChangeFilter(DeadbandType=1, DeadbandValue=-1.0)}, "BadDeadbandFilterInvalid"),
        (POWER, {"Filter": ua.DataChangeFilter(DeadbandType=1, DeadbandValue=math.nan)}, "BadDeadbandFilterInvalid"),
        ("Plant.State", {"Filter": ua.DataChangeFilter(DeadbandType=2, DeadbandValue=1.0)}, "BadDeadbandFilterInvalid"),
        ("Plant.Tripped", {"Filter": ua.DataChangeFilter(DeadbandType=1, DeadbandValue=1.0)}, "BadFilterNotAllowed"),
        (POWER, {"attribute": ua.AttributeIds.EventNotifier}, "BadEventFilterInvalid"),
        (POWER, {"Filter": ua.DataChangeFilter(DeadbandType=2, DeadbandValue=5.0)}, "Good"),
        (POWER, {"attribute": ua.AttributeIds.DisplayName}, "Good"),
    ],
)
async def test_an_item_is_created_or_its_status_says_why_not(client, tag, changes, status):
    subscription = await client.create_subscription(100, Seen())

    result = await created(subscription, tag, ClientHandle=1, **changes)

    assert name_of(result.StatusCode) == status


async def test_no_more_items_than_a_subscription_may_have(client):
    subscription = await client.create_subscription(100, Seen())

    statuses = [name_of((await created(subscription, POWER, ClientHandle=n)).StatusCode) for n in range(6)]

    assert statuses == ["Good"] * 5 + ["BadTooManyMonitoredItems"]


async def test_no_more_subscriptions_than_a_session_may_have(client):
    for _ in range(2):
        await client.create_subscription(100, Seen())

    with pytest.raises(ua.uaerrors.BadTooManySubscriptions):
        await client.create_subscription(100, Seen())


@pytest.mark.parametrize(
    ("wanted", "revised"), [(0.0, 100.0), (1.0, 100.0), (-5.0, 100.0), (math.nan, 100.0), (1e9, 6e4)]
)
async def test_nobody_is_told_more_often_than_allowed(client, wanted, revised):
    params = ua.CreateSubscriptionParameters(RequestedPublishingInterval=cast("Any", wanted))

    result = await client.uaclient.create_subscription(params, Seen())

    assert result.RevisedPublishingInterval == revised


async def test_what_is_asked_for_is_bounded(client):
    counts = {"RequestedLifetimeCount": 2**32 - 1, "RequestedMaxKeepAliveCount": 2**32 - 1}
    params = ua.CreateSubscriptionParameters(RequestedPublishingInterval=cast("Any", 1000.0), **cast("Any", counts))

    result = await client.uaclient.create_subscription(params, Seen())
    item = await created(await client.create_subscription(100, Seen()), POWER, ClientHandle=1, QueueSize=2**31)

    assert (result.RevisedLifetimeCount, result.RevisedMaxKeepAliveCount) == (600, 200)  # ten minutes
    assert (item.RevisedQueueSize, item.RevisedSamplingInterval) == (3, 200.0)


async def test_items_are_changed_quietened_and_ended(client, face, view):
    seen = Seen()
    subscription = await client.create_subscription(100, seen)
    key = (await created(subscription, POWER, ClientHandle=1)).MonitoredItemId
    server, number = subscription.server, cast("Any", subscription.subscription_id)
    modify = ua.MonitoredItemModifyRequest(key, ua.MonitoringParameters(ClientHandle=cast("Any", 9)))
    unknown = ua.MonitoredItemModifyRequest(cast("Any", 1), ua.MonitoringParameters())
    wrong = ua.MonitoredItemModifyRequest(key, ua.MonitoringParameters(Filter=cast("Any", ua.EventFilter())))

    modified = await server.modify_monitored_items(
        ua.ModifyMonitoredItemsParameters(number, ItemsToModify=[modify, unknown, wrong])
    )
    quiet = await server.set_monitoring_mode(
        ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Disabled, [key, cast("Any", 1)])
    )
    ended = await server.delete_monitored_items(ua.DeleteMonitoredItemsParameters(number, [key, key]))

    unsupported = "BadMonitoredItemFilterUnsupported"
    assert [name_of(result.StatusCode) for result in modified] == ["Good", "BadMonitoredItemIdInvalid", unsupported]
    assert [name_of(status) for status in quiet] == ["Good", "BadMonitoredItemIdInvalid"]
    assert [name_of(status) for status in ended] == ["Good", "BadMonitoredItemIdInvalid"]
    assert face.server.status()["items"] == 0
    view.show(plant__active_power=2e6)
    await face.server.sample_once()  # nobody listens any more


async def test_the_standards_own_nodes_are_monitored_too(client):
    seen = Seen()
    subscription = await client.create_subscription(100, seen)
    time = client.get_node(standard_id(ua.ObjectIds.Server_ServerStatus_CurrentTime))
    handle = await subscription.subscribe_data_change(time)

    await until(lambda: len(seen.values[str(ua.ObjectIds.Server_ServerStatus_CurrentTime)]) > 1)
    await subscription.unsubscribe(handle)


async def test_nobody_touches_the_subscription_of_another(client, face):
    subscription, _ = await subscribed(client, POWER)
    number = cast("Any", subscription.subscription_id)
    async with client_of(face) as other:
        server = other.uaclient
        create = ua.CreateMonitoredItemsParameters(number, ItemsToCreate=[ua.MonitoredItemCreateRequest()])
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await server.create_monitored_items(create)
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await server.delete_monitored_items(ua.DeleteMonitoredItemsParameters(number, [cast("Any", 1)]))
        (deleted,) = await server.delete_subscriptions([number])

    assert name_of(deleted) == "BadSubscriptionIdInvalid"
    assert face.server.status()["subscriptions"] == 1


async def test_a_lost_subscription_is_taken_over_by_the_same_user(client, face):
    subscription, _ = await subscribed(client, POWER)
    transfer = ua.TransferSubscriptionsParameters([cast("Any", subscription.subscription_id), cast("Any", 1)])
    async with client_of(face) as other:  # both are anonymous: in the demo all clients are one
        taken = await other.uaclient.transfer_subscriptions(transfer)
        (deleted,) = await other.uaclient.delete_subscriptions([cast("Any", subscription.subscription_id)])

    assert [name_of(result.StatusCode) for result in taken] == ["Good", "BadSubscriptionIdInvalid"]
    assert name_of(deleted) == "Good"


async def test_a_client_that_ends_leaves_nothing_behind(face):
    async with client_of(face) as client:
        await subscribed(client, POWER, CELLS)
        assert face.server.status()["items"] == 2

    await until(lambda: face.server.status()["connections"] == 0)
    status = face.server.status()
    assert (status["sessions"], status["subscriptions"], status["items"]) == (0, 0, 0)
