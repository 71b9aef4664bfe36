"""The NodeSet2 file is imported by a server of others, and its nodes are the points."""

from __future__ import annotations

from pathlib import Path

from asyncua import Server, ua

from controller.plant.model import Plant
from controller.points.nodeset import NAMESPACE, nodeset
from controller.points.point_list import point_list


async def test_asyncua_imports_every_point_and_method(demo_plant: Plant, tmp_path: Path) -> None:
    listed = point_list(demo_plant)
    file = tmp_path / "points.xml"
    file.write_text(nodeset(listed), encoding="utf-8")
    server = Server()
    await server.init()
    await server.import_xml(str(file))
    index = await server.get_namespace_index(NAMESPACE)

    def node(tag: str):
        return server.get_node(ua.NodeId.from_string(f"ns={index};s={tag}"))

    for tag in (*(p.tag for p in listed.points), *(m.tag for m in listed.methods)):
        assert (await node(tag).read_browse_name()).Name == tag.rpartition(".")[2]
    browsed = await server.nodes.objects.get_child(
        [f"{index}:{part}" for part in ("Plant", "Block01", "Rack03", "SoC")]
    )
    assert browsed.nodeid.Identifier == "Plant.Block01.Rack03.SoC"
    assert (await node("Plant.ActivePower.EngineeringUnits").read_value()).DisplayName.Text == "MW"
    assert await node("Plant.Block01.Rack03.CellVoltages").read_array_dimensions() == [240]
    assert await node("Plant.State").read_data_type() == ua.NodeId.from_string("i=6")
    assert (await node("Plant.Block01.Rack03.LockOut.InputArguments").read_value())[0].Name == "reason"
    levels = {tag: await node(tag).get_access_level() for tag in ("Plant.SoC", "Plant.ActivePowerSetpoint")}
    assert ua.AccessLevel.CurrentWrite not in levels["Plant.SoC"]
    assert ua.AccessLevel.CurrentWrite in levels["Plant.ActivePowerSetpoint"]
