from __future__ import annotations

from pathlib import Path

import pytest

from controller.modbus.register_map import compile_map
from controller.plant.checks.devices import check_device
from controller.plant.device_loader import load_device, words_of
from controller.plant.device_types import (
    CommunicationTimeout,
    Identity,
    RegisterPlace,
    RegisterTable,
    Repeat,
    SetupWrite,
    SunSpecPlace,
    TimeoutAction,
    WordOrder,
    WriteKind,
)
from controller.plant.poll_load import reads_of_block
from controller.plant.signals import SIGNALS, BmsAlarm
from controller.plant.site_files import LIBRARY
from controller.plant.yaml_tree import read_document

DEVICES = sorted((LIBRARY / "devices").glob("*.yaml"))
HEAD = """schema: device/v1
device: acme
kind: %s
maker: ACME
source: {document: d, pages: 1}
refresh: 100 ms
control: rack_managed
communication_timeout: {after: 30 s, then: open}
blocks:
  fast: {every: 1 s}
"""


def load(text: str):
    document, messages = read_document("acme.yaml", text.encode())
    assert messages == []
    device_type, messages = load_device(document, "acme.yaml")
    if device_type is not None:
        messages = check_device(device_type, document)
    return device_type, messages


def points(text: str, kind: str = "pcs", head: str = ""):
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return load(HEAD % kind + head + "points:\n" + lines)


def messages_of(text: str, kind: str = "pcs", head: str = "") -> list[str]:
    return [m.message for m in points(text, kind, head)[1]]


@pytest.mark.parametrize("path", DEVICES, ids=lambda path: path.stem)
def test_every_library_file_is_a_device_of_its_name_with_a_source(path: Path):
    device_type, messages = load(path.read_text(encoding="utf-8"))
    assert messages == []
    assert device_type is not None
    assert device_type.name == path.stem
    assert device_type.source is not None


@pytest.mark.parametrize("path", DEVICES, ids=lambda path: path.stem)
def test_library_files_serve_what_such_a_device_has(path: Path):
    device_type, _ = load(path.read_text(encoding="utf-8"))
    assert device_type is not None
    served = {point.signal.name for point in device_type.points}
    needed = {
        "bank_bms": {"rack.current", "cell.voltage", "bank.controller_heartbeat", "rack.connect_request"},
        "rack_bms": {"rack.current", "cell.voltage", "rack.controller_heartbeat", "rack.connect_request"},
        "pcs": {"pcs.active_power", "pcs.active_power_setpoint", "pcs.operation", "pcs.watchdog_timeout"},
        "meter": {"meter.active_power", "meter.frequency", "meter.energy_out"},
        "digital_io": {"interlock.healthy"},
    }[device_type.kind]
    lacking = {
        "abb-pqstori": {"pcs.watchdog_timeout"},
        "sunspec-pcs-1xx": {"pcs.active_power_setpoint", "pcs.watchdog_timeout"},
    }
    assert needed - lacking.get(device_type.name, set()) <= served
    if device_type.name in lacking:
        assert device_type.notes, "a map that lacks what the controller needs says so"
    if device_type.kind in {"pcs", "rack_bms", "bank_bms"}:
        assert device_type.communication_timeout is not None
        assert device_type.heartbeat_period_s is not None or device_type.name == "sunspec-pcs-1xx"


def test_generic_maps_serve_every_signal_of_their_equipment():
    served: set[str] = set()
    for path in DEVICES:
        if path.stem.startswith("generic"):
            device_type, _ = load(path.read_text(encoding="utf-8"))
            assert device_type is not None
            served |= {point.signal.name for point in device_type.points}
    assert set(SIGNALS) == served


