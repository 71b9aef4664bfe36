from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from controller.plant.model import Plant
from controller.plant.poll_load import likeness, link_loads, reads_of_block
from controller.plant.site_loader import load_site_or_raise

SITES = Path(__file__).resolve().parents[2] / "site_configs"


@pytest.fixture(scope="module")
def demo() -> Plant:
    return load_site_or_raise(SITES / "demo")


def type_of(plant: Plant, name: str):
    return next(device.type for device in plant.devices if device.name == name)


def test_reads_are_merged_and_cut_as_the_device_allows(demo):
    bank, rack = type_of(demo, "BANK01"), type_of(demo, "B02-R01")
    assert reads_of_block(bank, "fast", ()) == 1
    assert reads_of_block(bank, "fast", tuple(range(12))) == 13
    assert reads_of_block(bank, "slow", (0,)) == 3  # 240 cells in 2 reads of 125, 60 temperatures in 1
    assert reads_of_block(rack, "slow", ()) == 4  # 240 cells in 3 reads of 100, 60 temperatures in 1
    assert reads_of_block(rack, "fast", ()) == 1
    assert reads_of_block(type_of(demo, "IO01"), "fast", (0, 1, 2)) == 1


def test_a_link_is_as_busy_as_its_requests_take(demo):
    rack = next(device for device in demo.devices if device.name == "B02-R01")
    loads = {load.name: load for load in link_loads([rack], demo.links[rack.link])}
    assert loads["fast"].requests_per_s == 1.0
    assert loads["slow"].requests_per_s == pytest.approx(0.8)
    assert loads["writes"].requests_per_s == 1.0
    assert loads["slow"].busy_ratio == pytest.approx(0.8 * 0.008)


def test_links_are_alike_only_if_they_bear_the_same_load(demo):
    groups: dict[object, set[str]] = {}
    for link in demo.links:
        behind = [device for device in demo.devices if device.link == link.index]
        groups.setdefault(likeness(behind, link), set()).add(repr(link_loads(behind, link)))
    assert len(groups) < len(demo.links)
    assert all(len(loads) == 1 for loads in groups.values())
    rack = next(device for device in demo.devices if device.name == "B02-R01")
    link = demo.links[rack.link]
    others = [likeness([rack], replace(link, gap_s=1.0)), likeness([replace(rack, periods_s=(("fast", 9.0),))], link)]
    assert likeness([rack], link) not in others


def test_an_impossible_poll_plan_is_an_error(changed):
    result = changed(
        '    racks: "B{block}-R*"\n\nbuses',
        '    gateway: {in_flight: 1, gap: 45 ms}\n    racks: "B{block}-R*"\n\nbuses',
    )
    assert result.plant is None
    assert result.errors[0].message == "127.0.0.1:17001 would be 110 % busy: 21.6 requests/s x 51 ms"


@pytest.mark.parametrize(
    ("gateway", "hints"),
    [
        ("{in_flight: 1, gap: 45 ms}", ["block fast every 4 s", "in_flight: 2"]),
        ("{in_flight: 1, gap: 1 s}", []),
        ("{in_flight: 1, gap: 350 ms}", ["in_flight: 11"]),
    ],
)
def test_every_fix_that_is_named_brings_the_connection_under_its_limit(changed, gateway, hints):
    old = '    racks: "B{block}-R*"\n\nbuses'
    result = changed(old, f'    gateway: {gateway}\n    racks: "B{{block}}-R*"\n\nbuses')
    hint = result.errors[0].hint
    fixes = hint.split("; ") if hint else []

    assert all(float(left) <= 70 for left in re.findall(r"-> (\d+) %", hint)), fixes
    assert all(any(fix.startswith(start) for fix in fixes) for start in hints), fixes


def test_a_fix_that_is_taken_silences_the_complaint(changed):
    old = '    racks: "B{block}-R*"\n\nbuses'
    told = changed(old, '    gateway: {in_flight: 1, gap: 45 ms}\n    racks: "B{block}-R*"\n\nbuses').errors[0].hint
    (in_flight,) = re.findall(r"in_flight: (\d+)", told)
    again = changed(old, f'    gateway: {{in_flight: {in_flight}, gap: 45 ms}}\n    racks: "B{{block}}-R*"\n\nbuses')

    assert again.text() == ""


def test_two_gateway_settings_for_one_connection_are_refused(changed):
    result = changed(
        '"tcp://127.0.0.1:15001?unit=1"\n',
        '"tcp://127.0.0.1:15000?unit=2"\n    gateway: {gap: 1 ms}\n',
    )
    assert result.plant is not None
    result = changed(
        '    connect: "tcp://127.0.0.1:15000?unit=1"\n',
        '    connect: "tcp://127.0.0.1:15000?unit=1"\n    gateway: {gap: 2 ms}\n',
    )
    assert result.plant is not None


def test_sunspec_models_are_counted_by_their_length(changed):
    result = changed("type: generic-pcs", "type: sunspec-pcs-7xx")
    assert result.text() == ""
    assert result.plant is not None
    pcs = type_of(result.plant, "PCS01")
    assert reads_of_block(pcs, "fast", ()) == 4  # 701 takes two reads, 714 and 715 one each
