"""The OPC UA face as an OPC UA client sees it: the tree, values with type, status and time, writes and calls."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from asyncua import ua

from controller.alarms.states import AlarmState
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.control.commands import Action, Refusal
from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES
from controller.link.linked_plant import SiteChangedError
from controller.link.plant_view import Snapshot
from controller.points.point_list import PointType, point_list
from controller.runtime.clock import SystemClock
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.nodes import NAMESPACE_URI
from controller.scada.opcua.server import OpcUaServer
from controller.scada.opcua.value_types import standard_id
from controller.scada.opcua.values import VARIANT_TYPES
from tests.scada.opcua.parts import (
    DEMO_FACE,
    TalkingPlant,
    all_read,
    all_written,
    called,
    client_of,
    name_of,
    references,
    served,
    tag_id,
    talking_plant,
    value_of,
    walk,
    write_of,
    written,
)


@pytest.fixture
async def view(demo_plant):
    return talking_plant(demo_plant)


@pytest.fixture
async def face(demo_plant, view, state):
    async with served(demo_plant, view, state) as up:
        yield up


@pytest.fixture
async def client(face):
    async with client_of(face) as connected:
        yield connected


async def test_every_tag_stands_at_its_browse_path(client, demo_plant):
    listed = point_list(demo_plant)
    (top,) = await references(client, client.nodes.objects.nodeid)
    found = await walk(client, next(reference.NodeId for reference in top if reference.BrowseName.Name == "Plant"))

    wanted = {p.tag: ua.NodeClass.Variable for p in listed.points} | {
        m.tag: ua.NodeClass.Method for m in listed.methods
    }
    at = {tag: found[f"/{tag.partition('.')[2].replace('.', '/')}"] for tag in wanted}
    assert {tag: reference.NodeId for tag, reference in at.items()} == {tag: tag_id(tag) for tag in wanted}
    assert {tag: reference.NodeClass for tag, reference in at.items()} == wanted
    assert await client.get_namespace_index(NAMESPACE_URI) == 2


async def test_every_point_has_its_type_a_good_status_and_a_sample_time(client, demo_plant):
    points = point_list(demo_plant).points
    values = await all_read(client, *(p.tag for p in points))

    assert [p.tag for p, v in zip(points, values, strict=True) if v.Value.VariantType != VARIANT_TYPES[p.type]] == []
    # Measured values of fast meters may turn uncertain while hundreds of points are read; computed ones do not age.
    fitting = {True: {"Good", "UncertainLastUsableValue"}, False: {"Good"}}
    assert [
        p.tag
        for p, v in zip(points, values, strict=True)
        if name_of(v.StatusCode) not in fitting[QUANTITIES[p.quantity].measured]
    ] == []
    assert [p.tag for p, v in zip(points, values, strict=True) if v.SourceTimestamp is None] == []
    lengths = {
        len(v.Value.Value) == p.length for p, v in zip(points, values, strict=True) if p.type is PointType.NUMBERS
    }
    assert lengths == {True}


NUMBERS = {PointType.NUMBER, PointType.NUMBERS, PointType.COUNT}


async def test_every_number_says_its_unit_and_its_range(client, demo_plant):
    found = await walk(client, tag_id("Plant"))
    points = {p.tag: p for p in point_list(demo_plant).points}
    with_unit = {path for path in found if path.endswith("/EngineeringUnits")}

    assert with_unit == {
        f"/{t.partition('.')[2].replace('.', '/')}/EngineeringUnits" for t, p in points.items() if p.type in NUMBERS
    }
    tag = "Plant.Block01.Rack03.CellTemperatureMax"
    unit = (await value_of(client, f"{tag}.EngineeringUnits")).Value.Value
    assert (unit.DisplayName.Text, unit.UnitId, unit.NamespaceUri.rpartition("/")[2]) == ("°C", 4408652, "cefact")
    span = (await value_of(client, f"{tag}.EURange")).Value.Value
    assert (span.Low, span.High) == (points[tag].range_low, points[tag].range_high)


async def test_a_code_says_what_its_numbers_mean(client, demo_plant):
    names = (await value_of(client, "Plant.State.EnumStrings")).Value.Value
    assert [name.Text for name in names][1:4] == ["off", "starting", "running"]
    causes = (await value_of(client, "Plant.Block01.Rack03.TripCause.EnumStrings")).Value.Value
    assert [cause.Text for cause in causes] == ["none", *(row.name for row in demo_plant.protection)]
    found = await walk(client, tag_id("Plant.Block01.PCS01"))
    assert "/State/EnumStrings" in found
    assert "/ActivePower/EnumStrings" not in found


async def test_the_alarm_list_says_in_words_what_stands_and_since_when(client, view, demo_plant):
    table = AlarmTable(demo_plant)
    assert (await value_of(client, "Plant.AlarmList")).Value.Value == []
    assert (await value_of(client, "Plant.ActiveAlarmText")).Value.Value == ""

    image = Image(view.snap.image.layout)
    image.copy_from(view.snap.image)
    group = table.system(SystemAlarm.LINK_LOST)
    image.array("alarm.state")[group.start] = AlarmState.UNACKED_ACTIVE
    image.array("alarm.time_ns")[group.start] = SystemClock().mono_ns()
    image.array("alarm.value")[group.start] = np.nan
    image["plant.alarm_changes"].value[0] += 1
    view.publish(image)

    (line,) = (await value_of(client, "Plant.AlarmList")).Value.Value
    link = f"{demo_plant.devices[0].name} at {demo_plant.links[0].address}"
    assert line.startswith(f"MEDIUM {link} connection lost (active, not acknowledged) since 20")
    assert (await value_of(client, "Plant.ActiveAlarmText")).Value.Value == line


async def test_a_value_is_shown_in_face_units_as_sampled(client, view):
    view.show(plant__active_power=1.25e6)

    shown = await value_of(client, "Plant.ActivePower")

    assert shown.Value.Value == 1.25


async def test_a_bad_value_is_not_shown(client, view):
    image = Image(view.snap.image.layout)
    image.copy_from(view.snap.image)
    image["rack.current"].quality[0] = Quality.DEVICE_FAILURE
    image["rack.voltage"].quality[0] = Quality.UNCERTAIN
    image["cell.voltage"].quality[0, 5] = Quality.DEVICE_FAILURE
    view.publish(image)

    current, voltage = [await value_of(client, f"Plant.Block01.Rack01.{name}") for name in ("Current", "Voltage")]
    cells = await value_of(client, "Plant.Block01.Rack01.CellVoltages")

    assert (name_of(current.StatusCode), current.Value.Value) == ("BadDeviceFailure", None)
    assert (name_of(voltage.StatusCode), voltage.Value.Value) == ("UncertainLastUsableValue", 1.5)
    assert (name_of(cells.StatusCode), math.isnan(cells.Value.Value[5]), cells.Value.Value[6]) == ("Good", True, 1.5)


async def test_while_control_is_silent_nothing_is_shown(client, view, demo_plant):
    view.publishes = False
    view.snap = replace(view.snap, published_mono_ns=view.snap.published_mono_ns - 2_000_000_000)

    values = await all_read(client, *(p.tag for p in point_list(demo_plant).points))

    assert {(name_of(v.StatusCode), v.Value.Value) for v in values} == {("BadNoCommunication", None)}


async def test_before_control_ever_published_everything_waits(client, view, demo_plant):
    view.publishes = False
    view.snap = Snapshot.none(plant_layout(demo_plant))

    values = await all_read(client, *(p.tag for p in point_list(demo_plant).points))

    assert {(name_of(v.StatusCode), v.Value.Value) for v in values} == {("BadWaitingForInitialData", None)}


async def test_the_service_level_says_whether_there_is_data(client, view):
    level = client.get_node(standard_id(ua.ObjectIds.Server_ServiceLevel))
    before = await level.read_value()
    view.publishes = False

    async with asyncio.timeout(30):
        while await level.read_value() != 1:
            await asyncio.sleep(0.05)
    assert before == 255


async def test_the_server_tells_its_time_name_and_limits(client):
    started = await client.get_node(standard_id(ua.ObjectIds.Server_ServerStatus_CurrentTime)).read_value()
    name = await client.get_node(standard_id(ua.ObjectIds.Server_ServerStatus_BuildInfo_ProductName)).read_value()
    most = standard_id(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite)

    assert started.year > 2025
    assert name == "Battery plant controller"
    assert await client.get_node(most).read_value() == Limits().write_nodes


async def test_a_write_becomes_a_command_in_base_units(client, view):
    assert await written(client, "Plant.ActivePowerSetpoint", 1.5) == "Good"

    command = view.asked[0]
    assert (command.action, command.target, command.value) == (Action.SET_ACTIVE_POWER, "Plant", 1.5e6)
    assert (command.face, command.user, command.role) == ("opcua", "anonymous", "engineer")


async def test_a_count_is_written_as_a_whole_number(client, view):
    assert await written(client, "Plant.ScadaHeartbeat", 7, ua.VariantType.UInt32) == "Good"

    assert view.asked[0].value == 7
    assert isinstance(view.asked[0].value, int)


@pytest.mark.parametrize(
    ("value", "kind", "status"),
    [
        (math.nan, ua.VariantType.Double, "BadOutOfRange"),
        (math.inf, ua.VariantType.Double, "BadOutOfRange"),
        (-math.inf, ua.VariantType.Double, "BadOutOfRange"),
        (2.4000001, ua.VariantType.Double, "BadOutOfRange"),
        (1.0, ua.VariantType.Float, "BadTypeMismatch"),
        (1, ua.VariantType.Int32, "BadTypeMismatch"),
        ("1.0", ua.VariantType.String, "BadTypeMismatch"),
        ([1.0], ua.VariantType.Double, "BadTypeMismatch"),
        (None, ua.VariantType.Null, "BadTypeMismatch"),
    ],
)
async def test_what_cannot_be_a_set_point_is_refused_here(client, view, value, kind, status):
    assert await written(client, "Plant.ActivePowerSetpoint", value, kind) == status
    assert view.asked == []


async def test_only_values_of_writable_points_are_written(client, view):
    items = [
        write_of("Plant.ActivePower", ua.Variant(1.0)),
        write_of("Plant.Nowhere", ua.Variant(1.0)),
        write_of("Plant.ActivePowerSetpoint", ua.Variant("x"), ua.AttributeIds.DisplayName),
        write_of("Plant.ActivePowerSetpoint.EURange", ua.Variant(1.0)),
        write_of("Plant.Start", ua.Variant(1.0)),
        write_of("Plant.ActivePowerSetpoint", ua.Variant(1.0)),
    ]
    items[5].IndexRange = "0"
    params = ua.WriteParameters()
    params.NodesToWrite = items

    statuses = [name_of(status) for status in await client.uaclient.write(params)]

    denied, range_status = "BadUserAccessDenied", "BadIndexRangeInvalid"
    assert statuses == [denied, "BadNodeIdUnknown", denied, denied, denied, range_status]
    assert view.asked == []


async def test_the_items_of_one_write_succeed_or_fail_each_by_itself(client, view):
    double = ua.VariantType.Double
    items = [
        ("Plant.ActivePowerSetpoint", 1.0, double),
        ("Plant.State", 1.0, double),
        ("Plant.ExportLimit", 2.0, double),
    ]
    view.answers = lambda command: Refusal.NOT_OWNER if command.action is Action.SET_EXPORT_LIMIT else Refusal.NONE

    assert await all_written(client, items) == ["Good", "BadUserAccessDenied", "BadInvalidState"]
    assert [command.action for command in view.asked] == [Action.SET_ACTIVE_POWER, Action.SET_EXPORT_LIMIT]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal.NO_RIGHT, "BadUserAccessDenied"),
        (Refusal.WRONG_STATE, "BadInvalidState"),
        (Refusal.BUSY, "BadResourceUnavailable"),
        (Refusal.TOO_OLD, "BadRequestTimeout"),
        (Refusal.NO_COMMUNICATION, "BadNoCommunication"),
        (Refusal.UNKNOWN_TARGET, "BadNodeIdUnknown"),
    ],
)
async def test_what_control_refuses_has_a_status_of_its_own(client, view, refusal, status):
    view.answers = lambda _: refusal

    assert await written(client, "Plant.ActivePowerSetpoint", 1.0) == status


async def test_a_call_becomes_a_command_for_its_equipment(client, view):
    view.text = "locked out"

    assert await called(client, "Plant.Block01.Rack03", "LockOut", "maintenance") == ("Good", "locked out")
    command = view.asked[0]
    assert (command.action, command.target, command.value) == (Action.LOCK_OUT, "Plant.Block01.Rack03", "maintenance")


async def test_a_refused_call_says_why(client, view):
    view.answers, view.text = lambda _: Refusal.WRONG_STATE, "missing: grid within its window"

    assert await called(client, "Plant", "Start") == ("BadInvalidState", "missing: grid within its window")


async def test_a_refused_call_or_write_says_why_in_its_diagnostics_too(client, view):
    view.answers, view.text = lambda _: Refusal.WRONG_STATE, "missing: grid within its window"
    call = ua.CallRequest()
    call.Parameters.MethodsToCall = [ua.CallMethodRequest(tag_id("Plant"), tag_id("Plant.Start"))]
    write = ua.WriteRequest()
    write.Parameters.NodesToWrite = [write_of("Plant.ActivePowerSetpoint", ua.Variant(1.0))]

    told = []
    for request, response_type in ((call, ua.CallResponse), (write, ua.WriteResponse)):
        request.RequestHeader.ReturnDiagnostics = 0x3FF
        data = await client.uaclient.protocol.send_request(request)
        answer: Any = ua.ua_binary.struct_from_binary(response_type, data)
        told.append(answer.DiagnosticInfos[0].AdditionalInfo)

    assert told == ["missing: grid within its window"] * 2


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), "BadArgumentsMissing"),
        ((1,), "BadInvalidArgument"),
        (("",), "BadInvalidArgument"),
        (("x" * 5_000,), "BadInvalidArgument"),
        (("a", "b"), "BadTooManyArguments"),
    ],
)
async def test_arguments_are_checked(client, view, arguments, status):
    assert (await called(client, "Plant.Block01.Rack03", "LockOut", *arguments))[0] == status
    assert view.asked == []


async def test_a_method_is_called_on_its_own_object_only(client, view):
    def request(target: str, method: str) -> ua.CallMethodRequest:
        return ua.CallMethodRequest(tag_id(target), tag_id(method))

    results = await client.uaclient.call(
        [request("Plant.Block01", "Plant.Start"), request("Plant", "Plant.Nothing"), request("Plant", "Plant.State")]
    )

    assert [name_of(r.StatusCode) for r in results] == ["BadMethodInvalid", "BadNodeIdUnknown", "BadMethodInvalid"]
    assert view.asked == []


async def test_methods_describe_their_arguments(client):
    (wanted,) = (await value_of(client, "Plant.Block01.Rack03.LockOut.InputArguments")).Value.Value
    (answered,) = (await value_of(client, "Plant.Block01.Rack03.LockOut.OutputArguments")).Value.Value
    nothing = await value_of(client, "Plant.Start.InputArguments")

    assert (wanted.Name, wanted.DataType.Identifier) == ("reason", ua.ObjectIds.String)
    assert (answered.Name, answered.DataType.Identifier) == ("Message", ua.ObjectIds.String)
    assert name_of(nothing.StatusCode) == "BadNodeIdUnknown"


async def test_paths_are_translated(client):
    soc = await client.nodes.objects.get_child(["2:Plant", "2:Block01", "2:Rack03", "2:SoC", "0:EURange"])

    assert soc.nodeid == tag_id("Plant.Block01.Rack03.SoC.EURange")
    with pytest.raises(ua.uaerrors.BadNoMatch):
        await client.nodes.objects.get_child(["2:Plant", "2:Block99"])
    with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
        await client.get_node(tag_id("Plant.Block99")).get_child(["2:SoC"])


async def test_what_there_is_not_is_unknown(client):
    for tag in ("Plant.Nowhere", "Plant.State.EURange", "plant", "", "Plant.Block01.Rack03.SoC.EURange.Low"):
        assert name_of((await value_of(client, tag)).StatusCode) == "BadNodeIdUnknown"
    missing = await client.get_node(tag_id("Plant.State")).read_attribute(
        ua.AttributeIds.Executable, raise_on_bad_status=False
    )
    assert name_of(missing.StatusCode) == "BadAttributeIdInvalid"
    description = ua.BrowseDescription()
    description.NodeId = tag_id("Plant.Nowhere")
    (result,) = await client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[description]))
    assert name_of(result.StatusCode) == "BadNodeIdUnknown"


@pytest.mark.parametrize(
    ("index_range", "status", "count"),
    [("0", "Good", 1), ("2:5", "Good", 4), ("236:999", "Good", 4), ("240", "BadIndexRangeNoData", None)]
    + [(wrong, "BadIndexRangeInvalid", None) for wrong in ("5:2", "3:3", "a", "1:", ":1", "-1", "1,2")],
)
async def test_a_range_of_an_array_is_read(client, index_range, status, count):
    params = ua.ReadParameters()
    params.NodesToRead = [ua.ReadValueId(tag_id("Plant.Block01.Rack03.CellVoltages"), 13, index_range)]

    (value,) = cast("Any", await client.uaclient.read(params))

    assert name_of(value.StatusCode) == status
    assert (value.Value.Value and len(value.Value.Value)) == count


@pytest.mark.parametrize(
    ("wanted", "source", "server"), [(0, True, False), (1, False, True), (2, True, True), (3, False, False)]
)
async def test_the_times_that_are_asked_for_are_told(client, wanted, source, server):
    (value,) = await all_read(client, "Plant.ActivePower", TimestampsToReturn=ua.TimestampsToReturn(wanted))

    assert (value.SourceTimestamp is not None, value.ServerTimestamp is not None) == (source, server)


async def test_a_request_that_makes_no_sense_is_refused_as_a_whole(client):
    with pytest.raises(ua.uaerrors.BadTimestampsToReturnInvalid):
        await all_read(client, "Plant.State", TimestampsToReturn=ua.TimestampsToReturn.Invalid)
    with pytest.raises(ua.uaerrors.BadMaxAgeInvalid):
        await all_read(client, "Plant.State", MaxAge=-1.0)
    with pytest.raises(ua.uaerrors.BadNothingToDo):
        await all_read(client)


class ChangedPlant(TalkingPlant):
    """A plant whose control comes back with another site."""

    def snapshot(self) -> Snapshot:
        if not self.publishes:
            raise SiteChangedError
        return self.snap


async def test_a_changed_site_ends_the_face(demo_plant, state):
    view = ChangedPlant(talking_plant(demo_plant).snap)
    server = OpcUaServer(DEMO_FACE, point_list(demo_plant), view, data_periods(demo_plant), SystemClock(), state)
    await server.start()
    view.publishes = False

    with pytest.raises(ExceptionGroup) as ended:
        await server.serve()
    assert ended.group_contains(SiteChangedError)
