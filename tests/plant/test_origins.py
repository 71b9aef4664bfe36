from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.origins import origins_of, paths_of
from controller.plant.site_loader import Sources, load_site

SITES = Path(__file__).resolve().parents[2] / "site_configs"


@pytest.fixture(scope="module")
def sources() -> Sources:
    found = load_site(SITES / "grid_20mw_40mwh").sources
    assert found is not None
    return found


def texts(sources: Sources, path: str) -> list[str]:
    return [origin.text for origin in origins_of(sources, path)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("site.poi.export_limit", ["20 MW"]),
        ("batteries.bank416.window.max", ["3.60 V"]),
        ("racks.1.battery", ["rack384"]),
        ("B08-R02", ["B{block:07..10}-R{rack:01..24}"]),
        ("Plant.Block08.Rack02", ["B{block:07..10}-R{rack:01..24}"]),
        ("B08-R02.battery", ["rack384"]),
        ("PCS03.rating.power", ["2 MW"]),
        ("Plant.Block03.PCS03.watchdog", ["5 s"]),
        ("cell_voltage_high.trip", ["3.65 V", "3.65 V"]),
        ("cell_voltage_high.trip.delay", ["3 s", "2 s"]),
        ("protections.cell_temperature_high_charging.alarm", ["42 degC", "40 degC"]),
        ("B08-R02.protection.cell_temperature_high.trip", ["55 degC"]),
        ("insulation_low", ["insulation_low"]),
        ("controls.nothing", []),
        ("B99-R01", []),
        ("cell_voltage_high.tripp", []),
    ],
)
def test_a_value_is_traced_to_its_text(sources, path, found):
    assert texts(sources, path) == found


def test_the_place_that_counts_comes_first(sources):
    own, inherited = origins_of(sources, "cell_voltage_high.trip.delay")
    assert (own.file, inherited.file) == ("protections.yaml", "library/protections/lfp-utility@1.yaml")
    lines = (SITES / "grid_20mw_40mwh" / "protections.yaml").read_text().splitlines()
    assert lines[own.line - 1][own.col - 1 :].startswith("3 s")


def test_exceptions_are_named(sources):
    name, exception = origins_of(sources, "B08-R13")
    assert name.text.startswith("B{block:07..10}")
    assert exception.text.startswith("B08-R13: {state: out_of_service")


def test_what_can_be_asked_for(sources):
    assert {"controls", "B01-R01", "PCS01", "cell_voltage_high"} <= set(paths_of(sources))
