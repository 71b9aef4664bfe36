"""Nodes made when somebody looks, and forgotten when they are many."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.address_space import NodeData

from controller.points.catalogue import FACE_FACTORS
from controller.points.point_list import point_list
from controller.scada.opcua import nodes
from controller.scada.opcua.nodes import NodeStore, PlantNodes, node_id
from controller.scada.opcua.standard_nodes import StandardNodes
from controller.scada.opcua.units import engineering_unit
from controller.scada.opcua.value_types import standard_id, string_id

OBJECTS = standard_id(ua.ObjectIds.ObjectsFolder)


@pytest.fixture
def standard():
    return StandardNodes.pack({OBJECTS: NodeData(OBJECTS)})


@pytest.fixture
def plant_nodes(demo_plant):
    return PlantNodes(point_list(demo_plant))


@pytest.fixture
def store(standard, plant_nodes):
    return NodeStore(standard, plant_nodes)


def test_nothing_is_made_before_somebody_looks(store):
    assert len(store) == 1
    assert [reference.NodeId for reference in store[OBJECTS].references] == [node_id("Plant")]


def test_every_tag_has_a_node_and_every_reference_leads_to_one(store, plant_nodes):
    waiting, seen = [node_id("Plant")], set()
    while waiting:
        key: Any = waiting.pop()
        seen.add(key.Identifier)
        waiting += [r.NodeId for r in store[key].references if r.IsForward and r.NodeId.NamespaceIndex == 2]

    assert {*plant_nodes.points, *plant_nodes.methods} < seen


def test_every_node_knows_its_parent(store, plant_nodes):
    for tag in [*plant_nodes.points, *plant_nodes.methods, "Plant.Block01.Rack01", "Plant.SoC.EURange"]:
        (parent,) = [r.NodeId for r in store[node_id(tag)].references if not r.IsForward]
        assert node_id(tag) in [r.NodeId for r in store[parent].references if r.IsForward]


NO_NODES = [node_id("Plant.Nowhere"), node_id(""), string_id("Plant", 1), string_id("Plant", 3)]


@pytest.mark.parametrize("key", [*NO_NODES, standard_id(1), standard_id(2**31)], ids=str)
def test_there_are_no_others(store, key):
    assert key not in store
    assert store.get(key) is None
    with pytest.raises(KeyError):
        store[key]


def test_the_plants_nodes_are_forgotten_when_they_are_many(store, plant_nodes, monkeypatch):
    monkeypatch.setattr(nodes, "PLANT_NODES_KEPT", 50)

    for tag in plant_nodes.points:
        assert store[node_id(tag)].nodeid == node_id(tag)
        assert len(store) <= 52

    assert OBJECTS in store


def test_the_standards_nodes_are_kept_and_each_store_has_its_own(standard, plant_nodes):
    first, second = NodeStore(standard, plant_nodes), NodeStore(standard, plant_nodes)

    assert first[OBJECTS] is first[OBJECTS]
    assert first[OBJECTS] is not second[OBJECTS]


def test_saved_nodes_come_back(standard, tmp_path):
    standard.save(tmp_path)

    loaded = StandardNodes.load(tmp_path)

    assert loaded is not None
    node = loaded.unpack(ua.ObjectIds.ObjectsFolder)
    assert node is not None
    assert node.nodeid == OBJECTS


@pytest.mark.parametrize("broken", [b"", b"x" * 100, None], ids=["empty", "garbage", "one bit"])
def test_a_broken_file_is_no_file(standard, tmp_path, broken):
    assert StandardNodes.load(tmp_path) is None
    standard.save(tmp_path)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data) if broken is None else broken)

    assert StandardNodes.load(tmp_path) is None


@pytest.mark.parametrize("whose", ["file", "folder"])
def test_a_file_that_another_user_could_have_written_is_not_unpacked(standard, tmp_path, whose):
    """It is a pickle: whoever writes it has the face do what he wants."""
    standard.save(tmp_path)
    assert StandardNodes.load(tmp_path) is not None
    (path,) = tmp_path.iterdir()
    (path if whose == "file" else tmp_path).chmod(0o770)

    assert StandardNodes.load(tmp_path) is None


def test_only_nodes_of_the_standard_are_packed():
    with pytest.raises(AssertionError, match="no standard node"):
        StandardNodes.pack({node_id("Plant"): NodeData(node_id("Plant"))})


@pytest.mark.parametrize("unit", [unit for unit in FACE_FACTORS if unit])
def test_every_unit_of_the_points_has_its_code(unit):
    made = engineering_unit(unit)

    assert made.UnitId.to_bytes(3, "big").strip(b"\0").isalnum()
    assert pickle.loads(pickle.dumps(made)) == made


def test_an_object_says_which_equipment_of_the_site_it_is(store):
    said = {tag: store[node_id(tag)].attributes[ua.AttributeIds.Description].value.Value.Value.Text
            for tag in ("Plant", "Plant.Block02.Rack03", "Plant.Block01.PCS01", "Plant.GRID")}  # fmt: skip
    assert said == {
        "Plant": "Demo plant",
        "Plant.Block02.Rack03": "B02-R03",
        "Plant.Block01.PCS01": "PCS01",
        "Plant.GRID": "GRID",
    }
