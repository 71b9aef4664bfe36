"""The face can be measured, and the rows are what `bess bench` prints."""

from __future__ import annotations

import json

import uvloop

from controller.scada.modbus.bench import bench_modbus

NAMES = ["modbus_read_pipelined", "modbus_read_one_by_one"]
BUILDS = ["modbus_build_flat", "modbus_build_plant", "modbus_build_block"]


def test_every_row_has_a_value_and_says_what_stands_beside_it(demo_plant):
    rows = bench_modbus(demo_plant, uvloop.new_event_loop, requests=200)
    assert [row["name"] for row in rows] == NAMES + BUILDS
    assert all(row["value"] > 0.0 for row in rows)
    assert all(row["beside"] for row in rows[:2])
    assert json.loads(json.dumps(rows)) == rows
