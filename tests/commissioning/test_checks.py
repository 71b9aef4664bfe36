"""Which commissioning checks a change invalidates: those whose slice it touches, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli import app
from controller.commissioning.checks import CheckKind, checks, invalidated
from controller.commissioning.facts import Subject, facts
from controller.commissioning.site_diff import diff_sites, site_diff
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import load_site_or_raise

ALL = {kind.value for kind in CheckKind}


def changed(
    folder: Path, *edits: tuple[str, str], protections: str = "", device: tuple[str, str, str] | None = None
) -> Plant:
    """Return the demo with edits of its site file, lines of its protection file, one register of a device changed."""
    file = write_demo_site(folder)
    text = file.read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    if device is not None:
        name, old, new = device
        source = (LIBRARY / "devices" / f"{name}.yaml").read_text()
        assert old in source, old
        (folder / f"{name}.yaml").write_text(source.replace(old, new))
        text = text.replace("  - protections.yaml", f"  - protections.yaml\n  - {name}.yaml")
    file.write_text(text)
    if protections:
        (folder / "protections.yaml").write_text(f"schema: protections/v1\nbase: lfp-utility@1\n{protections}\n")
    return load_site_or_raise(folder)


@pytest.fixture
def before(tmp_path: Path) -> Plant:
    return load_site_or_raise(write_demo_site(tmp_path / "before"))


def retested(before: Plant, after: Plant) -> set[str]:
    return {retest.check.name for retest in invalidated(checks(before), checks(after))}


def test_every_check_has_a_name_of_its_own_and_depends_on_something(before: Plant) -> None:
    found = checks(before)

    assert len({c.name for c in found}) == len(found)
    assert {c.kind.value for c in found} == ALL
    assert [c.name for c in found if not c.slice] == []
    assert len([c for c in found if c.kind is CheckKind.P2P]) == len(before.devices)


def test_the_same_site_needs_no_test_again_wherever_it_lies(before: Plant, tmp_path: Path) -> None:
    again = load_site_or_raise(write_demo_site(tmp_path / "elsewhere"))

    assert retested(before, again) == set()


@pytest.mark.parametrize(
    ("edits", "protections", "device", "expected"),
    [
        ((), "rack: {cell_voltage_high: {trip: 3.62 V}}", None, {"protection rack.cell_voltage_high on lfp280"}),
        ((("watchdog: 5 s", "watchdog: 6 s"),), "", None, {"watchdog of PCS01", "watchdog of PCS02"}),
        ((("timeout: 10 s", "timeout: 12 s"),), "", None, {"control"}),
        ((("127.0.0.1:15001?", "127.0.0.1:15003?"),), "", None,
         {"p2p AUX", "poll budget of 127.0.0.1:15003"}),
        ((("input: IO01.1", "input: IO01.9"),), "", None,
         {"interlock ESTOP", "p2p IO01", "poll budget of 127.0.0.1:15002"}),
        ((("  modbus:\n    listen: tcp://127.0.0.1:5020", "  modbus:\n    listen: tcp://127.0.0.1:5021"),), "", None,
         {"scada map"}),
        ((("poll: 1 s", "poll: 2 s"),), "", None,
         {"poll budget of 127.0.0.1:15001", "protection meter.data_age on meter"}),
    ],
    ids=["a limit", "a watchdog", "a set-point's life", "an address", "a wire", "a face", "a polling period"],
)  # fmt: skip
def test_a_change_invalidates_what_depends_on_it(before, tmp_path, edits, protections, device, expected) -> None:
    after = changed(tmp_path / "after", *edits, protections=protections, device=device)

    assert retested(before, after) == expected


def test_another_register_invalidates_values_sums_and_trips_of_its_devices(before: Plant, tmp_path: Path) -> None:
    after = changed(tmp_path / "after", device=("generic-rack-bms", "rack.voltage:                 {at: input 16",
                                                "rack.voltage:                 {at: input 36"))  # fmt: skip
    found = retested(before, after)

    assert {name for name in found if name.startswith("p2p")} == {f"p2p B02-R{n:02}" for n in range(1, 13)}
    assert "physics of DC02" in found
    assert "physics of DC01" not in found
    assert "protection rack.data_age on lfp280" in found
    assert "protection rack.cell_temperature_high on lfp280" not in found
    assert "control" not in found


def test_a_row_about_other_batteries_is_tested_on_those_alone(tmp_path: Path) -> None:
    row = """rack:
  surface_hot: {{signal: rack.cell_temperature_max, trip: {{limit: 60 degC, delay: 5 s, action: disconnect_rack}},
                 reset: 50 degC, reset_class: remote, only: [{only}]}}"""
    text = write_demo_site(tmp_path / "source").read_text()
    battery = text[text.index("  lfp280:\n") : text.index("\nracks:")].replace("  lfp280:", "  other280:", 1)
    second = ("\nracks:", f"{battery}\nracks:")
    racks = ('rack:01..12}"   # one endpoint a rack\n    battery: lfp280', 'rack:01..12}"\n    battery: other280')
    one = changed(tmp_path / "one", second, racks, protections=row.format(only="lfp280"))
    both = changed(tmp_path / "both", second, racks, protections=row.format(only="lfp280, other280"))

    assert retested(one, both) == {"protection rack.surface_hot on other280"}
    assert "only: lfp280 -> lfp280, other280" in site_diff(facts(one), facts(both)).as_text()


def test_a_slower_converter_invalidates_the_trips_that_it_takes_part_in(before: Plant, tmp_path: Path) -> None:
    found = retested(before, changed(tmp_path / "after", ("    ramp: 2.4 MW/s\n", "    ramp: 1.2 MW/s\n")))

    assert "protection rack.cell_voltage_high on lfp280" in found
    assert "protection rack.cell_temperature_spread on lfp280" not in found, "it only tells"
    assert "p2p B02-R01" not in found


def with_files(folder: Path, cell: tuple[str, str] = ("", ""), sign: str = "1", power: str = "1 MW") -> Path:
    """Return the demo with a cell file, a schedule and a party's list of its own."""
    file = write_demo_site(folder)
    text = file.read_text()
    text = text.replace("cell: generic_280_lfp", "cell: cell.yaml").replace("use:\n", "use:\n  - schedule.yaml\n", 1)
    listen = "    listen: tcp://127.0.0.1:5020\n"
    assert listen in text
    file.write_text(text.replace(listen, f"{listen}    maps: [{{party: grid, file: grid.csv, unit: 100}}]\n"))
    source = (LIBRARY / "cells" / "generic_280_lfp.yaml").read_text()
    assert cell[0] in source
    (folder / "cell.yaml").write_text(source.replace(*cell, 1))
    (folder / "grid.csv").write_text(f"tag,address,type,unit,sign\nPlant.ActivePower,0,float32,MW,{sign}\n")
    entry = f'{{name: peak, days: daily, from: "17:00", to: "19:00", do: {{mode: power, power: {power}}}}}'
    (folder / "schedule.yaml").write_text(f"schema: schedule/v1\nschedule:\n  - {entry}\n")
    return file.parent


