"""The plant's part of the OPC UA address space, made node by node when somebody looks.

Rule: NodeId `s=<tag>`, browse path = the tag's parts under Objects. The library keeps its nodes in a dictionary; ours
answers for every tag of the point list and every standard node and makes the node at the first access, so a plant of
thousands of racks costs nothing at start and a browse of one rack costs one rack. Plant nodes hold no state (values
are read from the snapshot, monitored items live in `opcua_monitoring`), so they are forgotten when they are many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from controller.points.point_list import Method, Point, PointList, PointType
from controller.scada.opcua.standard_nodes import StandardNodes
from controller.scada.opcua.units import engineering_unit
from controller.scada.opcua.value_types import attribute, name, standard_id, string_id, value_range, words
from controller.scada.opcua.values import VARIANT_TYPES

NAMESPACE_URI = "urn:bess-controller:points"
NAMESPACE = 2
PLANT_NODES_KEPT = 5_000
SAMPLING_MS = 200.0
UNIT_PROPERTIES = ("EngineeringUnits", "EURange")
CODE_PROPERTY = "EnumStrings"
_READ, _READ_WRITE = 1, 3
_ARRAYS = {PointType.NUMBERS, PointType.TEXTS}
_OBJECTS = standard_id(ua.ObjectIds.ObjectsFolder)


def node_id(tag: str) -> ua.NodeId:
    """Return the NodeId of a tag."""
    return string_id(tag, NAMESPACE)


class NodeStore(dict[ua.NodeId, NodeData]):
    """All nodes of the server: the standard's, and the plant's, each made at first access."""

    def __init__(self, standard: StandardNodes, plant: PlantNodes) -> None:
        """Hang the plant under Objects."""
        super().__init__()
        self._standard, self._plant = standard, plant
        self._made: list[ua.NodeId] = []
        self[_OBJECTS].references.append(plant.root())

    def __missing__(self, key: ua.NodeId) -> NodeData:
        """Make a node; KeyError if there is none of this id."""
        identifier: Any = key.Identifier
        if key.NamespaceIndex == NAMESPACE and isinstance(identifier, str):
            node = self._plant.make(identifier)
            if node is not None:
                self._count(key)
        elif key.NamespaceIndex == 0 and isinstance(identifier, int):
            node = self._standard.unpack(identifier)
        else:
            node = None
        if node is None:
            raise KeyError(key)
        self[key] = node
        return node

    def get(self, key: ua.NodeId, default: Any = None) -> Any:
        """Return the node, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        """Whether there is such a node."""
        return isinstance(key, ua.NodeId) and self.get(key) is not None

    def _count(self, key: ua.NodeId) -> None:
        if len(self._made) >= PLANT_NODES_KEPT:
            for made in self._made:
                self.pop(made, None)
            self._made.clear()
        self._made.append(key)


