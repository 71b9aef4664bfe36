from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.model import Plant
from controller.plant.protection_rows import Level, ProtectionRow
from controller.plant.reaction import reaction_chain, reaction_s
from controller.plant.signals import Owner
from controller.plant.site_loader import load_site_or_raise

SITES = Path(__file__).resolve().parents[2] / "site_configs"


@pytest.fixture(scope="module")
def demo() -> Plant:
    return load_site_or_raise(SITES / "demo")


def row_of(plant: Plant, owner: Owner, name: str) -> ProtectionRow:
    return next(row for row in plant.protection if (row.owner, row.name) == (owner, name))


def test_the_chain_goes_from_the_bms_to_the_contactor(demo):
    row = row_of(demo, Owner.RACK, "cell_voltage_high")
    chain = reaction_chain(demo, row, row.levels[2], 14)
    assert [(step.name, step.duration_s) for step in chain] == [
        ("device's own scan", 0.1), ("poll (slow)", 5.0), ("read", 0.008), ("scan", 1.0), ("delay", 2.0),
        ("write to PCS", 0.005), ("PCS ramps to zero", 1.0), ("write to BMS", 0.008), ("BMS acts", 0.1),
        ("contactor opens", 0.25),
    ]  # fmt: skip
    assert reaction_s(chain) == pytest.approx(9.471)


def test_a_warning_writes_nothing(demo):
    row = row_of(demo, Owner.RACK, "cell_voltage_high")
    chain = reaction_chain(demo, row, row.levels[0], 0)
    assert [step.name for step in chain] == ["device's own scan", "poll (slow)", "read", "scan", "delay"]


def test_interlocks_stop_through_any_converter(demo):
    row = row_of(demo, Owner.INTERLOCK, "tripped")
    chain = reaction_chain(demo, row, row.levels[0], 0)
    assert row.levels[0].level is Level.TRIP
    assert chain[1].duration_s == 0.2
    assert chain[-1].name == "PCS ramps to zero"


def test_a_converters_own_row(demo):
    row = row_of(demo, Owner.PCS, "data_age")
    chain = reaction_chain(demo, row, row.levels[1], 1)
    assert chain[1].name == "poll (fast)"
    assert reaction_s(chain) > 0


def test_a_signal_that_nobody_serves_has_no_chain(demo):
    row = row_of(demo, Owner.RACK, "cell_voltage_high")
    assert reaction_chain(demo, row, row.levels[0], 999) == ()
