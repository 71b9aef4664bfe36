"""Register lists of meters as their makers print them: the plant's whole is bound, a phase or a demand never is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli import app
from controller.commissioning.point_import import Imported, Request, import_points
from controller.commissioning.tables import read_sheets
from controller.commissioning.vendor_cells import (
    AddressStyle,
    coding_in_words,
    order_in_words,
    parse_pairs,
    parse_type,
    parse_unit_cell,
)
from controller.commissioning.vendor_entries import Options
from controller.commissioning.vendor_signals import signal_of
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceKind, DeviceType, RegisterPlace
from controller.plant.yaml_tree import read_document

ZERO, ONE = AddressStyle.ZERO_BASED, AddressStyle.ONE_BASED


def imported(folder: Path, text: str, options: Options | None = None) -> Imported:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return import_points(Request(folder / "list.csv", "own", "meter", "", options or Options()))


def meter(found: Imported) -> DeviceType:
    assert found.errors == ""
    device_type, messages = load_device(read_document("own.yaml", found.text.encode())[0], "")
    assert device_type is not None, messages
    return device_type


def places(device_type: DeviceType) -> dict[str, tuple[str, int]]:
    found = ((p.signal.name.removeprefix("meter."), p.place) for p in device_type.points)
    return {name: (place.table.value, place.address) for name, place in found if isinstance(place, RegisterPlace)}


FLOATS = """SDM meter, input registers (read with function code 04)
Address (Register),Description,Units,Hi Byte,Lo Byte
30001,Phase 1 line to neutral volts,Volts,00,00
30007,Phase 1 current,Amps,00,06
30013,Phase 1 active power,Watts,00,0C
30043,Average line to neutral volts,Volts,00,2A
30047,Average line current,Amps,00,2E
30053,Total system power,Watts,00,34
30061,Total system VAr,VAr,00,3C
30063,Total system power factor,None,00,3E
30071,Frequency of supply voltages,Hz,00,46
30073,Total import kWh,kWh,00,48
30075,Total export kWh,kWh,00,4A
30085,Total system power demand,W,00,54
30201,Line 1 to line 2 volts,Volts,00,C8
30207,Average line to line volts,Volts,00,CE
"""


def test_a_list_of_floats_without_a_column_for_types(tmp_path):
    found = imported(tmp_path, FLOATS)
    assert found.errors.count("error") == 1
    assert "the list does not say the data type of its values" in found.errors
    assert "--type float32" in found.errors
    assert places(meter(imported(tmp_path, FLOATS, Options(type="float32")))) == {
        "current": ("input", 46), "active_power": ("input", 52), "reactive_power": ("input", 60),
        "power_factor": ("input", 62), "frequency": ("input", 70), "energy_in": ("input", 72),
        "energy_out": ("input", 74), "voltage": ("input", 206),
    }  # fmt: skip


WEIGHTS = """Modicon address;Physical address;Length (words);VARIABLE ENG. UNIT;Data Format;Notes
300001;0000h;2;V L1-N;INT32;Value weight: Volt*10
300013;000Ch;2;A L1;INT32;Value weight: Ampere*1000
300037;0024h;2;V L-N sys;INT32;Value weight: Volt*10
300039;0026h;2;V L-L sys;INT32;Value weight: Volt*10
300041;0028h;2;kW sys;INT32;Value weight: Watt*10
300051;0032h;1;PF sys;INT16;Value weight: PF*1000
300053;0034h;2;kWh (+) TOT;INT32;Value weight: kWh*10
"""


def test_a_list_whose_notes_say_the_scale(tmp_path):
    device_type = meter(imported(tmp_path, WEIGHTS))
    assert places(device_type) == {
        "voltage": ("input", 38), "active_power": ("input", 40), "power_factor": ("input", 50),
    }  # fmt: skip
    assert {p.signal.name: (p.scale, p.unit) for p in device_type.points} == {
        "meter.voltage": (0.1, "V"), "meter.active_power": (0.1, "W"), "meter.power_factor": (0.001, "pu"),
    }  # fmt: skip


DETAILS = """Quantity,Details,Start Reg (Hex),Size,Res.,Unit,Data type
Voltage,L1-N,5B00,2,0.1,V,Unsigned
Voltage,L1-L2,5B06,2,0.1,V,Unsigned
Current,L1,5B0C,2,0.01,A,Unsigned
Active power,Total,5B14,2,0.01,W,Signed
Active power,L1,5B16,2,0.01,W,Signed
Active import,kWh,5000,4,0.01,kWh,Unsigned
"""


def test_a_list_with_hexadecimal_addresses_and_phases_in_a_column_of_their_own(tmp_path):
    without = imported(tmp_path, DETAILS)
    assert "it is not said which table it stands in (and at 5 more cells, to list.csv!C7)" in without.errors
    device_type = meter(imported(tmp_path, DETAILS, Options(table="holding")))
    assert places(device_type) == {
        "active_power": ("holding", 0x5B14), "energy_in": ("holding", 0x5000), "voltage": ("holding", 0x5B06),
    }  # fmt: skip
    assert {p.register_type for p in device_type.points} == {"i32", "u64", "u32"}


OFFSETS = """Offset;Number of registers;Name;Format;Unit;Access
1;2;Voltage VL1-N;Float;V;R
7;2;Voltage VL1-L2;Float;V;R
13;2;Current L1;Float;A;R
65;2;Total active power;Float;W;R
801;4;Active energy import tariff 1;Double;Wh;RW
"""


def test_a_list_that_calls_its_addresses_offsets(tmp_path):
    found = imported(tmp_path, OFFSETS, Options(ONE, "holding"))
    assert places(meter(found)) == {"active_power": ("holding", 64), "voltage": ("holding", 6)}


DIVISORS = """Dec address;Hex address;Words;Description;Unit;Data Type
50512;C550;2;Simple Voltage : V1;V/100;U32
50520;C558;2;Phase to Phase Voltage: U12;V/100;U32
50528;C560;2;Phase Current : I1;A/1000;U32
50536;C568;2;Sigma Active Power +/- : P;kW/100;S32
50542;C56E;2;Sigma Power Factor : PF;/1000;S32
50780;C65C;2;Active energy IN;kWh/1;U32
"""


def test_a_list_whose_units_are_divided(tmp_path):
    device_type = meter(imported(tmp_path, DIVISORS, Options(ZERO, "holding")))
    scales = {p.signal.name: (p.scale, p.unit) for p in device_type.points}
    assert scales == {
        "meter.voltage": (0.01, "V"), "meter.active_power": (0.01, "kW"), "meter.power_factor": (0.001, "pu"),
    }  # fmt: skip


IN_NAMES = """No.,Address,Parameter,Read/Write,Length,Type,Remark
1,0x0061,Phase A voltage UA (0.1V),R,1,UINT16,
2,0x0078,Line voltage UAB 0.1V,R,1,UINT16,
3,0x016A,Total active power 0.001kW,R,2,INT32,low word first
4,0x000A,Forward active energy 0.01kWh,R,2,UINT32,
"""


def test_a_list_with_units_in_its_names_and_an_order_in_its_remarks(tmp_path):
    device_type = meter(imported(tmp_path, IN_NAMES, Options(table="holding")))
    assert places(device_type) == {"voltage": ("holding", 0x78), "active_power": ("holding", 0x16A)}
    power = device_type.point("meter.active_power")
    assert power is not None
    assert (power.scale, power.unit, power.words) == (0.001, "kW", "low_first")


GERMAN = """Registeradresse (1-based);Bezeichnung;Datentyp;Faktor;Einheit;FC;Bemerkung
1;Spannung L1-L2;UINT16;10^1;V;03;
2;Wirkleistung gesamt;INT16;10^3;W;03;positiv = Bezug
3;Blindleistung gesamt;INT16;10^3;var;03;
5;Wirkarbeit Bezug;UINT32;10^3;Wh;03;
7;Wirkarbeit Lieferung;UINT32;10^3;Wh;03;
"""


def test_a_list_in_german(tmp_path):
    device_type = meter(imported(tmp_path, GERMAN))
    assert places(device_type) == {
        "active_power": ("holding", 1), "reactive_power": ("holding", 2), "energy_in": ("holding", 4),
        "energy_out": ("holding", 6), "voltage": ("holding", 0),
    }  # fmt: skip
    power = device_type.point("meter.active_power")
    assert power is not None
    assert power.sign == -1


def test_five_digits_that_begin_with_one_are_no_bits(tmp_path):
    text = "Address;Format;Variable;Unit\n19050;float;_FREQ;Hz\n19006;float;_ULL[0];V\n"
    found = imported(tmp_path, text)
    assert "the list does not say how it counts its addresses" in found.errors
    assert places(meter(imported(tmp_path, text, Options(ZERO, "holding")))) == {
        "frequency": ("holding", 19_050), "voltage": ("holding", 19_006),
    }  # fmt: skip


def test_a_row_that_is_left_out_need_not_be_read(tmp_path):
    text = "Register;Name;Type;Unit;FC;Signal\n0;Frequency;FLOAT32;Hz;3;\n2;Power Factor Total;4Q FP PF;;3;{}\n"
    assert "or '-' in a column 'signal', to leave the row out" in imported(tmp_path, text.format("")).errors
    assert places(meter(imported(tmp_path, text.format("-")))) == {"frequency": ("holding", 0)}


def test_a_list_in_chinese_coding_is_read_as_it_was_written(tmp_path):
    (tmp_path / "list.csv").write_bytes("Name;Address;FC\n线电压 voltage;0;3\n".encode("gb18030"))
    assert read_sheets(tmp_path / "list.csv")[0].rows[1][0].text == "线电压 voltage"
    (tmp_path / "list.csv").write_bytes("Name;Address;FC\nWärme für;0;3\n".encode("cp1252"))
    assert read_sheets(tmp_path / "list.csv")[0].rows[1][0].text == "Wärme für"


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("Frequency", "frequency"), ("Grid frequency max", None), ("THD voltage L1", None), ("Voltage unbalance", None),
        ("Voltage L-L Avg", "voltage"), ("Voltage A-B", "voltage"), ("Voltage A-N", None), ("U12", "voltage"),
        ("Voltage L2", None), ("Phase voltage V1", None), ("Current Avg", "current"), ("Current A", None),
        ("Neutral current", None), ("Active Power Total", "active_power"), ("Active Power A", None),
        ("Active power", "active_power"), ("Max demand active power", None), ("Apparent Power Total", "apparent_power"),
        ("Active Energy Delivered (Into Load)", "energy_in"), ("Active Energy Received (Out of Load)", "energy_out"),
        ("Active energy delivered to grid", "energy_out"), ("Reactive energy import", None), ("Energy", None),
        ("Forward active energy", None), ("Import active energy L1", None), ("Import active energy tariff 2", None),
        ("Total active energy (import + export)", None), ("Breaker state", "breaker"), ("Serial number", None),
    ],
)  # fmt: skip
def test_what_a_meter_s_name_means(name, signal):
    found = signal_of(name, DeviceKind.METER)
    assert (found.name if found is not None else None) == (f"meter.{signal}" if signal else None)


def test_single_cells():
    assert parse_unit_cell("V/100") == ("V", Fraction(1, 100))
    assert parse_unit_cell("/1000") == ("", Fraction(1, 1000))
    assert coding_in_words("Voltage (0.1V)") == ("V", Fraction(1, 10))
    assert coding_in_words("Voltage 3") == ("", Fraction(1))
    assert parse_type("BIT32", None) == "bits32"
    assert [order_in_words(t) for t in ("low word first", "MSW first", "in a word")] == ["low_first", "high_first", ""]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("bit0 over voltage alarm; bit1 under voltage alarm", {0: "over voltage alarm", 1: "under voltage alarm"}),
        ("bit 0: over voltage, bit 4: over temperature", {0: "over voltage", 4: "over temperature"}),
        ("bit0=over voltage bit1=under voltage", {0: "over voltage", 1: "under voltage"}),
        ("D3 = fault, D4 = fan", {3: "fault", 4: "fan"}),
        ("see bit 3 of the next register", {}),
        ("bit 0-3 reserved, bit 4 fan, bit 5 door", {4: "fan", 5: "door"}),
    ],
)
def test_bits_are_read_as_makers_write_them(text, pairs):
    assert {raw: name.strip(" ,;") for raw, name in parse_pairs(text)[0].items()} == pairs


def test_the_type_of_all_values_is_said_by_an_option(tmp_path):
    (tmp_path / "list.csv").write_text(FLOATS, encoding="utf-8")
    words = ["points", "import", str(tmp_path / "list.csv"), "--kind", "meter", "--type"]
    assert "meter.frequency" in CliRunner().invoke(app, [*words, "float32"]).stdout
    refused = CliRunner().invoke(app, [*words, "flaot"])
    assert refused.exit_code == 2
    assert "--type: unknown data type 'flaot'" in refused.stderr
