"""Schema errors in the users' words: pydantic's `loc` becomes a place, its codes never reach anybody."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controller.plant.messages import Message, Place, did_you_mean, error, nearest, one_of
from controller.plant.schema.types import COMPLAINT, Section
from controller.plant.yaml_syntax import colon_hint
from controller.plant.yaml_tree import Document, Items, Keys, Loc, Text, plain

SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "psk", "token", "api_key", "apikey", "private_key", "key"}
)
"""Keys whose text is a secret: complained about as such (`checks_text`), not as unknown keys."""

SECRET_NAME = "secret"  # noqa: S105 (a key, no password)
"""The key whose text names a secret; a text that can't be a name may be the secret itself (`checks.text`)."""

Model = TypeVar("Model", bound=Section)


def check(document: Document, model: type[Model]) -> tuple[Model | None, list[Message]]:
    """Return the file as its schema's model, or None with what is wrong with it."""
    try:
        return model.model_validate(plain(document.root)), []
    except ValidationError as wrong:
        return None, _messages(document, model, wrong)


def _messages(document: Document, model: type[Section], wrong: ValidationError) -> list[Message]:
    details = wrong.errors(include_url=False, include_input=False)
    unknown: dict[Loc, list[str]] = {}
    for detail in details:
        if detail["type"] == "extra_forbidden":
            unknown.setdefault(detail["loc"][:-1], []).append(str(detail["loc"][-1]))
    commas = dict(_decimal_commas(document, unknown))
    messages = list(commas.values())
    for detail in details:
        loc, kind = detail["loc"], detail["type"]
        if loc in commas:
            continue
        if kind == "extra_forbidden" and loc[-1] in SECRET_WORDS and document.text_at(loc):
            continue
        if loc[-1:] == (SECRET_NAME,) and kind == COMPLAINT and document.text_at(loc):
            continue
        if kind == "missing" and _is_misspelt(str(loc[-1]), unknown.get(loc[:-1], ())):
            continue
        messages.append(_message(document, model, loc, kind, detail.get("ctx", {})))
    return messages


def _decimal_commas(document: Document, unknown: Mapping[Loc, Sequence[str]]) -> Iterator[tuple[Loc, Message]]:
    """Yield what `{power: 2,9 MW}` was meant as, at its value and at the key that YAML makes of what follows.

    In braces a comma ends the value, so that a key '9 MW' without a value stands right behind the 2.
    """
    for group, words in unknown.items():
        node = document.node_at(group)
        entries = list(node.entries.items()) if isinstance(node, Keys) else []
        for (name, (_, value)), (word, (key, rest)) in pairwise(entries):
            digits = isinstance(value, Text) and not value.quoted and re.fullmatch(r"[+-]?[0-9]+", value.value)
            behind = key.place.line == value.place.line and key.place.col == value.place.col + value.place.width + 1
            empty = isinstance(rest, Text) and not rest.value
            if word in words and digits and behind and empty and word[:1].isdigit() and isinstance(value, Text):
                message = f"{label_of((*group, name))} has a comma in its number ('{value.value},{word}')"
                hint = f"write a point, not a comma: '{value.value}.{word}'"
                told = error(value.place, message, "a number such as 2.5", hint)
                yield from (((*group, name), told), ((*group, word), told))


def _is_misspelt(missing: str, unknown: Sequence[str]) -> bool:
    """Tell whether one of the unknown keys is the missing one with a typing error: the cause is reported already."""
    return any(nearest(word.partition(":")[0], [missing]) for word in unknown)


def _message(document: Document, model: type[Section], loc: Loc, kind: str, context: Mapping[str, Any]) -> Message:
    label = label_of(loc)
    if kind == "extra_forbidden":
        return _unknown_key(document, model, loc)
    if kind == "missing":
        group = label_of(loc[:-1])
        message = f"'{loc[-1]}' is missing" + (f" in {group}" if group else "")
        return error(document.place_of(loc[:-1]), message, f"a key '{loc[-1]}'")
    place = _value_place(document, loc)
    if kind == COMPLAINT:
        return error(place, f"{label} {context['message']}".strip(), context["expected"], context["hint"])
    return _wrong_shape(document, model, loc, kind)


