from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.origins import origins_of
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import LoadResult, load_site

PCS = (LIBRARY / "devices" / "generic-pcs.yaml").read_text(encoding="utf-8")
OWN_PCS = "schema: device/v1\nextends: generic-pcs\ndevice: own-pcs\ntimeout: 150 ms\n"


def said(result):
    return [(str(m.place), m.message, m.hint) for m in result.messages]


@pytest.fixture
def own_pcs(tmp_path):
    """Load the demo with its PCS of a type of its own, and perhaps a maker's file below that."""

    def load(own: str, maker: str = "") -> LoadResult:
        for name, text in demo_site_files().items():
            used = text.replace("use:\n", "use:\n  - devices/own-pcs.yaml\n").replace("generic-pcs", "own-pcs")
            (tmp_path / name).write_text(used, encoding="utf-8")
        (tmp_path / "devices").mkdir(exist_ok=True)
        (tmp_path / "devices" / "own-pcs.yaml").write_text(own, encoding="utf-8")
        (tmp_path / "devices" / "maker.yaml").write_text(maker or PCS, encoding="utf-8")
        return load_site(tmp_path)

    return load


def test_a_device_says_only_what_differs_from_one_of_the_library(own_pcs):
    result = own_pcs(OWN_PCS)
    assert result.text() == ""
    pcs = next(d.type for d in result.plant.devices if d.name == "PCS01")
    assert (pcs.name, pcs.timeout_s, pcs.maker) == ("own-pcs", 0.15, "generic")
    assert len(pcs.points) > 5


def test_what_is_left_out_is_gone(own_pcs):
    result = own_pcs(OWN_PCS + "without: [points.pcs.frequency]\n")
    pcs = next(d.type for d in result.plant.devices if d.name == "PCS01")
    assert pcs.point("pcs.frequency") is None


def test_a_key_that_is_not_inherited_cannot_be_left_out(own_pcs):
    result = own_pcs(OWN_PCS + "without: [points.pcs.freqency]\n")
    assert said(result) == [
        (
            "devices/own-pcs.yaml:5:11",
            "'points.pcs.freqency' is not inherited",
            "did you mean 'points.pcs.frequency'?",
        )
    ]


def test_an_error_stands_in_the_file_that_says_it(own_pcs):
    result = own_pcs(
        "schema: device/v1\nextends: devices/maker.yaml\ndevice: own-pcs\n", PCS.replace("500 ms", "500 V")
    )
    places = {m.place.file for m in result.messages}
    assert places == {"devices/maker.yaml"}


def test_a_file_cannot_extend_itself(own_pcs):
    maker = "schema: device/v1\nextends: devices/own-pcs.yaml\ndevice: maker\n"
    result = own_pcs("schema: device/v1\nextends: devices/maker.yaml\ndevice: own-pcs\n", maker)
    assert said(result) == [
        (
            "devices/maker.yaml:2:10",
            "this file would extend itself: devices/own-pcs.yaml > devices/maker.yaml > devices/own-pcs.yaml",
            "",
        )
    ]


def test_a_missing_file_is_named_with_the_nearest(own_pcs):
    result = own_pcs("schema: device/v1\nextends: generic-psc\ndevice: own-pcs\n")
    assert said(result) == [
        ("devices/own-pcs.yaml:2:10", "there is no file 'generic-psc' to extend", "did you mean 'generic-pcs'?")
    ]


def test_a_file_of_another_schema_or_folder_is_refused(own_pcs):
    result = own_pcs("schema: device/v1\nextends: protections.yaml\ndevice: own-pcs\n")
    assert said(result) == [("devices/own-pcs.yaml:2:10", "'protections.yaml' has the schema 'protections/v1'", "")]
    result = own_pcs("schema: device/v1\nextends: ../elsewhere.yaml\ndevice: own-pcs\n")
    assert said(result) == [("devices/own-pcs.yaml:2:10", "'../elsewhere.yaml' is outside the site's folder", "")]


def test_a_site_extends_a_site_and_keeps_where_each_value_stands(tmp_path):
    files = demo_site_files()
    small = "schema: site/v1\nextends: fleet.yaml\nsite:\n  id: north\n  poi: {export_limit: 2 MW}\n"
    (tmp_path / "site.yaml").write_text(small)
    (tmp_path / "fleet.yaml").write_text(files["site.yaml"])
    (tmp_path / "protections.yaml").write_text(files["protections.yaml"])
    result = load_site(tmp_path)

    assert result.text() == ""
    assert result.plant is not None
    assert result.sources is not None
    assert (result.plant.site_id, result.plant.name) == ("north", "Demo plant")
    assert (result.plant.poi.export_limit_w, result.plant.poi.import_limit_w) == (2e6, 2.4e6)
    chain = origins_of(result.sources, "site.poi.export_limit")
    assert [(o.file, o.text) for o in chain] == [("site.yaml", "2 MW"), ("fleet.yaml", "2.4 MW")]
    assert origins_of(result.sources, "site.poi.import_limit")[0].file == "fleet.yaml"
    assert set(result.sealed()) >= {"site.yaml", "fleet.yaml", "protections.yaml"}


def test_protections_extend_a_file_row_by_row(changed):
    own = "schema: protections/v1\nextends: fleet-protections.yaml\nrack:\n  cell_voltage_high: {trip: 3.63 V}\n"
    fleet = "schema: protections/v1\nbase: lfp-utility@1\nrack:\n  cell_voltage_high: {trip: 3.64 V, delay: 4 s}\n"
    result = changed(**{"protections_yaml": own, "fleet-protections_yaml": fleet})
    assert [m for m in result.messages if m.severity == "error"] == []
    chain = origins_of(result.sources, "cell_voltage_high.trip")
    assert [(o.file, o.text) for o in chain][:2] == [
        ("protections.yaml", "3.63 V"),
        ("fleet-protections.yaml", "3.64 V"),
    ]
    row = next(r for r in result.plant.protection if r.name == "cell_voltage_high")
    assert {level.delay_s for level in row.levels} == {4.0}


def test_protections_have_one_thing_below_them(changed):
    own = "schema: protections/v1\nbase: lfp-utility@1\nextends: other.yaml\n"
    result = changed(protections_yaml=own)
    assert said(result)[0][:2] == (
        "protections.yaml:3:10",
        "a protection file has one thing below it: 'base' or 'extends'",
    )