@pytest.mark.parametrize(
    ("change", "told", "expected"),
    [
        ({"cell": ("voltage_max: 3.65 V", "voltage_max: 3.66 V")}, "cell.limits.voltage_max: 3.65 V -> 3.66 V",
         {"estimation of lfp280", "protection rack.cell_voltage_high on lfp280",
          "protection rack.cell_voltage_low on lfp280", "protection rack.cell_voltage_dead on lfp280",
          "protection rack.cell_voltage_spread on lfp280"}),
        ({"cell": ("coulombic_efficiency: 99.8 %", "coulombic_efficiency: 99.7 %")},
         "cell.coulombic_efficiency: 99.8 % -> 99.7 %", {"estimation of lfp280"}),
        ({"cell": ("[2361.9, 2725.1,", "[2361.9, 2725.2,")}, "cell.ocv.charge at -5 degC and 1 %: 2.7251 V -> 2.7252 V",
         {"estimation of lfp280"}),
        ({"cell": ('origin: "generic', 'origin: "rather generic')}, "cell.origin", set()),
        ({"sign": "-1"}, "Plant.ActivePower: register 0 float32 * 1 MW -> register 0 float32 * 1 MW turned round",
         {"scada map of grid"}),
        ({"power": "2 MW"}, "power: 1 MW -> 2 MW", {"schedule"}),
    ],
    ids=["a cell's limit", "a cell's efficiency", "a point of the OCV", "an origin", "a party's sign", "a schedule"],
)  # fmt: skip
def test_a_change_in_a_file_that_the_site_reads_is_told_and_invalidates(tmp_path, change, told, expected) -> None:
    one, other = with_files(tmp_path / "one"), with_files(tmp_path / "other", **change)
    found = diff_sites((one, load_site_or_raise(one)), (other, load_site_or_raise(other)), retest=True)

    assert [told in line for line in found.as_text().splitlines() if line.startswith("~")] == [True]
    assert {retest.check.name for retest in found.retest or ()} == expected


def test_a_schedule_that_is_no_longer_used_is_told_and_invalidates(tmp_path: Path) -> None:
    one, other = with_files(tmp_path / "one"), with_files(tmp_path / "other")
    file = other / "site.yaml"
    file.write_text(file.read_text().replace("  - schedule.yaml\n", ""))
    found = diff_sites((one, load_site_or_raise(one)), (other, load_site_or_raise(other)), retest=True)

    assert found.removed == (Subject("schedule", "peak"),)
    assert [retest.check.name for retest in found.retest or ()] == ["schedule"]