class PlantNodes:
    """Makes nodes of tags."""

    def __init__(self, listed: PointList, words: Mapping[str, Sequence[str]] | None = None) -> None:
        """Take the point list, and the words of the codes of each quantity."""
        self._words = words or {}
        self.points = {p.tag: p for p in listed.points}
        self.methods = {m.tag: m for m in listed.methods}
        self._children = _children([*self.points, *self.methods])

    def make(self, tag: str) -> NodeData | None:
        """Return the node of a point, a method, an object or a property; None if there is no such tag."""
        if point := self.points.get(tag):
            return self._variable(point)
        if method := self.methods.get(tag):
            return self._method(method)
        return self._object(tag) if tag in self._children else self._property(tag)

    def root(self) -> ua.ReferenceDescription:
        """Return the reference from Objects to Plant."""
        return _reference(ua.ObjectIds.Organizes, "Plant", ua.NodeClass.Object, ua.ObjectIds.BaseObjectType)

    def _object(self, tag: str) -> NodeData:
        node = _node(tag, ua.NodeClass.Object, self._equipment(tag))
        _set(node, ua.AttributeIds.EventNotifier, 0, ua.VariantType.Byte)
        node.references.append(_type_definition(ua.ObjectIds.BaseObjectType))
        node.references.append(_to_parent(tag))
        node.references.extend(self._to_child(child) for child in self._children[tag])
        return node

    def _equipment(self, tag: str) -> str:
        """Return what people call the equipment: its name in the site file."""
        own = (self.points[child] for child in self._children[tag] if child in self.points)
        return next((point.equipment for point in own), "")

    def _to_child(self, tag: str) -> ua.ReferenceDescription:
        if point := self.points.get(tag):
            return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Variable, _variable_type(point))
        if tag in self.methods:
            return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Method, 0)
        return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Object, ua.ObjectIds.BaseObjectType)

    def _variable(self, point: Point) -> NodeData:
        node = _node(point.tag, ua.NodeClass.Variable, point.description)
        access = _READ_WRITE if point.action else _READ
        _set_value_form(node, VARIANT_TYPES[point.type].value, rank=1 if point.type in _ARRAYS else -1)
        if point.type is PointType.NUMBERS:
            _set(node, ua.AttributeIds.ArrayDimensions, [point.length], ua.VariantType.UInt32)
        elif point.type is PointType.TEXTS:
            _set(node, ua.AttributeIds.ArrayDimensions, [0], ua.VariantType.UInt32)  # 0: as long as it is
        _set(node, ua.AttributeIds.Value, None, ua.VariantType.Null)  # read from the snapshot, see opcua_services
        _set(node, ua.AttributeIds.AccessLevel, access, ua.VariantType.Byte)
        _set(node, ua.AttributeIds.UserAccessLevel, access, ua.VariantType.Byte)
        _set(node, ua.AttributeIds.MinimumSamplingInterval, SAMPLING_MS, ua.VariantType.Double)
        _set(node, ua.AttributeIds.Historizing, False, ua.VariantType.Boolean)
        node.references.append(_type_definition(_variable_type(point)))
        node.references.append(_to_parent(point.tag))
        if _is_measured(point):
            node.references.extend(_to_property(point.tag, property_name) for property_name in UNIT_PROPERTIES)
        if self._words_of(point):
            node.references.append(_to_property(point.tag, CODE_PROPERTY))
        return node

    def _method(self, method: Method) -> NodeData:
        node = _node(method.tag, ua.NodeClass.Method, method.description)
        _set(node, ua.AttributeIds.Executable, True, ua.VariantType.Boolean)
        _set(node, ua.AttributeIds.UserExecutable, True, ua.VariantType.Boolean)
        node.references.append(_to_parent(method.tag))
        if method.argument:
            node.references.append(_to_property(method.tag, "InputArguments"))
        node.references.append(_to_property(method.tag, "OutputArguments"))
        return node

    def _words_of(self, point: Point) -> Sequence[str]:
        return self._words.get(point.quantity, ()) if point.type is PointType.CODE else ()

    def _property(self, tag: str) -> NodeData | None:
        parent, _, last = tag.rpartition(".")
        point, method = self.points.get(parent), self.methods.get(parent)
        if point and _is_measured(point) and last in UNIT_PROPERTIES:
            return _unit_property(tag, point, last)
        if point and last == CODE_PROPERTY and (found := self._words_of(point)):
            return _texts_property(tag, found)
        if method and last == "OutputArguments":
            return _arguments_property(tag, "Message", "what was done, or why it was refused")
        if method and method.argument and last == "InputArguments":
            return _arguments_property(tag, method.argument, method.description)
        return None


