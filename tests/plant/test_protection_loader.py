from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.protection_rows import Action, Direction, Level, Qualifier, Reduction, ResetClass
from controller.plant.signals import Owner
from controller.plant.site_files import library_names


def rows_of(result):
    assert result.plant is not None, result.text()
    return {(row.owner, row.name): row for row in result.plant.protection}


def with_rows(changed, text: str, base: str = "lfp-utility@1"):
    return changed("base: lfp-utility@1\n", f"base: {base}\n{text}", file="protections.yaml")


def test_the_preset_is_taken_number_by_number(changed):
    row = rows_of(changed())[Owner.RACK, "cell_voltage_high"]
    assert (row.signal, row.reduction, row.direction) == ("cell.voltage", Reduction.HIGHEST, Direction.HIGH)
    assert [(g.level, g.limit, g.delay_s, g.action) for g in row.levels] == [
        (Level.WARNING, 3.50, 10.0, Action.ANNUNCIATE),
        (Level.ALARM, 3.55, 10.0, Action.INHIBIT_CHARGE),
        (Level.TRIP, 3.65, 2.0, Action.DISCONNECT_RACK),
    ]
    assert (row.reset, row.off_delay_s, row.reset_class) == (3.40, 10.0, ResetClass.REMOTE)
    assert row.also == (("rack.cell_voltage_max", Reduction.NONE),)
    assert row.file == "library/protections/lfp-utility@1.yaml"


def test_a_site_changes_single_numbers(changed):
    result = with_rows(changed, "rack:\n  cell_voltage_high: {trip: 3.62 V, reset_class: local}\n")
    row = rows_of(result)[Owner.RACK, "cell_voltage_high"]
    assert [(g.limit, g.delay_s) for g in row.levels] == [(3.50, 10.0), (3.55, 10.0), (3.62, 2.0)]
    assert (row.reset_class, row.file, row.line) == (ResetClass.LOCAL, "protections.yaml", 9)


def test_a_row_wide_delay_is_for_every_level(changed):
    result = with_rows(changed, "rack:\n  cell_voltage_low: {delay: 4 s, trip: {limit: 2.72 V, delay: 5 s}}\n")
    assert [g.delay_s for g in rows_of(result)[Owner.RACK, "cell_voltage_low"].levels] == [4.0, 4.0, 5.0]


def test_rated_means_the_racks_own_currents(changed):
    rows = rows_of(changed())
    assert [g.limit for g in rows[Owner.RACK, "charge_current_high"].levels] == pytest.approx([142.8, 147.0, 154.0])
    assert rows[Owner.RACK, "charge_current_high"].reset == 140.0
    assert [g.limit for g in rows[Owner.RACK, "current_far_too_high"].levels] == [400.0]


def test_limits_are_in_what_the_row_compares(changed):
    rows = rows_of(changed())
    assert rows[Owner.RACK, "cell_temperature_rise"].levels[2].limit == 10.0  # K a minute
    assert rows[Owner.RACK, "data_age"].levels[0].limit == 5.0
    assert rows[Owner.RACK, "cell_voltage_spread"].levels[0].limit == pytest.approx(0.3)
    assert rows[Owner.RACK, "cell_temperature_spread"].levels[0].limit == 10.0
    interlock = rows[Owner.INTERLOCK, "tripped"]
    assert (interlock.levels[0].limit, interlock.reset, interlock.direction) == (0.0, 1.0, Direction.LOW)
    assert rows[Owner.RACK, "bms_tripped"].levels[0].limit == 1.0