def test_a_point_says_how_its_value_is_made():
    device_type, messages = points(
        "pcs.dc_voltage: {at: input 20, as: u16, scale: 0.1, offset: -5, unit: kV, block: fast, missing: [0xFFFF, 7],"
        " range: [0 V, 2 kV]}\n"
        "pcs.dc_current: {at: holding 3, as: i16, unit: A, block: fast, sign: charge_positive}\n"
        "pcs.temperature: {at: input 30, as: i16, unit: degF, block: fast}"
    )
    assert messages == []
    assert device_type is not None
    voltage, current, temperature = device_type.points
    assert voltage.place == RegisterPlace(RegisterTable.INPUT, 20)
    assert (voltage.scale, voltage.offset, voltage.unit_factor, voltage.unit) == (0.1, -5.0, 1e3, "kV")
    assert (voltage.missing, voltage.valid_min, voltage.valid_max) == ((0xFFFF, 7), 0.0, 2000.0)
    assert (voltage.words, voltage.sign, voltage.poll_block) == (WordOrder.HIGH_FIRST, 1, "fast")
    assert (current.sign, current.words) == (-1, WordOrder.HIGH_FIRST)
    assert 212 * temperature.unit_factor + temperature.unit_offset == pytest.approx(100)


@pytest.mark.parametrize(
    ("at", "expected", "severity"),
    [
        ("40001", "Modicon 40001 is 'holding 0'", "error"),
        ("holding 400001", "Modicon 400001 is 'holding 0'", "error"),
        ("holding 300012", "Modicon 300012 is 'input 11'", "error"),
        ("holding 40001", "the address on the wire: 'holding 0' for Modicon 40001", "warning"),
        ("input 30012", "the address on the wire: 'input 11' for Modicon 30012", "warning"),
    ],
)
def test_a_number_of_modicons_is_told_with_the_address_on_the_wire(at, expected, severity):
    _, messages = points(f"pcs.dc_voltage: {{at: {at}, as: u16, unit: V, block: fast}}")

    assert [m.severity for m in messages] == [severity]
    assert expected in f"{messages[0].expected} {messages[0].hint}"


BANK = """rack.voltage: {at: input 1000, as: u16, unit: V, block: fast}
cell.voltage: {at: input 2000, count: 240, as: u16, unit: mV, block: fast, repeat_stride: %d}"""


def test_cells_may_lie_in_blocks_of_their_own():
    head = "repeat: {rack: {count: 4, stride: 20}}\n"
    device_type, messages = points(BANK % 300, "bank_bms", head)
    assert messages == []
    fields = compile_map(device_type).fields

    assert fields["rack.voltage"].addresses[:, 0].tolist() == [1000, 1020, 1040, 1060]
    assert fields["cell.voltage"].addresses[:, 0].tolist() == [2000, 2300, 2600, 2900]
    assert reads_of_block(device_type, "fast", (0, 1, 2, 3)) == 4 + 4 * 2  # 240 cells: two reads a rack


@pytest.mark.parametrize(
    ("stride", "head", "message"),
    [
        (
            200,
            "repeat: {rack: {count: 4, stride: 20}}\n",
            "a block of rack takes 240 input registers, its stride is 200",
        ),
        (300, "", "cell.voltage does not repeat by registers"),
        (30_000, "repeat: {rack: {count: 4, stride: 20}}\n", "4 blocks of rack reach input register 92239"),
        (300, "repeat: {rack: {count: 4, stride: 400}}\n", "cell.voltage stands among the blocks of rack"),
    ],
)
def test_blocks_of_their_own_that_can_not_be(stride, head, message):
    assert message in messages_of(BANK % stride, "bank_bms", head)


def test_a_map_that_lies_high_says_so_and_only_its_outliers_are_asked_about():
    high = "pcs.dc_voltage: {at: holding 40100, as: u16, unit: V, block: fast}"
    low = "pcs.dc_current: {at: holding 7, as: i16, unit: A, block: fast, sign: discharge_positive}"

    assert messages_of(high, head="address: zero_based\n") == []
    assert messages_of(f"{high}\n{low}", head="address: zero_based\n") == [
        "pcs.dc_voltage is at holding 40100, which looks like a Modicon number"
    ]


def test_a_scale_with_a_decimal_comma_is_told_as_such():
    _, messages = points("pcs.dc_voltage: {at: input 1, as: u16, unit: V, block: fast, scale: '0,1'}")

    assert messages[0].hint == "write a point, not a comma: '0.1'"