def _children(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags below each object, in order of first appearance."""
    children: dict[str, dict[str, None]] = {}
    for tag in tags:
        child = tag
        while parent := child.rpartition(".")[0]:
            siblings = children.setdefault(parent, {})
            if child in siblings:
                break
            siblings[child] = None
            child = parent
    return {parent: list(siblings) for parent, siblings in children.items()}


def _is_measured(point: Point) -> bool:
    """Whether it is a number of something, with a unit (or 1) and a range; codes, yes/no and texts are not."""
    return point.type in {PointType.NUMBER, PointType.NUMBERS, PointType.COUNT}


def _variable_type(point: Point) -> int:
    return ua.ObjectIds.AnalogItemType if _is_measured(point) else ua.ObjectIds.BaseDataVariableType


def _node(tag: str, node_class: ua.NodeClass, description: str = "", *, namespace: int = NAMESPACE) -> NodeData:
    last = tag.rpartition(".")[2]
    node = NodeData(node_id(tag))
    _set(node, ua.AttributeIds.NodeId, node.nodeid, ua.VariantType.NodeId)
    _set(node, ua.AttributeIds.NodeClass, node_class, ua.VariantType.Int32)
    _set(node, ua.AttributeIds.BrowseName, name(last, namespace), ua.VariantType.QualifiedName)
    _set(node, ua.AttributeIds.DisplayName, words(last), ua.VariantType.LocalizedText)
    _set(node, ua.AttributeIds.Description, words(description), ua.VariantType.LocalizedText)
    _set(node, ua.AttributeIds.WriteMask, 0, ua.VariantType.UInt32)
    _set(node, ua.AttributeIds.UserWriteMask, 0, ua.VariantType.UInt32)
    return node


def _set(node: NodeData, which: ua.AttributeIds, value: Any, variant_type: ua.VariantType) -> None:
    node.attributes[which] = AttributeValue(attribute(value, variant_type))


def _set_value_form(node: NodeData, data_type: int, rank: int) -> None:
    _set(node, ua.AttributeIds.DataType, standard_id(data_type), ua.VariantType.NodeId)
    _set(node, ua.AttributeIds.ValueRank, rank, ua.VariantType.Int32)


def _reference(
    reference_type: int, tag: str, node_class: ua.NodeClass, type_definition: int
) -> ua.ReferenceDescription:
    last = tag.rpartition(".")[2]
    reference = ua.ReferenceDescription()
    reference.ReferenceTypeId = standard_id(reference_type)
    reference.NodeId = _expanded(node_id(tag))
    reference.NodeClass = node_class
    reference.BrowseName = name(last, NAMESPACE)
    reference.DisplayName = words(last)
    reference.TypeDefinition = _expanded(standard_id(type_definition))
    reference.IsForward = True
    return reference


def _to_parent(tag: str) -> ua.ReferenceDescription:
    parent = tag.rpartition(".")[0]
    if parent:
        reference = _reference(ua.ObjectIds.HasComponent, parent, ua.NodeClass.Object, ua.ObjectIds.BaseObjectType)
    else:
        reference = _reference(ua.ObjectIds.Organizes, "Objects", ua.NodeClass.Object, ua.ObjectIds.FolderType)
        reference.NodeId, reference.BrowseName = _expanded(_OBJECTS), name("Objects")
    reference.IsForward = False
    return reference


def _type_definition(type_definition: int) -> ua.ReferenceDescription:
    kinds = {ua.ObjectIds.BaseObjectType: "BaseObjectType", ua.ObjectIds.PropertyType: "PropertyType"}
    kinds |= {ua.ObjectIds.AnalogItemType: "AnalogItemType"}
    kind = kinds.get(type_definition, "BaseDataVariableType")
    node_class = ua.NodeClass.ObjectType if kind == "BaseObjectType" else ua.NodeClass.VariableType
    reference = _reference(ua.ObjectIds.HasTypeDefinition, kind, node_class, 0)
    reference.NodeId, reference.BrowseName = _expanded(standard_id(type_definition)), name(kind)
    return reference


def _to_property(tag: str, property_name: str) -> ua.ReferenceDescription:
    property_tag = f"{tag}.{property_name}"
    reference = _reference(ua.ObjectIds.HasProperty, property_tag, ua.NodeClass.Variable, ua.ObjectIds.PropertyType)
    reference.BrowseName = name(property_name)
    return reference


def _expanded(key: ua.NodeId) -> ua.ExpandedNodeId:
    """The library sends a NodeId where the standard wants one that may name another server: the bytes are the same."""
    return cast("ua.ExpandedNodeId", key)


def _unit_property(tag: str, point: Point, last: str) -> NodeData:
    if last == "EngineeringUnits":
        return _property_node(tag, engineering_unit(point.unit), ua.ObjectIds.EUInformation)
    return _property_node(tag, value_range(point.range_low, point.range_high), ua.ObjectIds.Range)


def _arguments_property(tag: str, argument_name: str, description: str) -> NodeData:
    argument = ua.Argument()
    argument.Name = cast("ua.String", argument_name)
    argument.DataType = standard_id(ua.ObjectIds.String)
    argument.ValueRank = cast("ua.Int32", -1)
    argument.Description = words(description)
    return _property_node(tag, [argument], ua.ObjectIds.Argument, rank=1)


def _texts_property(tag: str, texts: Sequence[str]) -> NodeData:
    """What each code means, by number from 0 (OPC 10000-3, 8.39; the variable stays an Int32)."""
    shown = [words(text) for text in texts]
    return _property_node(tag, shown, ua.ObjectIds.LocalizedText, rank=1, form=ua.VariantType.LocalizedText)


def _property_node(
    tag: str, value: Any, data_type: int, rank: int = -1, form: ua.VariantType = ua.VariantType.ExtensionObject
) -> NodeData:
    node = _node(tag, ua.NodeClass.Variable, namespace=0)
    _set(node, ua.AttributeIds.Value, value, form)
    _set_value_form(node, data_type, rank)
    _set(node, ua.AttributeIds.AccessLevel, _READ, ua.VariantType.Byte)
    _set(node, ua.AttributeIds.UserAccessLevel, _READ, ua.VariantType.Byte)
    _set(node, ua.AttributeIds.MinimumSamplingInterval, SAMPLING_MS, ua.VariantType.Double)
    _set(node, ua.AttributeIds.Historizing, False, ua.VariantType.Boolean)
    node.references.append(_type_definition(ua.ObjectIds.PropertyType))
    parent = _to_parent(tag)
    parent.ReferenceTypeId = standard_id(ua.ObjectIds.HasProperty)
    node.references.append(parent)
    return node
