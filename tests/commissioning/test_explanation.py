"""`explain` takes any path that a person would type, and prints the watchdogs with both inequalities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.explanation import Explainer, cause_and_effect_text
from controller.commissioning.watchdogs import coordination_lines, watchdog_lines, watchdog_text
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.site_loader import load_site, load_site_or_raise

SITE = "site_configs/demo"


def bess(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("B01-R03", "served by BANK01: 127.0.0.1:17001 unit 1, generic-bank-bms, block 3"),
        ("Plant.Block01.Rack03", "battery: lfp280"),
        ("Plant.Block01.Rack03.Voltage", "every 1 s: input 1000 u16 * 0.1 V"),
        ("PCS01", "dc_voltage_max: 920 V"),
        ("PCS01.rating.power", "1.2 MW"),
        ("GRID", "role: poi"),
        ("DC01", "unloads_contactors: controller_only"),
        ("cell_voltage_high", "trip 3.65 V after 2 s: disconnect_rack"),
        ("cell_voltage_high.trip", "worst-case reaction"),
        ("rack.cell_voltage_high.trip.delay", "2 s"),
        ("B01-R03.cell_voltage_high.trip", "library/protections/lfp-utility@1.yaml"),
        ("B01-R03.protection.cell_voltage_high.trip", "the BMS of lfp280 itself trips at 3.65 V after 1 s"),
        ("protections.rack.cell_voltage_high", "a cell is charged too high"),
        ("meter.data_age", "no fresh values from a meter"),
        ("bank.data_age", "no fresh values from the bank BMS"),
        ("generic-pcs", "heartbeat: 0.5 s"),
        ("generic-rack-bms.rack.voltage", "library/devices/generic-rack-bms.yaml"),
        ("generic-pcs.pcs.state", "0=off, 1=sleeping"),
        ("generic-bank-bms.rack.tripped", "0=no, 1=yes"),
        ("generic-pcs.blocks.fast.every", "library/devices/generic-pcs.yaml"),
        ("lfp280", "cells_in_series: 240"),
        ("lfp280.window.max", "3.65 V"),
        ("generic_280_lfp", "of batteries lfp280; capacity, currents and resistances as lfp280 has them"),
        ("generic_280_lfp", "limits.voltage_max: 3.65 V"),
        ("generic_280_lfp.limits.voltage_max", "library/cells/generic_280_lfp.yaml"),
        ("meters.GRID", "meter GRID"),
        ("meters.GRID.voltage", "12.47 kV"),
        ("racks.B01-R03", "served by BANK01"),
        ("IO01", "type: generic-digital-io"),
        ("digital_io.IO01.connect", "tcp://127.0.0.1:15002?unit=1"),
        ("ESTOP", "interlock ESTOP"),
        ("Plant.Block01", "below it: PCS01, Rack01"),
        ("B01", "block B01"),
        ("Plant", "points: ActivePower"),
        ("site.rating.power", "site.yaml:"),
        ("batteries.lfp280.window.max", "3.65 V"),
        ("controls.setpoint.timeout", "10 s"),
    ],
)
def test_every_form_of_a_path_is_understood(path: str, told: str, repository: Path) -> None:
    answer = bess("explain", str(repository / SITE), path)

    assert answer.exit_code == 0, answer.stderr
    assert told in answer.stdout


@pytest.mark.parametrize(
    ("path", "hint"), [("B01-R3", "B01-R"), ("cell_voltage_hihg", "cell_voltage_high"), ("site.ratng", "site")]
)
def test_what_is_not_there_is_a_no_with_the_nearest(path: str, hint: str, repository: Path) -> None:
    answer = bess("explain", str(repository / SITE), path)

    assert answer.exit_code == 1
    assert hint in answer.stderr


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("rack384", "battery rack384"),
        ("GRID.ct.ratio", "75/5"),
        ("night refill", "schedule.yaml:"),
        ("schedule", "schedule.yaml:"),
        ("schedule.night refill.do.power", "-700 kW"),
        ("coast-pcs", "devices/coast-pcs.yaml"),
    ],
)
def test_meters_schedules_and_devices_in_files_of_their_own_are_found(path: str, told: str, repository: Path) -> None:
    answer = bess("explain", str(repository / "site_configs/coast_twins"), path)

    assert answer.exit_code == 0, answer.stderr
    assert told in answer.stdout


@pytest.mark.parametrize("site", ["demo", "coast_twins", "coast_twins/south.yaml", "grid_20mw_40mwh"])
def test_what_explain_suggests_it_can_explain(site: str, repository: Path) -> None:
    file = repository / "site_configs" / site
    result = load_site(file)
    assert result.plant is not None
    assert result.sources is not None
    explainer = Explainer(result.plant, result.sources, result.documents)
    known = explainer.known()
    one_of_a_kind = {re.sub(r"\d+", "#", word): word for word in known}.values()

    assert [word for word in one_of_a_kind if isinstance(explainer.explain(word), str)] == []


def test_a_row_of_a_section_points_at_that_sections_line(repository: Path) -> None:
    rack, meter = (
        json.loads(bess("explain", str(repository / SITE), f"{section}.data_age", "--json").stdout)["origin"][0]["line"]
        for section in ("rack", "meter")
    )

    assert rack != meter


def test_the_watchdog_table_compares_what_the_files_state(demo_plant: Plant) -> None:
    lines = {line.type: line for line in watchdog_lines(demo_plant)}
    pcs = lines["generic-pcs"]

    assert (pcs.heartbeat_s, pcs.timeout_s, pcs.then, pcs.three_periods_s, pcs.in_time) == (0.5, 5.0, "zero", 1.5, True)
    assert lines["generic-meter"].in_time is None
    assert [(c.converters, c.at_zero_s, c.opens_s, c.in_time) for c in coordination_lines(demo_plant)] == [
        ("PCS01", 8.0, 30.0, True), ("PCS02", 8.0, 30.0, True),
    ]  # fmt: skip


def test_the_watchdog_table_is_printed(demo_plant: Plant, repository: Path) -> None:
    answer = bess("explain", str(repository / SITE), "--watchdogs")
    data = json.loads(bess("explain", str(repository / SITE), "watchdogs", "--json").stdout)

    assert answer.stdout.rstrip("\n") == watchdog_text(demo_plant)
    assert "zero in 1 s" in answer.stdout
    assert len(data["devices"]) == 5


def test_a_chain_with_an_unknown_link_says_so(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path)
    changed = site.read_text().replace("use:\n", "use:\n  - ours.yaml\n")
    site.write_text(changed.replace("type: generic-rack-bms", "type: ours"))
    (tmp_path / "ours.yaml").write_text(
        "schema: device/v1\nextends: generic-rack-bms\nwithout: [refresh]\ndevice: ours\n"
    )
    shown = bess("explain", str(tmp_path), "B02-R03.cell_voltage_high")
    machine = json.loads(bess("explain", str(tmp_path), "B02-R03.cell_voltage_high", "--json").stdout)

    assert "reaction of more than" in shown.stdout
    assert "? s  device refresh: not stated" in shown.stdout
    assert machine["reaction_s"] is None
    assert machine["reaction_at_least_s"] > 5


def test_the_matrix_is_read_by_people_and_by_machines():
    demo = load_site_or_raise(SITE)
    text = cause_and_effect_text(demo, as_json=False)
    assert " nan" not in text
    assert "data_age                        meter (2)" in text
    assert text.splitlines()[0].split()[:2] == ["cause", "of"]
    lost = [line for line in text.splitlines() if line.startswith("measurements lost")]
    assert len(lost) == 4
    assert all(line.endswith("-") for line in lost)
    lines = json.loads(cause_and_effect_text(demo, as_json=True), parse_constant=pytest.fail)
    assert lines[-1]["reaction_s"] is None


def test_exceptions_are_told_where_they_count(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site")
    lines = """
exceptions:
  B02-R03: {state: out_of_service, reason: "module 4 returned", by: k.laine}
  B02-*: {poll: 2 s}
  B02-R0*: {poll: 3 s}
"""
    site.write_text(site.read_text(encoding="utf-8") + lines, encoding="utf-8")

    poll = json.loads(bess("explain", str(site), "B02-R03.poll", "--json").stdout)
    assert [origin["text"] for origin in poll["origin"]] == ["3 s", "2 s"]
    trip = bess("explain", str(site), "B02-R03.cell_voltage_high.trip").stdout
    assert 'exception B02-R03: {state: out_of_service, reason: "module 4 returned", by: k.laine}' in trip
    assert "exception" not in bess("explain", str(site), "B01-R03.cell_voltage_high.trip").stdout


def test_a_quantity_stands_apart_from_its_unit_for_machines() -> None:
    for path, value, unit in (
        ("site.rating.power", "2.4", "MW"),
        ("cell_voltage_high.trip.delay", "2", "s"),
        ("cell_voltage_high.trip.action", "disconnect_rack", ""),
        ("site.name", "Demo plant", ""),
    ):
        answer = json.loads(bess("explain", SITE, path, "--json").stdout)
        assert (answer["value"], answer["unit"]) == (value, unit)
