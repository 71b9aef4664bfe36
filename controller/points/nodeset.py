"""The OPC UA address space as a NodeSet2 file: what a client's tool imports before it has seen the server.

The same nodes as the server shows: objects by the parts of the tags, a variable for each point, a method for each
command, NodeId `s=<tag>` in our namespace, EngineeringUnits where there is a unit.

Source: OPC UA part 6, annex F (UANodeSet schema 1.04).
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from controller.points.point_list import Method, Point, PointList, PointType

NAMESPACE = "urn:bess-controller:points"
_SCHEMA = "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"
_TYPES = "http://opcfoundation.org/UA/2008/02/Types.xsd"
_UNITS = "http://www.opcfoundation.org/UA/units/un/cefact"
_ALIASES = {"Boolean": "i=1", "Int32": "i=6", "UInt32": "i=7", "Float": "i=10", "Double": "i=11", "String": "i=12",
            "EUInformation": "i=887", "Argument": "i=296", "Organizes": "i=35", "HasTypeDefinition": "i=40",
            "HasProperty": "i=46", "HasComponent": "i=47"}  # fmt: skip
_DATA_TYPES = {PointType.NUMBER: "Double", PointType.NUMBERS: "Float", PointType.CODE: "Int32",
               PointType.COUNT: "UInt32", PointType.BOOL: "Boolean", PointType.TEXT: "String",
               PointType.TEXTS: "String"}  # fmt: skip
_OBJECT, _VARIABLE, _PROPERTY, _OBJECTS = "i=58", "i=63", "i=68", "i=85"
_READ, _READ_WRITE = "1", "3"


def nodeset(listed: PointList) -> str:
    """Return the NodeSet2 XML of a point list."""
    root = ET.Element("UANodeSet", {"xmlns": _SCHEMA, "xmlns:uax": _TYPES})
    ET.SubElement(ET.SubElement(root, "NamespaceUris"), "Uri").text = NAMESPACE
    aliases = ET.SubElement(root, "Aliases")
    for name, node_id in _ALIASES.items():
        ET.SubElement(aliases, "Alias", {"Alias": name}).text = node_id
    for tag in _objects(listed):
        parent = tag.rpartition(".")[0]
        _node(root, "UAObject", tag, parent, {}, _OBJECT)
    for point in listed.points:
        _variable(root, point)
    for method in listed.methods:
        _method(root, method)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _objects(listed: PointList) -> Iterator[str]:
    """Yield the tags of all objects, parents first."""
    seen: dict[str, None] = {}
    for tag in (*(p.tag for p in listed.points), *(m.tag for m in listed.methods)):
        parts = tag.split(".")[:-1]
        for end in range(1, len(parts) + 1):
            seen.setdefault(".".join(parts[:end]))
    yield from sorted(seen, key=lambda tag: tag.count("."))


def _node(root: ET.Element, kind: str, tag: str, parent: str, extra: dict[str, str], definition: str) -> ET.Element:
    name = tag.rpartition(".")[2]
    own = {"ParentNodeId": _id(parent)} if parent and kind != "UAObject" else {}
    node = ET.SubElement(root, kind, {"NodeId": _id(tag), "BrowseName": f"1:{name}", **own, **extra})
    ET.SubElement(node, "DisplayName").text = name
    references = ET.SubElement(node, "References")
    if definition:
        _reference(references, "HasTypeDefinition", definition)
    up = ("HasComponent", _id(parent)) if parent else ("Organizes", _OBJECTS)
    _reference(references, *up, forward=False)
    return node


def _variable(root: ET.Element, point: Point) -> None:
    access = _READ_WRITE if point.action else _READ
    extra = {"DataType": _DATA_TYPES[point.type], "AccessLevel": access, "UserAccessLevel": access}
    if point.type is PointType.NUMBERS:
        extra |= {"ValueRank": "1", "ArrayDimensions": str(point.length)}
    elif point.type is PointType.TEXTS:
        extra |= {"ValueRank": "1", "ArrayDimensions": "0"}
    node = _node(root, "UAVariable", point.tag, point.tag.rpartition(".")[0], extra, _VARIABLE)
    _describe(node, point.description)
    if point.unit:
        _unit(root, point)


def _unit(root: ET.Element, point: Point) -> None:
    extra = {"DataType": "EUInformation", "ParentNodeId": _id(point.tag)}
    attributes = {"NodeId": _id(f"{point.tag}.EngineeringUnits"), "BrowseName": "EngineeringUnits", **extra}
    node = ET.SubElement(root, "UAVariable", attributes)
    ET.SubElement(node, "DisplayName").text = "EngineeringUnits"
    references = ET.SubElement(node, "References")
    _reference(references, "HasTypeDefinition", _PROPERTY)
    _reference(references, "HasProperty", _id(point.tag), forward=False)
    value = _extension(ET.SubElement(node, "Value"), "i=888", "EUInformation")
    ET.SubElement(value, "uax:NamespaceUri").text = _UNITS
    ET.SubElement(value, "uax:UnitId").text = "-1"
    for key in ("DisplayName", "Description"):
        ET.SubElement(ET.SubElement(value, f"uax:{key}"), "uax:Text").text = point.unit


def _method(root: ET.Element, method: Method) -> None:
    node = _node(root, "UAMethod", method.tag, method.tag.rpartition(".")[0], {}, "")
    _describe(node, method.description)
    if not method.argument:
        return
    tag = f"{method.tag}.InputArguments"
    attributes = {"NodeId": _id(tag), "BrowseName": "InputArguments", "DataType": "Argument", "ValueRank": "1",
                  "ArrayDimensions": "1", "ParentNodeId": _id(method.tag)}  # fmt: skip
    arguments = ET.SubElement(root, "UAVariable", attributes)
    ET.SubElement(arguments, "DisplayName").text = "InputArguments"
    references = ET.SubElement(arguments, "References")
    _reference(references, "HasTypeDefinition", _PROPERTY)
    _reference(references, "HasProperty", _id(method.tag), forward=False)
    several = ET.SubElement(ET.SubElement(arguments, "Value"), "uax:ListOfExtensionObject")
    value = _extension(several, "i=297", "Argument")
    ET.SubElement(value, "uax:Name").text = method.argument
    ET.SubElement(ET.SubElement(value, "uax:DataType"), "uax:Identifier").text = _ALIASES["String"]
    ET.SubElement(value, "uax:ValueRank").text = "-1"
    ET.SubElement(value, "uax:ArrayDimensions")


def _extension(parent: ET.Element, type_id: str, name: str) -> ET.Element:
    extension = ET.SubElement(parent, "uax:ExtensionObject")
    ET.SubElement(ET.SubElement(extension, "uax:TypeId"), "uax:Identifier").text = type_id
    return ET.SubElement(ET.SubElement(extension, "uax:Body"), f"uax:{name}")


def _describe(node: ET.Element, text: str) -> None:
    description = ET.Element("Description")
    description.text = text
    node.insert(1, description)


def _reference(references: ET.Element, kind: str, target: str, *, forward: bool = True) -> None:
    attributes = {"ReferenceType": kind} | ({} if forward else {"IsForward": "false"})
    ET.SubElement(references, "Reference", attributes).text = target


def _id(tag: str) -> str:
    return f"ns=1;s={tag}"
