"""The plant's part of the OPC UA address space, made node by node when somebody first looks.

Rule: NodeId `s=<tag>`, browse path = the tag's parts under Objects. The library keeps its nodes in a dictionary; ours
answers for every tag of the point list and builds the node at the first access, so a plant of thousands of racks costs
nothing at start and a browse of one rack costs one rack. Values are answered by a callback from the newest snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from controller.points.point_list import Method, Point, PointList, PointType
from controller.scada.opcua_units import engineering_unit

NAMESPACE_URI = "urn:bess-controller:points"
NAMESPACE = 2

ReadValue = Callable[[Point], ua.DataValue]
CallMethod = Callable[[Method, tuple[ua.Variant, ...]], Any]

VARIANT_TYPES = {
    PointType.NUMBER: ua.VariantType.Double,
    PointType.NUMBERS: ua.VariantType.Float,
    PointType.CODE: ua.VariantType.Int32,
    PointType.COUNT: ua.VariantType.UInt32,
    PointType.BOOL: ua.VariantType.Boolean,
    PointType.TEXT: ua.VariantType.String,
}


def node_id(tag: str) -> ua.NodeId:
    """Return the NodeId of a tag."""
    return ua.NodeId(tag, NAMESPACE)


class PlantNodes(dict[ua.NodeId, NodeData]):
    """The server's nodes: its standard ones, and the plant's, built on first access."""

    def __init__(
        self, standard: dict[ua.NodeId, NodeData], listed: PointList, read: ReadValue, call: CallMethod
    ) -> None:
        """Take over the standard nodes and hang `Plant` under Objects."""
        super().__init__(standard)
        self._points = {p.tag: p for p in listed.points}
        self._methods = {m.tag: m for m in listed.methods}
        self._children = _children([*self._points, *self._methods])
        self._read, self._call = read, call
        objects = self[ua.NodeId(ua.ObjectIds.ObjectsFolder)]
        objects.references.append(
            _reference(ua.ObjectIds.Organizes, "Plant", ua.NodeClass.Object, ua.ObjectIds.BaseObjectType)
        )

    def __missing__(self, key: ua.NodeId) -> NodeData:
        """Build the node of a tag; KeyError if there is no such tag."""
        node = self._build(key)
        if node is None:
            raise KeyError(key)
        self[key] = node
        return node

    def get(self, key: ua.NodeId, default: Any = None) -> Any:
        """Return the node, built if need be, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        """Whether there is, or could be built, such a node."""
        return isinstance(key, ua.NodeId) and self.get(key) is not None

    def _build(self, key: ua.NodeId) -> NodeData | None:
        tag = key.Identifier
        if key.NamespaceIndex != NAMESPACE or not isinstance(tag, str):
            return None
        if tag in self._points:
            return self._variable(self._points[tag])
        if tag in self._methods:
            return self._method(self._methods[tag])
        if tag in self._children:
            return self._object(tag)
        return self._property(tag)

    def _object(self, tag: str) -> NodeData:
        node = _node(tag, ua.NodeClass.Object)
        _set(node, ua.AttributeIds.EventNotifier, 0, ua.VariantType.Byte)
        node.references.append(_type_definition(ua.ObjectIds.BaseObjectType))
        node.references.append(self._to_parent(tag, ua.ObjectIds.HasComponent))
        node.references.extend(self._to_child(child) for child in self._children[tag])
        return node

    def _to_parent(self, tag: str, reference_type: int) -> ua.ReferenceDescription:
        parent = tag.rpartition(".")[0]
        if parent:
            return _reference(reference_type, parent, ua.NodeClass.Object, ua.ObjectIds.BaseObjectType, forward=False)
        reference = _reference(ua.ObjectIds.Organizes, "Objects", ua.NodeClass.Object, ua.ObjectIds.FolderType)
        reference.NodeId, reference.IsForward = ua.NodeId(ua.ObjectIds.ObjectsFolder), False
        reference.BrowseName = ua.QualifiedName("Objects", 0)
        return reference

    def _to_child(self, tag: str) -> ua.ReferenceDescription:
        if point := self._points.get(tag):
            return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Variable, _variable_type(point))
        if tag in self._methods:
            return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Method, 0)
        return _reference(ua.ObjectIds.HasComponent, tag, ua.NodeClass.Object, ua.ObjectIds.BaseObjectType)

    def _variable(self, point: Point) -> NodeData:
        node = _node(point.tag, ua.NodeClass.Variable, point.description)
        access = 3 if point.action else 1
        value = AttributeValue(ua.DataValue())
        value.value, value.value_callback = None, lambda _node_id, _attribute: self._read(point)
        node.attributes[ua.AttributeIds.Value] = value
        _set(node, ua.AttributeIds.DataType, ua.NodeId(VARIANT_TYPES[point.type].value), ua.VariantType.NodeId)
        _set(node, ua.AttributeIds.ValueRank, 1 if point.type is PointType.NUMBERS else -1, ua.VariantType.Int32)
        if point.type is PointType.NUMBERS:
            _set(node, ua.AttributeIds.ArrayDimensions, [point.length], ua.VariantType.UInt32)
        _set(node, ua.AttributeIds.AccessLevel, access, ua.VariantType.Byte)
        _set(node, ua.AttributeIds.UserAccessLevel, access, ua.VariantType.Byte)
        _set(node, ua.AttributeIds.MinimumSamplingInterval, 50.0, ua.VariantType.Double)
        _set(node, ua.AttributeIds.Historizing, False, ua.VariantType.Boolean)
        node.references.append(_type_definition(_variable_type(point)))
        node.references.append(self._to_parent(point.tag, ua.ObjectIds.HasComponent))
        if point.unit:
            node.references.extend(_to_property(point.tag, name) for name in ("EngineeringUnits", "EURange"))
        return node

    def _method(self, method: Method) -> NodeData:
        node = _node(method.tag, ua.NodeClass.Method, method.description)
        _set(node, ua.AttributeIds.Executable, True, ua.VariantType.Boolean)
        _set(node, ua.AttributeIds.UserExecutable, True, ua.VariantType.Boolean)

        async def call(_parent: ua.NodeId, *arguments: ua.Variant) -> Any:
            return await self._call(method, arguments)

        node.call = call
        node.references.append(self._to_parent(method.tag, ua.ObjectIds.HasComponent))
        if method.argument:
            node.references.append(_to_property(method.tag, "InputArguments"))
        node.references.append(_to_property(method.tag, "OutputArguments"))
        return node

    def _property(self, tag: str) -> NodeData | None:
        parent, _, name = tag.rpartition(".")
        point, method = self._points.get(parent), self._methods.get(parent)
        if point and point.unit and name in {"EngineeringUnits", "EURange"}:
            return _property_node(tag, *_unit_property(point, name))
        if method and (name == "OutputArguments" or (name == "InputArguments" and method.argument)):
            argument = method.argument if name == "InputArguments" else "Message"
            return _property_node(tag, [_argument(argument)], ua.ObjectIds.Argument, rank=1)
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


