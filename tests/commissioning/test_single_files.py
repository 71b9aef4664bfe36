"""`bess validate` of a file that is no site: what it is, what is wrong by itself, what only a site can show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller.commissioning.validation import report, validate_site
from controller.plant.site_files import LIBRARY

SITES = Path(__file__).parents[2] / "site_configs"


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (
            LIBRARY / "devices" / "generic-pcs.yaml",
            "a device file (device/v1): pcs 'generic-pcs' of generic, 19 points",
        ),
        (LIBRARY / "protections" / "lfp-utility@1.yaml", "a protection file (protections/v1): 23 rows"),
        (LIBRARY / "cells" / "lg_m50_nmc.yaml", "a cell file (cell/v1): lg_m50_nmc, nmc"),
        (SITES / "coast_twins" / "schedule.yaml", "a schedule (schedule/v1): 3 entries"),
        (SITES / "coast_twins" / "devices" / "coast-pcs.yaml", "a device file (device/v1): pcs 'coast-pcs'"),
        (SITES / "coast_twins" / "protections.yaml", "a protection file (protections/v1)"),
    ],
)
def test_a_file_of_a_site_is_told_for_what_it_is(file, what):
    found = validate_site(file)
    assert found.result.messages == ()
    text = report(found, "text", strict=False)
    assert what in text
    assert "not looked at: whether" in text
    assert text.endswith("0 errors, 0 warnings")


@pytest.mark.parametrize("path", sorted((LIBRARY / "devices").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_device_of_the_library_is_right_by_itself(path):
    assert validate_site(path).result.messages == ()


def test_what_is_wrong_stands_at_its_place_and_the_site_is_named(tmp_path):
    site = shutil.copytree(SITES / "coast_twins", tmp_path / "twins")
    file = site / "devices" / "coast-pcs.yaml"
    file.write_text(file.read_text() + "points:\n  pcs.frequncy: {at: input 9, as: u16}\n")
    found = validate_site(file)
    assert [(m.place.file, m.hint) for m in found.errors] == [
        ("devices/coast-pcs.yaml", "did you mean 'pcs.frequency'?")
    ]
    assert f"See that with: bess validate {site}" in report(found, "text", strict=False)


def test_a_link_that_leads_to_itself_is_called_one(tmp_path):
    site = shutil.copytree(SITES / "demo", tmp_path / "demo")
    (site / "loop.yaml").symlink_to("loop.yaml")
    text = (site / "site.yaml").read_text()
    (site / "site.yaml").write_text(text.replace("use:\n", "use:\n  - loop.yaml\n"))
    assert [m.message for m in validate_site(site).errors] == [
        "'loop.yaml' is a link that leads to itself, or to nothing"
    ]
    alone = validate_site(site / "loop.yaml")
    assert [m.message for m in alone.errors] == ["this is a link that leads to itself, or to nothing"]
    assert not alone.readable
