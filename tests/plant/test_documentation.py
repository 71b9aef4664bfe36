"""The guide to the site language is tried as a reader would: its examples load, and it names every key."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel

from controller.plant.protection_rows import Action, Qualifier, ResetClass
from controller.plant.schema.device import DeviceFile, PointSection
from controller.plant.schema.equipment import GridFunction
from controller.plant.schema.json_schema import FILES
from controller.plant.schema.key_tables import key_rows, key_table
from controller.plant.schema.messages import keys_of, model_at
from controller.plant.schema.protections import ProtectionsFile, RowSection
from controller.plant.schema.site import SiteFile
from controller.plant.site_loader import load_site, load_site_or_raise
from controller.runtime.rehearsal import Rehearsal, rehearse_site

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "site-language.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- (\S+) -->\n```yaml\n(.*?)```", GUIDE, flags=re.DOTALL))


def write(folder: Path, **changes: str) -> Path:
    for name, text in {**EXAMPLES, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_site_of_the_guide_loads_without_a_word(tmp_path):
    result = load_site(write(tmp_path))
    assert result.text() == ""
    assert result.plant is not None
    assert result.plant.racks[0].tag == "Plant.Block1.Rack01"


def test_the_site_of_the_guide_runs(tmp_path):
    plant = load_site_or_raise(write(tmp_path))
    scenario = tmp_path / "first.yaml"
    steps = '{at: 10 s, do: start}, {at: 60 s, do: setpoint 200 kW}, {at: 90 s, expect: "Plant.ActivePower > 190 kW"}'
    scenario.write_text(f"schema: scenario/v1\nsteps: [{steps}]\n", encoding="utf-8")
    result = rehearse_site(plant, Rehearsal(hours=0.03, scenario=str(scenario)))
    assert (result.failed_expectations, result.refused, result.trips) == ([], [], 0)
    assert result.soc_start is not None


def test_the_device_of_the_guide_fits_into_its_site(tmp_path):
    site = EXAMPLES["site.yaml"].replace("type: generic-rack-bms", "type: acme-r280")
    site = site.replace("  - protections.yaml\n", "  - protections.yaml\n  - devices/acme-r280.yaml\n")
    result = load_site(write(tmp_path, **{"site.yaml": site}))
    assert result.text() == ""
    assert result.plant is not None
    assert result.plant.devices[0].type.name == "acme-r280"


def test_the_cell_of_the_guide_fits_into_its_site(tmp_path):
    site = EXAMPLES["site.yaml"].replace("cell: generic_280_lfp ", "cell: cells/mine.yaml ")
    assert site != EXAMPLES["site.yaml"]
    result = load_site(write(tmp_path, **{"site.yaml": site}))
    assert result.text() == ""
    assert result.plant is not None
    assert result.plant.racks[0].battery.cell.name == "mine280"


def test_the_rows_of_the_guide_load(tmp_path):
    rows = next(block for block in re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL) if "off: [" in block)
    result = load_site(write(tmp_path, **{"protections.yaml": rows}))
    assert result.text() == ""
    assert result.plant is not None
    assert "rack_voltage_high" in {row.name for row in result.plant.protection}


def all_keys(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    if model in seen:
        return set()
    seen.add(model)
    keys = set(keys_of(model))
    for key in keys_of(model):
        for way in ((key,), (key, 0), (key, "x")):
            inner = model_at(model, way)
            if inner is not None:
                keys |= all_keys(inner, seen)
    return keys


@pytest.mark.parametrize("model", [SiteFile, DeviceFile, ProtectionsFile, PointSection, RowSection])
def test_the_guide_names_every_key(model):
    keys = all_keys(model, set())
    assert len(keys) > 5
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", GUIDE)] == []


@pytest.mark.parametrize("words", [Action, Qualifier, ResetClass, GridFunction])
def test_the_guide_names_every_word(words: type[StrEnum]):
    assert [word for word in words if f"`{word}`" not in GUIDE] == []


@pytest.mark.parametrize("kind", FILES)
def test_the_key_table_is_what_the_parser_has(kind):
    renew = f"renew it: bess schema {kind} --format md"
    assert f"<!-- keys: {kind} -->\n{key_table(kind)}" in GUIDE, renew


@pytest.mark.parametrize("kind", FILES)
def test_every_key_has_a_meaning_and_says_what_it_takes(kind):
    rows = key_rows(kind)
    assert len(rows) > 5
    assert [row.path for row in rows if not row.takes or not row.default or len(row.meaning) < 3] == []


def test_the_schedule_of_the_guide_fits_into_its_site(tmp_path):
    site = EXAMPLES["site.yaml"].replace("  - protections.yaml\n", "  - protections.yaml\n  - schedule.yaml\n")
    result = load_site(write(tmp_path, **{"site.yaml": site}))
    assert result.text() == ""
    assert result.plant is not None
    assert [entry.name for entry in result.plant.schedule] == ["evening peak", "night refill"]