def test_a_frozen_map_that_went_is_told_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    one, other = with_files(tmp_path / "one"), with_files(tmp_path / "other")
    assert CliRunner().invoke(app, ["points", "freeze", str(one)]).exit_code == 0
    told = CliRunner().invoke(app, ["diff", str(one), str(other)])
    (one / "maps" / "frozen.csv").write_text("junk\n1\n")
    broken = CliRunner().invoke(app, ["diff", str(one), str(other)])

    assert "~ frozen map" in told.stdout
    assert broken.exit_code == 1
    assert "frozen.csv: line 2" in broken.stderr


def test_a_table_that_changed_as_a_whole_is_told_in_a_few_lines(tmp_path: Path) -> None:
    axis = ('soc: {unit: "%", values: [0, 1,', 'soc: {unit: "%", values: [0, 1.1,')
    one, other = with_files(tmp_path / "one"), with_files(tmp_path / "other", cell=axis)
    found = diff_sites((one, load_site_or_raise(one)), (other, load_site_or_raise(other)), retest=False)

    assert len(found.changed) > 20
    assert len([line for line in found.as_text().splitlines() if "cell.ocv.charge" in line]) == 4
    assert "more values of this table" in found.as_text()


def test_devices_of_one_kind_are_tested_again_in_one_line(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_demo_site(one)
    register = (
        "generic-rack-bms",
        "rack.voltage:                 {at: input 16",
        "rack.voltage:                 {at: input 60",
    )
    changed(two, device=register)
    told = diff_sites((one, load_site_or_raise(one)), (two, load_site_or_raise(two)), retest=True)

    assert told.retest is not None
    assert len([r for r in told.retest if r.check.kind is CheckKind.P2P]) == 12
    assert told.as_text().count("  p2p ") == 1
    assert "  p2p B02-R01 .. B02-R12  (12)\n" in told.as_text()


def test_nothing_to_test_again_is_said(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site").parent
    plant = load_site_or_raise(site)

    told = diff_sites((site, plant), (site, plant), retest=True).as_text()
    assert told.endswith(f"nothing to test again: all {len(checks(plant))} checks stay valid")


def test_more_racks_leave_the_others_values_valid(before: Plant, tmp_path: Path) -> None:
    found = retested(before, load_site_or_raise(write_demo_site(tmp_path / "after", 48)))

    assert "p2p B02-R01" not in found
    assert "p2p BANK01" in found
    assert "scada map" in found
    assert "control" in found


def test_a_difference_is_told_in_the_words_of_the_field(before: Plant, tmp_path: Path) -> None:
    after = changed(
        tmp_path / "after",
        ("ramp: 2.4 MW/s\n", "ramp: 1.2 MW/s\n"),
        protections="rack: {cell_voltage_high: {trip: 3.62 V}}",
    )
    text = site_diff(facts(before), facts(after)).as_text()

    assert "PCS01, PCS02  ramp: 2.4 MW/s -> 1.2 MW/s" in text
    assert "rack.cell_voltage_high  trip: 3.65 V -> 3.62 V" in text


def test_a_time_out_that_is_not_stated_is_told_as_such(before: Plant, tmp_path: Path) -> None:
    silent = ("generic-rack-bms", "communication_timeout:", "# communication_timeout:")
    text = site_diff(facts(before), facts(changed(tmp_path / "after", device=silent))).as_text()

    assert "communication time-out: 30 s, then open in 0 s -> not stated" in text


def test_equipment_that_comes_and_goes_is_listed(before: Plant, tmp_path: Path) -> None:
    larger = load_site_or_raise(write_demo_site(tmp_path / "after", 48))
    diff = site_diff(facts(before), facts(larger))

    assert Subject("rack", "B01-R13") in diff.added
    assert diff.removed == ()
    assert Subject("rack", "B01-R13") in site_diff(facts(larger), facts(before)).removed


def test_the_verb_answers_people_and_machines(tmp_path: Path) -> None:
    write_demo_site(tmp_path / "a")
    changed(tmp_path / "b", ("watchdog: 5 s", "watchdog: 6 s"))
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    same = CliRunner().invoke(app, ["diff", a, a, "--retest"])
    text = CliRunner().invoke(app, ["diff", a, b, "--retest"])
    data = json.loads(CliRunner().invoke(app, ["diff", a, b, "--retest", "--json"]).stdout)

    assert same.exit_code == 0
    assert same.stdout.startswith("no difference")
    assert text.exit_code == 1
    assert "everything else stays valid" in text.stdout
    assert [r["kind"] for r in data["retest"]] == ["watchdog", "watchdog"]
    assert data["still_valid"] == len(checks(load_site_or_raise(b))) - 2