def _variable_type(point: Point) -> int:
    return ua.ObjectIds.AnalogItemType if point.unit else ua.ObjectIds.BaseDataVariableType


def _node(tag: str, node_class: ua.NodeClass, description: str = "") -> NodeData:
    name = tag.rpartition(".")[2]
    node = NodeData(node_id(tag))
    _set(node, ua.AttributeIds.NodeId, node.nodeid, ua.VariantType.NodeId)
    _set(node, ua.AttributeIds.NodeClass, node_class, ua.VariantType.Int32)
    _set(node, ua.AttributeIds.BrowseName, ua.QualifiedName(name, NAMESPACE), ua.VariantType.QualifiedName)
    _set(node, ua.AttributeIds.DisplayName, ua.LocalizedText(name), ua.VariantType.LocalizedText)
    _set(node, ua.AttributeIds.Description, ua.LocalizedText(description), ua.VariantType.LocalizedText)
    _set(node, ua.AttributeIds.WriteMask, 0, ua.VariantType.UInt32)
    _set(node, ua.AttributeIds.UserWriteMask, 0, ua.VariantType.UInt32)
    return node


def _set(node: NodeData, attribute: ua.AttributeIds, value: Any, variant_type: ua.VariantType) -> None:
    node.attributes[attribute] = AttributeValue(ua.DataValue(ua.Variant(value, variant_type)))


def _reference(
    reference_type: int, tag: str, node_class: ua.NodeClass, type_definition: int, *, forward: bool = True
) -> ua.ReferenceDescription:
    name = tag.rpartition(".")[2]
    reference = ua.ReferenceDescription()
    reference.ReferenceTypeId = ua.NodeId(reference_type)
    reference.NodeId = node_id(tag)
    reference.NodeClass = node_class
    reference.BrowseName = ua.QualifiedName(name, NAMESPACE)
    reference.DisplayName = ua.LocalizedText(name)
    reference.TypeDefinition = ua.NodeId(type_definition)
    reference.IsForward = forward
    return reference


def _type_definition(type_definition: int) -> ua.ReferenceDescription:
    reference = _reference(ua.ObjectIds.HasTypeDefinition, "", ua.NodeClass.Unspecified, 0)
    reference.NodeId = ua.NodeId(type_definition)
    return reference


def _to_property(tag: str, name: str) -> ua.ReferenceDescription:
    reference = _reference(ua.ObjectIds.HasProperty, f"{tag}.{name}", ua.NodeClass.Variable, ua.ObjectIds.PropertyType)
    reference.BrowseName = ua.QualifiedName(name, 0)
    return reference


def _unit_property(point: Point, name: str) -> tuple[Any, int]:
    if name == "EngineeringUnits":
        return engineering_unit(point.unit), ua.ObjectIds.EUInformation
    return ua.Range(point.range_low, point.range_high), ua.ObjectIds.Range


def _property_node(tag: str, value: Any, data_type: int, rank: int = -1) -> NodeData:
    node = _node(tag, ua.NodeClass.Variable)
    name = tag.rpartition(".")[2]
    _set(node, ua.AttributeIds.BrowseName, ua.QualifiedName(name, 0), ua.VariantType.QualifiedName)
    _set(node, ua.AttributeIds.Value, value, ua.VariantType.ExtensionObject)
    _set(node, ua.AttributeIds.DataType, ua.NodeId(data_type), ua.VariantType.NodeId)
    _set(node, ua.AttributeIds.ValueRank, rank, ua.VariantType.Int32)
    _set(node, ua.AttributeIds.AccessLevel, 1, ua.VariantType.Byte)
    _set(node, ua.AttributeIds.UserAccessLevel, 1, ua.VariantType.Byte)
    node.references.append(_type_definition(ua.ObjectIds.PropertyType))
    return node


def _argument(name: str) -> ua.Argument:
    argument = ua.Argument()
    argument.Name = name
    argument.DataType = ua.NodeId(ua.ObjectIds.String)
    argument.ValueRank = -1
    return argument
