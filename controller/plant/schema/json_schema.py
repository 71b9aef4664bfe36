"""JSON Schema for editors, from the very schema that the parser uses.

What a key means is the text under it in `schema/`; it is read from the source only here, so that a start-up does
not pay for it.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from controller.plant.schema.cell import CellFile
from controller.plant.schema.device import DeviceFile
from controller.plant.schema.messages import keys_of
from controller.plant.schema.protections import ProtectionsFile
from controller.plant.schema.schedule import ScheduleFile
from controller.plant.schema.site import SiteFile
from controller.plant.schema.types import DEFAULT, RANGE, UNIT, Section

FILES: Mapping[str, type[Section]] = {
    "site": SiteFile,
    "device": DeviceFile,
    "protections": ProtectionsFile,
    "schedule": ScheduleFile,
    "cell": CellFile,
}
"""The kinds of files of a site, by the first word of their `schema`."""

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What the YAML editors understand."""

Json = dict[str, Any]


def json_schema(kind: str) -> Json:
    """Return the JSON Schema of a kind of file; KeyError if there is none."""
    made = _without_ours(raw_schema(kind))
    if "extends" in made["properties"]:
        made = _or_changes(made)
    return {"$schema": DIALECT, "title": f"{kind}/v1", **made}


def schema_text(kind: str) -> str:
    """Return the JSON Schema as it stands in a file."""
    return json.dumps(json_schema(kind), indent=1, ensure_ascii=False) + "\n"


def _or_changes(schema: Json) -> Json:
    """Return a schema by which a file that extends another one need not say what that one says."""
    whole = {k: v for k, v in schema.items() if k != "definitions"}
    named = {name: _loosened(part) for name, part in schema["definitions"].items()}
    changes = {**_loosened(whole), "required": ["schema", "extends"]}
    definitions = {**schema["definitions"], **{f"{name}{_CHANGES}": part for name, part in named.items()}}
    return {"if": {"required": ["extends"]}, "then": changes, "else": whole, "definitions": definitions}


_CHANGES = "Changes"


def _loosened(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema that requires nothing, all the way down but for entries of lists, which are replaced whole."""
    if isinstance(node, list):
        return [_loosened(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {k: v if k == "items" else _loosened(v) for k, v in node.items() if k != "required"}
    if isinstance(made.get("$ref"), str):
        made["$ref"] += _CHANGES
    return made


@cache
def raw_schema(kind: str) -> Json:
    """Return the schema with meanings, and with the units and ranges in keywords of our own."""
    model = FILES[kind]
    schema = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs", {})
    models = {m.__name__: m for m in _models()}
    for name, definition in [(model.__name__, schema), *definitions.items()]:
        if name in models:
            _describe(definition, models[name])
    return {**_pruned(schema), "definitions": _pruned(definitions)}


def _models() -> Iterator[type[BaseModel]]:
    waiting: list[type[BaseModel]] = [Section]
    while waiting:
        found = waiting.pop().__subclasses__()
        yield from found
        waiting += found


def _describe(definition: Json, model: type[BaseModel]) -> None:
    meant = meanings(model)
    definition["description"] = inspect.getdoc(model) or ""
    for key, name in _names(model).items():
        shown = definition["properties"][key]
        field = model.model_fields[name]
        default = {} if field.is_required() else {DEFAULT: field.default}
        definition["properties"][key] = {**shown, "description": meant[name], **default}


def _names(model: type[BaseModel]) -> dict[str, str]:
    return dict(zip(keys_of(model), model.model_fields, strict=True))


@cache
def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field means: the text that stands under it in the source, inherited ones included."""
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if part in (BaseModel, object, Section) or not issubclass(part, BaseModel):
            continue
        body = _classes(part.__module__)[part.__name__].body
        for field, text in pairwise(body):
            name = field.target.id if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) else ""
            if name and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[name] = str(text.value.value)
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _pruned(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without what pydantic adds and our language does not have: titles, null, model defaults."""
    if isinstance(node, list):
        return [_pruned(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    kept = {k: _pruned(v) for k, v in node.items() if not (k == "title" and isinstance(v, str)) and k != "default"}
    options = [o for o in kept.get("anyOf", []) if o != {"type": "null"}]
    if "anyOf" in kept:
        del kept["anyOf"]
        kept = {**options[0], **kept} if len(options) == 1 else {**kept, "anyOf": options}
    if "$ref" in kept and len(kept) > 1:  # draft 7 looks at nothing beside a reference
        reference = kept.pop("$ref")
        kept["allOf"] = [{"$ref": reference}]
    return kept


def _without_ours(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema as editors get it: units and ranges as words of the description."""
    if isinstance(node, list):
        return [_without_ours(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {k: _without_ours(v) for k, v in node.items() if k not in (UNIT, RANGE, DEFAULT)}
    if "description" in made and RANGE in node:
        made["description"] = f"{made['description']} {node[RANGE]}."
    return made
