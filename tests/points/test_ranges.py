"""Ranges of points: what a gauge or a historian may be scaled to."""

from __future__ import annotations

import pytest

from controller.points.point_list import PointType, point_list


@pytest.mark.parametrize(
    ("tag", "low", "high"),
    [
        ("Plant.ActivePowerSetpoint", -2.4, 2.4),
        ("Plant.ExportLimit", 0.0, 2.4),
        ("Plant.PowerFactor", -1.0, 1.0),
        ("Plant.RacksInstalled", 0.0, 4_294_967_295.0),
        ("Plant.State", 0.0, 65_534.0),
        ("Plant.Tripped", 0.0, 1.0),
        ("Plant.EnergyOut", 0.0, 90_000.0),  # a meter's register: twenty thousand cycles of 4.5 MWh
        ("Plant.Block01.Rack03.CellVoltageMax", 0.0, 4.38),
        ("Plant.Block01.Rack03.CellVoltages", 0.0, 4.38),
        ("Plant.Block01.Rack03.Voltage", 0.0, 1_051.2),
    ],
)
def test_a_range_follows_from_the_plant(demo_plant, tag, low, high):
    point = point_list(demo_plant).by_tag()[tag]
    assert (point.range_low, point.range_high) == pytest.approx((low, high))


def test_every_range_is_one(demo_plant):
    assert [
        p.tag for p in point_list(demo_plant).points if p.type is not PointType.TEXT and p.range_low >= p.range_high
    ] == []