def test_a_row_can_be_switched_off_or_added(changed):
    text = """off: [insulation_low]
rack:
  string_voltage_high:
    description: the whole rack is charged too high
    signal: rack.voltage
    direction: high
    when: connected
    warning: {limit: 860 V, delay: 5 s}
    trip: {limit: 0.88 kV, delay: 3 s, action: zero_bus}
    reset: 850 V
    reset_class: local
"""
    rows = rows_of(with_rows(changed, text))
    assert (Owner.RACK, "insulation_low") not in rows
    row = rows[Owner.RACK, "string_voltage_high"]
    assert (row.signal, row.qualifier, row.levels[1].limit) == ("rack.voltage", Qualifier.CONNECTED, 880.0)
    assert row.description == "the whole rack is charged too high"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("off: [insulatoin_low]\n", "no protection named 'insulatoin_low'"),
        (
            "rack:\n  new: {signal: rack.voltag, direction: high, warning: 5 V, delay: 0 s, reset: 1 V}\n",
            "no signal named 'rack.voltag'",
        ),
        (
            "rack:\n  new: {signal: rack.voltage, direction: high, warning: 5 V, reset: 1 V}\n",
            "new.warning has no delay",
        ),
        ("rack:\n  new: {signal: rack.voltage, direction: high, warning: 5 V, delay: 0 s}\n", "new has no reset"),
        ("rack:\n  new: {signal: rack.voltage, direction: high, delay: 0 s, reset: 1 V}\n", "new has no limit"),
        (
            "rack:\n  new: {signal: rack.voltage, direction: high, warning: 5 A, delay: 0 s, reset: 1 V}\n",
            "new.warning is a current",
        ),
        (
            "rack:\n  new: {signal: rack.tripped, direction: high, warning: maybe, delay: 0 s}\n",
            "new.warning can't be 'maybe'",
        ),
        ("rack:\n  cell_voltage_high: {also: {rack.cell: none}}\n", "no signal named 'rack.cell'"),
        ("rack:\n  cell_voltage_high: {take: hihgest}\n", "rack.cell_voltage_high.take can't be 'hihgest'"),
        ("rack:\n  cell_voltage_high: {trip: {limit: 3.6 V, delay: 2 s, do: open}}\n", "unknown key 'do'"),
    ],
)
def test_rows_that_can_not_be(changed, text, message):
    result = with_rows(changed, text)
    assert [m for m in result.errors if m.message.startswith(message)], result.text()


def test_what_is_switched_off_without_a_reason_hides_nothing_else(changed):
    result = with_rows(changed, "off: [cell_voltage_dead]\nrack:\n  cell_voltage_high: {warning: 3.4 A}\n")
    assert [m.message.partition(" is ")[0] for m in result.errors] == [
        "cell_voltage_dead trips, and",
        "cell_voltage_high.warning",
    ]


def test_a_cell_voltage_row_limited_to_one_level_needs_no_others(changed):
    dead = rows_of(changed())[Owner.RACK, "cell_voltage_dead"]
    assert [g.level for g in dead.levels] == [Level.TRIP]
    assert dead.reset_class is ResetClass.SERVICE


def test_a_second_protection_file_is_refused(changed):
    files = demo_site_files()
    result = changed(
        "  - protections.yaml\n",
        "  - protections.yaml\n  - more.yaml\n",
        more_yaml=files["protections.yaml"],
    )
    assert [m.message for m in result.errors] == ["'more.yaml' is a second protection file"]


def test_a_file_of_an_unknown_kind_is_refused(changed):
    result = changed("  - protections.yaml\n", "  - protections.yaml\n  - x.yaml\n", x_yaml="schema: devcie/v1\n")
    assert [(m.message, m.hint) for m in result.errors] == [
        ("'devcie/v1' is no schema of a file to use", "did you mean 'device/v1'?")
    ]


@pytest.mark.parametrize("name", [n for n in library_names("protections") if n != "lfp-utility@1"])
def test_presets_of_other_chemistries_read(changed, name):
    """They are not for the demo's LFP cells, and exactly that is said."""
    result = with_rows(changed, "", base=name)
    told = [f"preset {name} is for another chemistry: the cells of lfp280 are LFP"]
    assert [m.message for m in result.errors] == told
    assert result.errors[0].expected == "base: lfp-utility@1"


FIRE = """interlock:
  tripped: {only: [estop, transfer_trip, gas, door]}
  fire:
    signal: interlock.healthy
    only: [fire]
    direction: low
    trip: {limit: no, delay: 0 s, action: stop_block}
    reset_class: local
"""


def test_a_site_says_which_chains_stop_the_plant_and_which_a_block(changed):
    rows = rows_of(with_rows(changed, FIRE))
    assert rows[Owner.INTERLOCK, "tripped"].only == ("estop", "transfer_trip", "gas", "door")
    assert rows[Owner.INTERLOCK, "fire"].levels[0].action is Action.STOP_BLOCK


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interlock:\n  tripped: {only: [estop]}\n", "no protection row is about FIRE01"),
        ("interlock:\n  tripped: {only: [fires]}\n", "there is no 'fires' that it could be about"),
        ("rack:\n  cell_voltage_low: {only: [lfp281]}\n", "did you mean 'lfp280'"),
        ("pcs:\n  temperature_high: {only: [lfp280]}\n", "no 'only' in a row of a pcs"),
    ],
)
def test_only_names_what_there_is(changed, text, message):
    result = with_rows(changed, text)
    assert result.plant is None
    assert message in result.text()