def test_codes_bits_and_commands_are_canonical():
    device_type, messages = points(
        "rack.contactor: {at: input 1, as: enum16, block: fast, values: {5: open, 6: closed, 7: closed}}\n"
        "rack.alarms: {at: input 2, as: bits32, block: fast, values: {31: over_voltage_alarm}}\n"
        "rack.tripped: {at: input 4, as: u16, block: fast, values: {0: no, 1: yes}}\n"
        "rack.connect_request: {at: holding 0, as: u16, writable: persistent, values: {9: connect, 8: disconnect}}\n"
        "rack.controller_heartbeat: {at: holding 1, as: u16, writable: volatile, every: 500 ms}",
        kind="rack_bms",
    )
    assert messages == []
    assert device_type is not None
    contactor, alarms, tripped, connect, heartbeat = device_type.points
    assert contactor.codes == ((5, 1), (6, 3), (7, 3))
    assert contactor.commands == ()
    assert alarms.codes == ((31, BmsAlarm.OVER_VOLTAGE_ALARM),)
    assert tripped.codes == ((0, 0), (1, 1))
    assert connect.commands == ((1, 9), (2, 8))
    assert connect.writable is WriteKind.PERSISTENT
    assert heartbeat.refresh_s == 0.5


def test_the_head_of_a_file():
    device_type, messages = load("""schema: device/v1
device: acme
kind: bank_bms
maker: ACME
source: {document: manual, pages: 3-4, checked_by: me, checked_on: 2026-01-02}
address: one_based
words: low_first
max_read: 60
max_gap: 4
forbidden: [input 51..60]
pipeline: 3
gap: 5 ms
response: 12 ms
timeout: 300 ms
refresh: 1 s
identify: {at: input 1, as: string4, equals: ACME}
control: bank_managed
communication_timeout: {after: 10 s, then: trip, ramp: 2 s}
heartbeat: 500 ms
notes: [one, two]
setup:
  - {at: holding 9, as: u16, value: 3}
repeat: {rack: {count: 12, stride: 100}}
blocks: {fast: {every: 1 s}, slow: {every: 10 s}}
points:
  bank.heartbeat: {at: input 11, as: u16, block: fast}
  rack.voltage: {at: input 101, as: u16, unit: V, block: fast}
  cell.voltage: {at: input 120, count: 40, stride: 2, as: u16, unit: mV, block: slow}
""")
    assert messages == []
    assert device_type is not None
    assert device_type.repeat == Repeat("rack", 12, 100)
    assert device_type.identity == Identity(RegisterPlace(RegisterTable.INPUT, 0), "string4", "ACME")
    assert device_type.communication_timeout == CommunicationTimeout(10.0, TimeoutAction.TRIP, 2.0)
    assert device_type.forbidden == ((RegisterTable.INPUT, 50, 59),)
    assert device_type.setup == (SetupWrite(RegisterPlace(RegisterTable.HOLDING, 8), "u16", 3),)
    assert device_type.points[2].place == RegisterPlace(RegisterTable.INPUT, 119, 2)
    assert (device_type.max_read_registers, device_type.max_gap_registers, device_type.pipeline) == (60, 4, 3)
    assert (device_type.gap_s, device_type.response_s, device_type.timeout_s, device_type.refresh_s) == (
        0.005, 0.012, 0.3, 1.0,
    )  # fmt: skip
    assert device_type.notes == ("one", "two")
    assert device_type.block("slow").period_s == 10.0


