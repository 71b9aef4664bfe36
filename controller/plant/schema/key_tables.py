"""The key tables of the guide: every key of a kind of file with its unit, default and meaning, from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from controller.plant.schema.json_schema import Json, raw_schema
from controller.plant.schema.types import DEFAULT, RANGE, UNIT

_BASE_UNITS = {
    "a voltage": "V", "a current": "A", "a power": "W", "a reactive power": "var", "an apparent power": "VA",
    "an energy": "Wh", "a charge": "Ah", "a ratio": "", "a resistance": "ohm", "a frequency": "Hz", "a time": "s",
    "a power ramp": "W/s", "a reactive power ramp": "var/s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key: its way from the root (`racks[].name`, NAME for names of one's own), what it takes, default, meaning."""

    path: str
    takes: str
    default: str
    meaning: str


def key_rows(kind: str) -> tuple[KeyRow, ...]:
    """Return every key of a kind of file, in the order of the schema."""
    schema = raw_schema(kind)
    return tuple(_rows(schema, schema["definitions"], ""))


def key_table(kind: str) -> str:
    """Return the keys as a Markdown table."""
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.path}` | {row.takes} | {row.default} | {row.meaning} |" for row in key_rows(kind)]
    return "\n".join(lines) + "\n"


def _rows(schema: Json, definitions: Json, prefix: str) -> Iterator[KeyRow]:
    required = schema.get("required", [])
    for key, shown in schema.get("properties", {}).items():
        options = list(_options(shown, definitions))
        path = prefix + key
        default = "required" if key in required else _default(shown.get(DEFAULT), _takes(options))
        meaning = shown["description"].removesuffix(".").replace("|", "\\|")
        yield KeyRow(path, _shown(options), default, meaning)
        for option in options:
            yield from _inside(option, definitions, path)


def _options(schema: Json, definitions: Json) -> Iterator[Json]:
    """Yield what a key may hold, references followed, ranges handed down."""
    if "$ref" in schema:
        yield from _options(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    elif "allOf" in schema or "anyOf" in schema:
        for option in schema.get("allOf") or schema["anyOf"]:
            yield from _options({**option, **({RANGE: schema[RANGE]} if RANGE in schema else {})}, definitions)
    else:
        yield schema


def _inside(schema: Json, definitions: Json, path: str) -> Iterator[KeyRow]:
    """Yield the keys of a group, of the entries of a list, or of what stands under names of one's own."""
    if "properties" in schema:
        yield from _rows(schema, definitions, f"{path}.")
    for inner, way in ((schema.get("items"), "[]"), (schema.get("additionalProperties"), ".NAME")):
        if isinstance(inner, dict):
            for option in _options(inner, definitions):
                yield from _inside(option, definitions, f"{path}{way}")


def _takes(options: list[Json]) -> str:
    return next((str(o[UNIT]) for o in options if UNIT in o), "")


def _shown(options: list[Json]) -> str:
    texts = dict.fromkeys(_of_one(option) for option in options)
    return " or ".join(text for text in texts if text)


def _of_one(schema: Json) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if UNIT in schema:
        reach = f", {schema[RANGE]}" if RANGE in schema else ""
        return f"{schema[UNIT]}{reach}"
    if "enum" in schema:
        return " ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        return "list"
    return "keys" if schema.get("type") == "object" else ""


def _default(value: object, takes: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, StrEnum):
        return f"`{value}`"
    if isinstance(value, float):
        unit = _BASE_UNITS.get(takes, "")
        return f"{100 * value:g} %" if takes == "a ratio" else f"{value:g} {unit}".strip()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, frozenset):
        return "every day"
    return "its own" if isinstance(value, BaseModel) else "none"