def _wrong_shape(document: Document, model: type[Section], loc: Loc, kind: str) -> Message:
    """A list, a group of keys or a single value stands where another of the three belongs."""
    found = {Items: "a list", Keys: "a group of keys"}.get(type(document.node_at(loc)), "a single value")
    required, expected = _SHAPES.get(kind, ("something else is required", ""))
    wanted = model_at(model, loc)
    if wanted is not None:
        expected = "keys such as {" + ", ".join(f"{key}: ..." for key in list(keys_of(wanted))[:4]) + "}"
    message = f"{label_of(loc) or 'the file'} is {found}, but {required}"
    return error(_value_place(document, loc), message, expected)


def _value_place(document: Document, loc: Loc) -> Place:
    """Return where a value stands: its own place if it begins on its key's line, else its key's."""
    node, place = document.node_at(loc), document.place_of(loc)
    return node.place if node is not None and node.place.line == place.line else place


_SHAPES = {
    "model_type": ("a group of keys is required", ""),
    "model_attributes_type": ("a group of keys is required", ""),
    "dict_type": ("a group of keys is required", "keys and values, such as {key: value}"),
    "list_type": ("a list is required", "entries that begin with '- ', or [one, two]"),
    "string_type": ("a single value is required", "a text"),
    "too_short": ("at least one entry is required", "one entry or more"),
}


def _unknown_key(document: Document, model: type[Section], loc: Loc) -> Message:
    parent = model_at(model, loc[:-1])
    known = list(keys_of(parent)) if parent else []
    key, group = str(loc[-1]), label_of(loc[:-1])
    message = f"unknown key '{key}'" + (f" in {group}" if group else "")
    name, colon, value = key.partition(":")
    if colon and value and name in known:
        return error(document.place_of(loc, key=True), message, "a space behind the colon", colon_hint(name, value))
    hint = did_you_mean(key, known)
    expected, hint = ("", hint) if hint else (one_of(known, 30), _belongs_elsewhere(model, loc))
    return error(document.place_of(loc, key=True), message, expected, hint)


def _belongs_elsewhere(model: type[Section], loc: Loc) -> str:
    """Return which other group of the same section has such a key, "" if none."""
    section, key = model_at(model, loc[:1]), str(loc[-1])
    groups = keys_of(section) if section is not None and len(loc) > 1 else {}
    for group in groups:
        inner = model_at(model, (loc[0], group))
        if inner is not None and key in keys_of(inner):
            return f"'{key}' is a key of {loc[0]}.{group}"
    return ""


def label_of(loc: Loc) -> str:
    """Return the way to a value as people say it: `site.poi.export_limit`, list positions left out."""
    return ".".join(str(part) for part in loc if isinstance(part, str))


def keys_of(model: type[BaseModel]) -> dict[str, object]:
    """Return the keys that a group may have, as they are spelt, each with its annotation."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """Return the schema of the group of keys at `loc`, or None where there is none."""
    annotation: object = model
    for part in loc:
        annotation = _step(annotation, part)
    return _as_model(annotation)


def _step(annotation: object, part: str | int) -> object:
    found = _as_model(annotation)
    if found is not None:
        return keys_of(found).get(str(part))
    for option in _options(annotation):
        arguments = typing.get_args(option)
        if typing.get_origin(option) in (list, dict) and arguments:
            return arguments[-1]
    return None


def _options(annotation: object) -> list[object]:
    """Return the annotation without `Annotated[...]` and with the members of a union apart."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return [option for argument in typing.get_args(annotation) for option in _options(argument)]
    return [annotation]


def _as_model(annotation: object) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