def test_sunspec_points_have_no_address():
    device_type, messages = points(
        "pcs.dc_voltage: {at: sunspec 714.Prt.DCV, unit: V, block: fast}\n"
        "pcs.active_power: {at: sunspec 701.W, unit: W, block: fast}",
        head="sunspec: [1, 701, 714]\nsetup: [{at: sunspec 701.X, value: 1}]\n",
    )
    assert messages == []
    assert device_type is not None
    assert [point.place for point in device_type.points] == [
        SunSpecPlace(714, "DCV", "Prt"), SunSpecPlace(701, "W"),
    ]  # fmt: skip
    assert device_type.setup[0].place == SunSpecPlace(701, "X")
    assert device_type.sunspec_models == (1, 701, 714)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pcs.state: {as: u16, block: fast, values: {0: off}}", "'at' is missing in points.pcs.state"),
        ("pcs.heartbeat: {at: input, as: u16, block: fast}", "'input' is no register"),
        ("pcs.heartbeat: {at: inptu 3, as: u16, block: fast}", "'inptu 3' is no register"),
        ("pcs.heartbeat: {at: input 70000, as: u16, block: fast}", "there is no register 70000"),
        ("pcs.heartbeat: {at: input 1, block: fast}", "pcs.heartbeat has no register type"),
        ("pcs.heartbeat: {at: input 1, as: uint16, block: fast}", "unknown register type 'uint16'"),
        ("pcs.heartbeat: {at: input 1, as: u16}", "pcs.heartbeat is never read"),
        ("pcs.heartbeat: {at: input 1, as: u16, block: slow}", "no block 'slow'"),
        ("pcs.heartbeat: {at: input 1, as: u16, block: fast, unit: V}", "pcs.heartbeat can't be a voltage (V)"),
        ("pcs.heartbeat: {at: input 1, as: u16, block: fast, range: [0 V, 1 V]}", "pcs.heartbeat.range is not two"),
        ("pcs.heartbeat: {at: input 1, as: u16, block: fast, writable: volatile}", "pcs.heartbeat is not a command"),
        (
            "pcs.controller_heartbeat: {at: holding 1, as: u16}",
            "pcs.controller_heartbeat is a command, but not writable",
        ),
        ("pcs.dc_voltage: {at: input 1, as: u16, block: fast}", "pcs.dc_voltage has no unit"),
        ("pcs.dc_voltage: {at: input 1, as: u16, unit: volts, block: fast}", "pcs.dc_voltage.unit is no known unit"),
        ("pcs.dc_voltage: {at: input 1, as: u16, unit: A, block: fast}", "pcs.dc_voltage can't be a current (A)"),
        (
            "pcs.dc_voltage: {at: input 1, as: u16, unit: V, block: fast, range: [9 V, 1 V]}",
            "pcs.dc_voltage.range is empty",
        ),
        (
            "pcs.dc_voltage: {at: input 1, as: u16, unit: V, block: fast, range: [0 V, 1]}",
            "pcs.dc_voltage.range has no unit",
        ),
        (
            "pcs.dc_voltage: {at: input 1, as: u16, unit: V, block: fast, scale: 0,1}",
            "points.pcs.dc_voltage.scale has a comma in its number ('0,1')",
        ),
        ("pcs.state: {at: input 1, as: u16, block: fast}", "pcs.state has no 'values'"),
        ("pcs.state: {at: input 1, as: u16, block: fast, values: {0: of}}", "pcs.state can't be 'of'"),
        ("pcs.state: {at: input 1, as: u16, block: fast, values: {zero: off}}", "'zero' is not a raw value"),
        ("pcs.speed: {at: input 1, as: u16, block: fast}", "no signal named 'pcs.speed'"),
        ("pcs.heartbeat: {at: sunspec 701.W, block: fast}", "model 701 is not among this device's models"),
        ("pcs.heartbeat: {at: input 1, as: string99, block: fast}\n", None),
        ("pcs.heartbeat: {at: discrete 1, as: u16, block: fast}", "pcs.heartbeat is u16 in a table of bits"),
        ('rack.soc: {at: input 1, as: u16, unit: "%", block: fast}', "a pcs has no rack.soc"),
        (
            "pcs.active_power_setpoint: {at: input 1, as: i16, unit: kW, writable: volatile}",
            "pcs.active_power_setpoint is a command, and input registers can only be read",
        ),
    ],
)
def test_points_that_can_not_be(text, message):
    found = messages_of(text)
    assert (found == []) if message is None else any(m.startswith(message) for m in found), found


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("forbidden: [input 9..1]\n", "'input 9..1' is no range of registers"),
        ("forbidden: [inputs 1..9]\n", "'inputs 1..9' is no range of registers"),
        ("identify: {at: sunspec 1.Mn, as: string8, equals: x}\nsunspec: [1]\n", "a SunSpec device is identified"),
        ("repeat: {module: {count: 1, stride: 1}}\n", "'module' can't repeat"),
        ("repeat: {rack: {count: 2, stride: 9}, interlock: {count: 2, stride: 9}}\n", "two kinds of equipment repeat"),
        ("setup: [{at: holding 1, value: 1}]\n", "the setup register has no type"),
        ("setup: [{at: holding 1, as: u17, value: 1}]\n", "unknown register type 'u17'"),
        ("max_read: 1\n", "pcs.active_power takes 2 registers, a read may have 1"),
        ("forbidden: [input 4..5]\n", "pcs.active_power stands in the forbidden range input 4..5"),
    ],
)
def test_heads_that_can_not_be(head, message):
    found = messages_of("pcs.active_power: {at: input 5, as: i32, unit: W, block: fast}", head=head)
    assert any(m.startswith(message) for m in found), found


