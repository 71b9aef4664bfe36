"""A foreign OPC UA client, node-opcua, against the face: the tree, values, writes, calls, subscriptions."""

from __future__ import annotations

import asyncio
import json

from controller.control.commands import Action, Refusal
from controller.points.point_list import PointType, point_list
from tests.scada.opcua.parts import served, talking_plant

UA_TYPES = {
    PointType.NUMBER: "Double",
    PointType.NUMBERS: "Float",
    PointType.CODE: "Int32",
    PointType.COUNT: "UInt32",
    PointType.BOOL: "Boolean",
    PointType.TEXT: "String",
    PointType.TEXTS: "String",
}

NUMBERS = {PointType.NUMBER, PointType.NUMBERS, PointType.COUNT}


async def test_node_opcua_finds_reads_writes_calls_and_subscribes(demo_plant, state, peer, repository):
    peer("node-opcua-client")
    view = talking_plant(demo_plant, text="missing: grid within its window")
    view.answers = lambda command: Refusal.WRONG_STATE if command.action is Action.START else Refusal.NONE
    async with served(demo_plant, view, state) as face:
        script = repository / "tests" / "peers" / "opcua_walk.js"
        process = await asyncio.create_subprocess_exec("node", script, face.url, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert process.returncode == 0
    seen = json.loads(out.splitlines()[-1])

    points = {p.tag: p for p in point_list(demo_plant).points}
    values = {node.partition(";s=")[2]: value for node, value in seen["values"].items()}
    assert {tag: values[tag]["type"] for tag in points} == {tag: UA_TYPES[p.type] for tag, p in points.items()}
    assert {values[tag]["status"] for tag in points} == {"Good"}
    assert all(values[tag]["source"] for tag in points)
    assert {tag for tag, p in points.items() if p.type in NUMBERS} == {
        tag.removesuffix(".EURange") for tag in values if tag.endswith(".EURange")
    }
    assert {tag for tag, p in points.items() if p.type in NUMBERS} == {
        tag.removesuffix(".EngineeringUnits") for tag in values if tag.endswith(".EngineeringUnits")
    }
    assert {m.tag for m in point_list(demo_plant).methods} == {
        node.partition(";s=")[2] for node, found in seen["nodes"].items() if found["nodeClass"] == "Method"
    }
    paths = {node.partition(";s=")[2]: found["path"] for node, found in seen["nodes"].items()}
    assert all(".".join(part.partition(":")[2] for part in path) == tag for tag, path in paths.items())
    assert seen["namespace"] == 2
    assert seen["unknown"]["status"] == "BadNodeIdUnknown"
    assert seen["translated"] == [
        {"status": "Good", "target": ["ns=2;s=Plant.Block01.Rack03.SoC"]},
        {"status": "BadNoMatch", "target": []},
    ]
    assert seen["writes"] == {
        "good": "Good",
        "nan": "BadOutOfRange",
        "infinite": "BadOutOfRange",
        "beyond": "BadOutOfRange",
        "wrongType": "BadTypeMismatch",
        "readOnly": "BadUserAccessDenied",
        "together": ["Good", "BadUserAccessDenied", "BadNodeIdUnknown"],
    }
    assert seen["calls"] == {
        "start": {"status": "BadInvalidState", "message": "missing: grid within its window"},
        "lockOut": {"status": "Good", "message": "missing: grid within its window"},
        "missing": {"status": "BadArgumentsMissing", "message": "argument reason expected"},
        "tooMany": {"status": "BadTooManyArguments", "message": "0 arguments expected"},
        "arguments": ["reason"],
    }
    assert {tag: value["status"] for tag, value in seen["monitored"].items()} == {
        "Plant.ActivePower": "Good",
        "Plant.Block01.Rack03.CellVoltages": "Good",
    }
    assert len(seen["monitored"]["Plant.Block01.Rack03.CellVoltages"]["value"]) == 240
