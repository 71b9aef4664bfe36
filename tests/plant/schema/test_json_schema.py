"""The schemas for editors: as the parser has them, and what the examples look like to an independent validator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from controller.plant.schema.json_schema import FILES, json_schema, schema_text
from controller.plant.site_files import LIBRARY
from tests.tidy.tree import REPOSITORY

SITES = REPOSITORY / "site_configs"
SCHEMAS = SITES / "schemas"
FORMS = {f"{kind}/v1": kind for kind in FILES}
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


class AsEditorsRead(yaml.SafeLoader):
    """YAML 1.2's core schema, which editors use: `yes`, `on` and `17:00` are texts."""


AsEditorsRead.yaml_implicit_resolvers = {}

for kind, form, first in (
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^([-+]?[0-9]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(null|Null|NULL|~)$", "nN~"),
):
    AsEditorsRead.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(form), list(first))


def as_json(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): as_json(value) for key, value in node.items()}
    return [as_json(entry) for entry in node] if isinstance(node, list) else node


def read(text: str) -> Any:
    return as_json(yaml.load(text, Loader=AsEditorsRead))


def examples() -> list[Path]:
    library = [path for kind in ("devices", "protections", "cells") for path in (LIBRARY / kind).glob("*.yaml")]
    return sorted([*SITES.rglob("*.yaml"), *library])


def complaints(kind: str, text: str) -> list[str]:
    validator = jsonschema.Draft7Validator(json_schema(kind))
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(read(text))]


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_is_one(kind):
    jsonschema.Draft7Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("kind", FILES)
def test_the_shipped_file_is_what_the_parser_has(kind):
    shipped = (SCHEMAS / f"{kind}-v1.json").read_text(encoding="utf-8")
    assert shipped == schema_text(kind), f"renew it: bess schema {kind} > site_configs/schemas/{kind}-v1.json"


@pytest.mark.parametrize("path", examples(), ids=lambda p: "/".join(p.parts[-2:]))
def test_every_example_is_valid_to_an_independent_validator(path):
    text = path.read_text(encoding="utf-8")
    assert complaints(FORMS[read(text)["schema"]], text) == []


@pytest.mark.parametrize("path", sorted(SITES.rglob("*.yaml")), ids=lambda p: "/".join(p.parts[-2:]))
def test_every_example_tells_editors_its_schema(path):
    text = path.read_text(encoding="utf-8")
    named = MODELINE.match(text)
    assert named is not None
    kind = FORMS[read(text)["schema"]]
    assert (path.parent / named[1]).resolve() == SCHEMAS / f"{kind}-v1.json"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("capacity: 280 Ah", "capasity: 280 Ah"),
        ("capacity: 280 Ah", "capacity: 280"),
        ("capacity: 280 Ah", "capacity: 280 V"),
        ("bms_stops_pcs: controller_only", "bms_stops_pcs: controller"),
        ("series: 240", "series: many"),
        ("schema: site/v1", "schema: site/v9"),
        ("  scan: 250 ms\n", ""),
    ],
)
def test_an_editor_sees_mistakes(old, new):
    text = (SITES / "demo" / "site.yaml").read_text(encoding="utf-8")
    assert complaints("site", text) == []
    assert complaints("site", text.replace(old, new, 1)) != []


def test_a_file_that_extends_another_need_not_repeat_it():
    text = "schema: site/v1\nextends: fleet.yaml\nsite: {id: north, poi: {export_limit: 2 MW}}\n"
    assert complaints("site", text) == []
    assert complaints("site", text.replace("extends: fleet.yaml\n", "")) != []
    assert complaints("site", text.replace("export_limit", "exprot_limit")) != []
    assert complaints("site", text + "racks: [{name: R1}]\n") != []  # a list is replaced whole: its entries are whole