def test_a_status_word_may_be_read_two_ways_and_a_setting_read_back():
    shared = (
        "rack.contactor: {at: input 1, as: u16, block: fast, values: {0: open, 1: closed}}\n"
        "rack.tripped: {at: input 1, as: u16, block: fast, values: {0: no, 1: no, 2: yes}}\n"
    )
    assert messages_of(shared, kind="rack_bms") == []
    setting = (
        "pcs.watchdog_timeout: {at: holding 1, as: u16, unit: s, block: fast}\n"
        "pcs.watchdog_timeout_setting: {at: holding 1, as: u16, unit: s, writable: persistent}\n"
    )
    assert messages_of(setting) == []


def test_a_long_array_does_not_hide_an_overlap():
    text = (
        "cell.voltage: {at: input 10, count: 100, as: u16, unit: mV, block: fast}\n"
        'rack.soc: {at: input 20, as: u16, unit: "%", block: fast}\n'
        'rack.soh: {at: input 50, as: u16, unit: "%", block: fast}'
    )
    assert messages_of(text, kind="rack_bms") == [
        "rack.soc uses input register 20, which cell.voltage already uses",
        "rack.soh uses input register 50, which cell.voltage already uses",
    ]


def test_repeated_blocks_keep_apart():
    head = "repeat: {rack: {count: 10, stride: 100}}\n"
    text = 'rack.soc: {at: input 1000, as: u16, unit: "%%", block: fast}\n%s'
    far = 'rack.soh: {at: input 1100, as: u16, unit: "%", block: fast}'
    assert messages_of(text % far, "bank_bms", head) == ["a block of rack takes 101 input registers, its stride is 100"]
    inside = "bank.heartbeat: {at: input 1950, as: u16, block: fast}"
    assert messages_of(text % inside, "bank_bms", head) == []
    among = "bank.heartbeat: {at: input 1850, as: u16, block: fast}"
    assert messages_of(text % among, "bank_bms", head) == ["bank.heartbeat stands among the blocks of rack"]
    head = "repeat: {rack: {count: 700, stride: 100}}\n"
    assert messages_of(text % "", "bank_bms", head) == ["700 blocks of rack reach input register 70900"]


def test_a_map_without_a_source_is_a_warning():
    _, messages = load((HEAD % "meter").replace("source: {document: d, pages: 1}\n", "") + "points: {}\n")
    assert [m.message for m in messages] == ["acme does not say where its map was read"]


def test_register_types():
    assert [words_of(name) for name in ("u16", "i32", "f64", "string8", "string0", "u8")] == [1, 2, 4, 8, 0, 0]


def test_the_generic_bank_keeps_a_rack_in_one_read():
    device_type, _ = load((LIBRARY / "devices" / "generic-bank-bms.yaml").read_text(encoding="utf-8"))
    assert device_type is not None
    fast = [p for p in device_type.points if p.poll_block == "fast" and p.signal.name.startswith("rack.")]
    addresses = [p.place.address for p in fast if isinstance(p.place, RegisterPlace)]
    assert max(addresses) - min(addresses) < device_type.max_read_registers
