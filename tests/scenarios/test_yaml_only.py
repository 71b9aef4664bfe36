"""A new protection row, a new device and a new rack type need YAML only: written to a folder, loaded, rehearsed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.site_loader import load_site
from controller.runtime.rehearsal import Rehearsal, rehearse_site

DEVICE = """
schema: device/v1
device: other-rack
kind: rack_bms
maker: nobody
source: {document: "written by a test", pages: "1"}
address: one_based
words: low_first
max_read: 60
identify: {at: holding 1, as: string2, equals: "OR-2"}
control: rack_managed
communication_timeout: {after: 30 s, then: open}
heartbeat: 1 s
blocks:
  fast: {every: 1 s}
  slow: {every: 10 s}
points:
  rack.voltage:    {at: holding 101, as: u32, unit: mV, block: fast, missing: 0xFFFFFFFF}
  rack.current:    {at: holding 103, as: i32, unit: mA, block: fast, sign: charge_positive, missing: 0x80000000}
  rack.soc:        {at: holding 105, as: u16, scale: 0.01, unit: "%", block: fast}
  rack.soh:        {at: holding 106, as: u16, scale: 0.01, unit: "%", block: slow}
  rack.charge_current_limit:    {at: holding 107, as: u16, scale: 0.1, unit: A, block: fast}
  rack.discharge_current_limit: {at: holding 108, as: u16, scale: 0.1, unit: A, block: fast}
  rack.cell_voltage_max:        {at: holding 109, as: u16, unit: mV, block: fast}
  rack.cell_voltage_min:        {at: holding 110, as: u16, unit: mV, block: fast}
  rack.cell_temperature_max:    {at: holding 111, as: i16, unit: degC, block: fast, range: [-40 degC, 120 degC]}
  rack.cell_temperature_min:    {at: holding 112, as: i16, unit: degC, block: fast}
  rack.insulation_resistance:   {at: holding 113, as: u16, unit: kohm, block: fast}
  rack.contactor:  {at: holding 114, as: enum16, block: fast, values: {7: open, 8: precharging, 9: closed, 10: fault}}
  rack.tripped:    {at: holding 115, as: u16, block: fast, values: {0: no, 1: yes}}
  rack.alarms:     {at: holding 116, as: bits32, block: fast, values: {0: over_voltage_alarm}}
  rack.heartbeat:  {at: holding 118, as: u16, block: fast}
  cell.voltage:    {at: holding 1001, count: 200, as: u16, unit: mV, block: slow, missing: 0xFFFF}
  cell.temperature: {at: holding 1301, count: 20, as: i16, unit: degC, block: slow, missing: 0x8000}
  rack.connect_request:      {at: holding 5001, as: u16, writable: volatile, values: {1: connect, 2: disconnect}}
  rack.reset_request:        {at: holding 5002, as: u16, writable: volatile, values: {1: reset}}
  rack.controller_heartbeat: {at: holding 5003, as: u16, writable: volatile, every: 1 s}
"""
ROWS = """
schema: protections/v1
base: lfp-utility@1
rack:
  rack_voltage_low_by_us:
    description: a row that no preset has
    signal: rack.voltage
    direction: low
    delay: 2 s
    warning: 640 V
    alarm: {limit: 630 V, action: inhibit_discharge}
    trip: {limit: 620 V, action: disconnect_rack}
    reset: 650 V
    reset_class: remote
"""
SCENARIO = """
schema: scenario/v1
start: "12:00"
hours: 0.1
steps:
  - {at: 100 s, expect: "Plant.Block02.Rack03.Tripped = false"}
  - {at: 120 s, do: "offset B02-R03 Voltage -60V"}
  - {at: 300 s, expect: "Plant.Block02.Rack03.Tripped = true"}
  - {at: 300 s, expect: "Plant.Block02.Rack04.Tripped = false"}
"""
BATTERY = """
  short:
    cell: generic_280_lfp
    cells: {series: 200, modules: 10, temps_per_module: 2}
    capacity: 280 Ah
    energy: 179 kWh
    window: {min: 3.00 V, max: 3.60 V}
    current: {charge: 140 A, discharge: 200 A, break: 400 A}
    resistance: 50 mohm

racks:
"""


def site_of_yaml(folder: Path) -> Path:
    files = demo_site_files()
    site = files["site.yaml"].replace("use:\n", "use:\n  - devices/other-rack.yaml\n").replace("\nracks:\n", BATTERY, 1)
    head, _, tail = site.partition('"B{block:02..02}')
    tail = tail.replace("battery: lfp280", "battery: short", 1).replace("generic-rack-bms", "other-rack", 1)
    site = f'{head}"B{{block:02..02}}{tail}'.replace("energy: 4.5 MWh", "energy: 4 MWh").replace("600 V", "590 V")
    (folder / "devices").mkdir()
    for name, text in {"site.yaml": site, "protections.yaml": ROWS, "devices/other-rack.yaml": DEVICE}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def plant(tmp_path):
    result = load_site(site_of_yaml(tmp_path))
    assert result.plant is not None, [f"{m.place}: {m.message}" for m in result.errors]
    return result.plant


def test_new_rows_devices_and_racks_run(plant):
    done = rehearse_site(plant, Rehearsal(hours=0.1))

    assert {rack.battery.name for rack in plant.racks} == {"lfp280", "short"}
    assert (done.trips, done.scans) == (0, 360)


def test_a_new_row_trips_a_new_rack_behind_a_new_device(plant, tmp_path):
    scenario, out = tmp_path / "day.yaml", tmp_path / "day.csv"
    scenario.write_text(SCENARIO, encoding="utf-8")
    done = rehearse_site(plant, Rehearsal(scenario=str(scenario), out=out))
    events = [json.loads(line) for line in (tmp_path / "day.events.jsonl").read_text().splitlines()]

    assert done.failed_expectations == []
    tripped = {(e["equipment"], e["function"]) for e in events if e["function"] == "rack_voltage_low_by_us"}
    assert tripped == {("B02-R03", "rack_voltage_low_by_us")}
