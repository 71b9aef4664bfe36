from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import controller
from controller.modbus.poll_groups import device_groups, instances_of, plan_groups, poll_groups
from controller.plant.site_loader import load_site


@pytest.fixture(scope="module")
def demo():
    plant = load_site(Path(controller.__file__).parent / "library" / "sites" / "demo").plant
    assert plant is not None
    return plant


def test_every_device_stands_in_one_row_of_each_of_its_blocks(demo):
    groups = plan_groups(demo)
    for device in demo.devices:
        blocks = [g.block for g in groups if device.index in g.devices]
        assert blocks == [b.name for b in device.type.poll_blocks]
    for group in groups:
        assert len({id(demo.devices[d].type) for d in group.devices}) == 1
        assert group.data.shape == (len(group.devices), max(s.offset_bytes + s.size_bytes for s in group.spans))


def test_only_the_racks_that_a_bank_has_are_read(demo):
    bank = next(d for d in demo.devices if d.type.name == "generic-bank-bms")
    assert instances_of(bank) == tuple(range(12))
    fast = next(g for g in poll_groups(demo) if g.raw.devices == (bank.index,) and g.raw.block == "fast")
    assert max(s.address for s in fast.raw.spans) < 1000 + 12 * 800
    assert fast.register_map.instances == tuple(range(12))


def test_devices_that_show_other_instances_are_a_group_of_their_own(demo):
    bank = next(d for d in demo.devices if d.type.name == "generic-bank-bms")
    fewer = dataclasses.replace(bank, index=len(demo.devices), bindings=bank.bindings[:4])
    both = dataclasses.replace(demo, devices=(*demo.devices, fewer))
    banks = [g for g in device_groups(both) if g.register_map.device_type is bank.type]
    assert [g.devices for g in banks] == [(bank.index,), (fewer.index,)]
