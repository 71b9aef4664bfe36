"""Point lists as makers send them become device files; what can't be read is an error at its cell; nothing is lost."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.point_import import Request, export_device, import_points
from controller.commissioning.tables import TableError, read_sheets
from controller.commissioning.vendor_cells import AddressStyle, parse_address, parse_number, parse_pairs, parse_type
from controller.commissioning.vendor_entries import Options
from controller.plant.device_loader import load_device
from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace
from controller.plant.messages import Complaint
from controller.plant.site_files import LIBRARY
from controller.plant.yaml_tree import read_document

DEVICES = sorted((LIBRARY / "devices").glob("*.yaml"))

RACK = """
ACME R280 register list rev 2.4;;;;;;;;
Name;Address;FC;Data Type;Scale;Unit;R/W;Description;Default
Rack data;;;;;;;;
Rack total voltage;30017;04;UINT16;0,1;V;R;;
Rack current;30018;04;INT16;0,1;A;R;+ charging;
SOC;30019;04;UINT16;0,1;%;R;;
Main contactor status;30025;04;ENUM16;;;R;0: open, 1: precharge, 2: closed, 3: fault;
Energy charged;30030-30031;04;UINT32 (CDAB);0,1;kWh;R;;17
Cell 1 voltage;30101;04;UINT16;1;mV;R;;
Cell 2 voltage;30102;04;UINT16;1;mV;R;;
Cell 3 voltage;30103;04;UINT16;1;mV;R;;
EMS heartbeat;40003;03/06;UINT16;;;RW;write every second;
Connect request;40001;03/06;UINT16;;;RW;1=connect, 2=disconnect;
""".lstrip()


def bess(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def loaded(text: str) -> DeviceType:
    document, messages = read_document("imported.yaml", text.encode())
    device_type, more = load_device(document, "")
    assert device_type is not None, [*messages, *more]
    return device_type


def address(point: DevicePoint) -> int:
    assert isinstance(point.place, RegisterPlace)
    return point.place.address


def imported(folder: Path, text: str, kind: str = "rack_bms", options: Options | None = None, name: str = "list.csv"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return import_points(Request(file, "acme", kind, "ACME", options or Options()))


# ------------------------------------------------------------------------------------------------- our own table, whole


@pytest.mark.parametrize("path", DEVICES, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_every_library_device_survives_a_table_and_back(path: Path, form: str, tmp_path: Path) -> None:
    table, second = tmp_path / f"device.{form}", tmp_path / f"again.{form}"
    export_device(path.stem, table)
    back = import_points(Request(table, path.stem))

    assert back.errors == ""
    document, _ = read_document(path.name, path.read_bytes())
    before, _ = load_device(document, "")
    assert loaded(back.text) == before

    (tmp_path / "back.yaml").write_text(back.text, encoding="utf-8")
    export_device(str(tmp_path / "back.yaml"), second)
    assert [[c.text for c in row] for row in read_sheets(second)[0].rows] == [
        [c.text for c in row] for row in read_sheets(table)[0].rows
    ], "comments and order are kept too"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("signal,at,", "signal,att,", "unknown column 'att'"),
        ("300017", "300018", "Modicon 300018 is not input 16"),
        ("0=open; 1", "0 open; 1", "'0 open' is no value with its meaning"),
        ("0 V .. 2000 V", "2000 V", "'2000 V' is no range"),
        ("rack.soc,", "rack.soh,", "rack.soh is written twice"),
        ("u16,fast", "u61,fast", "unknown register type 'u61'"),
        ("rack.heartbeat,input 30", ",input 30", "the row has no signal"),
    ],
)
def test_a_wrong_cell_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = export_device("generic-rack-bms", None)
    assert old in text
    file = tmp_path / "table.csv"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = import_points(Request(file, "x", "rack_bms"))

    assert message in found.errors
    assert found.text == ""


# ------------------------------------------------------------------------------------------------ lists of the makers


def test_a_makers_list_becomes_a_device_file(tmp_path: Path) -> None:
    found = imported(tmp_path, RACK)
    device = loaded(found.text)
    points = {p.signal.name: p for p in device.points}

    assert found.errors == ""
    assert (address(points["rack.voltage"]), points["rack.voltage"].scale) == (16, 0.1)
    assert points["rack.current"].sign == -1, "the list says + is charging"
    assert dict(points["rack.contactor"].codes) == {0: 1, 1: 2, 2: 3, 3: 4}
    assert points["cell.voltage"].count == 3
    assert points["rack.connect_request"].commands == ((1, 1), (2, 2))
    assert address(points["rack.controller_heartbeat"]) == 2


def test_what_is_not_bound_is_kept_and_told(tmp_path: Path) -> None:
    found = imported(tmp_path, RACK)

    assert "Energy charged" in found.summary
    assert "# not bound: list.csv!A8: {at: input 29, as: u32, scale: 0.1, unit: kWh, words: low_first}" in found.text
    for said in ("ACME R280 register list rev 2.4", "Rack data", "Default: 17", "write every second"):
        assert said in found.text


def test_a_workbooks_cells_are_called_as_the_spreadsheet_does(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Modbus list"
    sheet.append(["Point name", "Register (1-based)", "Register type", "Format", "Gain", "Units"])
    sheet.append(["DC voltage", 17, "Input Register", "UINT15", 10, "V"])
    book.create_sheet("Cover").append(["ACME", "2026"])
    book.save(tmp_path / "list.xlsx")
    wrong = import_points(Request(tmp_path / "list.xlsx", "acme", "pcs"))
    sheet["D2"] = "UINT16"
    book.save(tmp_path / "list.xlsx")
    right = import_points(Request(tmp_path / "list.xlsx", "acme", "pcs"))

    assert wrong.errors.startswith("Modbus list!D2: error: unknown data type 'UINT15'")
    point = loaded(right.text).points[0]
    assert (address(point), point.scale) == (16, 0.1)
    assert "sheet 'Cover' holds no point list" in right.summary


def test_a_gain_below_one_is_asked_not_guessed(tmp_path: Path) -> None:
    rows = "Name,Register (1-based),Register type,Format,Gain,Units\nDC voltage,17,Input Register,UINT16,0.1,V\n"
    (tmp_path / "list.csv").write_text(rows, encoding="utf-8")
    found = import_points(Request(tmp_path / "list.csv", "acme", "pcs"))

    assert "list.csv!E2: error: this gain can be read two ways" in found.errors


def test_a_formula_without_its_result_is_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Name", "Address", "Type"])
    book.active.append(["x", "=A1+1", "uint16"])
    book.save(tmp_path / "list.xlsx")

    with pytest.raises(TableError, match="Sheet!B2: a formula"):
        read_sheets(tmp_path / "list.xlsx")


def test_blocks_of_racks_become_one_block_that_repeats(tmp_path: Path) -> None:
    rows = ["Name,Address,FC,Data Type,Scale,Unit"]
    for rack in range(4):
        rows += [f"Rack {rack + 1} voltage,{100 + 20 * rack},3,uint16,0.1,V",
                 f"Rack {rack + 1} current,{101 + 20 * rack},3,int16,0.1,A"]  # fmt: skip
    zero_based = Options(AddressStyle.ZERO_BASED)
    device = loaded(imported(tmp_path, "\n".join(rows), "bank_bms", zero_based).text)
    rows[-1] = rows[-1].replace("161", "162")
    broken = imported(tmp_path, "\n".join(rows), "bank_bms", zero_based)

    assert device.repeat is not None
    assert (device.repeat.count, device.repeat.stride) == (4, 20)
    assert broken.errors.startswith("list.csv!A9: error: Rack 4 current stands at 162; after Rack 1 current every 20")


@pytest.mark.parametrize(
    ("row", "cell", "message"),
    [
        ("Voltage,70000,3,uint16,1,V", "B2", "there is no register 70000"),
        ("Voltage,x,3,uint16,1,V", "B2", "'x' is no address"),
        ("Voltage,10,9,uint16,1,V", "C2", "'9' is no function code"),
        ("Voltage,10,,uint16,1,V", "B2", "not said which table"),
        ("Voltage,10,3,,1,V", "D2", "there is no data type"),
        ("Voltage,10-12,3,uint32,1,V", "B2", "3 registers do not hold whole values of 2"),
        ("Voltage,10,3,float BADC,1,V", "D2", "bytes within its registers are swapped"),
        ("Voltage,10,3,uint16,0,V", "E2", "a scale of 0"),
        ("Voltage,10,3,uint16,abc,V", "E2", "'abc' is no number"),
        ("Voltage,10,3,uint16,1,Vx", "F2", "unknown unit 'Vx'"),
        (",10,3,uint16,1,V", "A2", "the row has no name"),
    ],
)
def test_what_can_not_be_read_is_an_error_at_its_cell(row: str, cell: str, message: str, tmp_path: Path) -> None:
    text = f"Name,Address,FC,Data Type,Scale,Unit\n{row}\n"
    found = imported(tmp_path, text, "rack_bms", Options(AddressStyle.ZERO_BASED))

    assert f"list.csv!{cell}: error: " in found.errors
    assert message in found.errors


def test_how_addresses_count_is_never_guessed(tmp_path: Path) -> None:
    text = "Name,Address,FC,Data Type,Unit\nRack voltage,100,3,uint16,V\n"

    assert "--addresses zero_based, one_based or modicon" in imported(tmp_path, text).errors
    assert "input 99" in imported(tmp_path, text.replace(",3,", ",4,"), options=Options(AddressStyle.ONE_BASED)).text


@pytest.mark.parametrize(
    ("text", "style", "expected"),
    [
        ("40001", "modicon", (0, "holding")), ("400101", "modicon", (100, "holding")),
        ("30017", "modicon", (16, "input")),
        ("10001", "modicon", (0, "discrete")), ("0x1A", "zero_based", (26, "")), ("1Ah", "zero_based", (26, "")),
        ("17", "one_based", (16, "")), ("40001-02", "modicon", (0, "holding")),
    ],
)  # fmt: skip
def test_addresses_of_every_notation(text: str, style: str, expected: tuple[int, str]) -> None:
    found = parse_address(text, AddressStyle(style))

    assert not isinstance(found, Complaint)
    assert (found.first, found.table) == expected


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("UINT16", None, "u16"), ("int32 (CDAB)", None, "i32"), ("Float32", None, "f32"), ("real", None, "f32"),
        ("U32", None, "u32"), ("S16", None, "i16"), ("unsigned int 16", None, "u16"), ("uint", 2, "u32"),
        ("ASCII[8]", None, "string8"), ("string", 4, "string4"), ("bitmap", 2, "bits32"), ("enum16", None, "enum16"),
        ("signed 64-bit", None, "i64"), ("boolean", None, "bool"), ("U_WORD", None, "u16"), ("IEEE754", None, "f32"),
    ],
)  # fmt: skip
def test_types_of_every_spelling(text: str, length: int | None, expected: str) -> None:
    assert parse_type(text, length) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.1", 0.1), ("0,1", 0.1), ("/10", 0.1), ("1/10", 0.1), ("10^-1", 0.1), ("x0.1", 0.1), ("1E-3", 1e-3)],
)
def test_scales_of_every_spelling(text: str, expected: float) -> None:
    found = parse_number(text)

    assert not isinstance(found, Complaint)
    assert float(found) == expected


@pytest.mark.parametrize(
    "text",
    [
        "0: open, 1: closed",
        "0=open;1=closed",
        "0 - open\n1 - closed",
        "0: open | 1: closed",
        "0x0: open; 0x1: closed",
        "0=open / 1=closed",
        "0=open 1=closed",
        "0 = open / 1 = closed",
        "0: open / 1: closed",
        "0: open 1: closed",
    ],
)
def test_values_of_every_spelling(text: str) -> None:
    assert parse_pairs(text) == ({0: "open", 1: "closed"}, "")


ODD = (
    "",
    "x",
    "-1",
    "99999999",
    "1e400",
    "NaN",
    '"',
    "{",
    "é",
    "0x",
    "1/0",
    "10^99",
    "..",
    "=",
    "#",
    "UINT64",
    "0: ,",
    "\t",
)


@pytest.mark.parametrize("seed", range(60))
def test_no_list_however_broken_stops_the_importer(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    text, parted = (RACK, ";") if seed % 2 else (export_device("generic-bank-bms", None), ",")
    rows = [line.split(parted) for line in text.splitlines()]
    for row in rng.choice(len(rows), 3):
        cells = rows[row]
        cells[rng.integers(len(cells))] = str(rng.choice([*ODD, *cells]))
    found = imported(tmp_path, "\n".join(parted.join(row) for row in rows), "rack_bms" if seed % 2 else "bank_bms")

    assert bool(found.errors) != bool(found.text)
    assert "Traceback" not in found.errors


def test_the_verb_writes_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(RACK, encoding="utf-8")
    words = ("points", "import", str(tmp_path / "list.csv"), "--device", "acme", "--kind", "rack_bms",
             "--out", str(tmp_path / "devices" / "acme.yaml"))  # fmt: skip
    first, again = bess(*words), bess(*words)
    kind = bess(*words[:5], "--kind", "rackbms")

    assert first.exit_code == 0, first.stderr
    assert "acme: 7 points bound" in first.stdout
    assert again.exit_code == 2
    assert "nothing is overwritten" in again.stderr
    assert kind.exit_code == 1
    assert "did you mean 'rack_bms'?" in kind.stderr


def _zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "nothing")
    return path


def test_what_is_no_table_is_told_in_our_words(tmp_path: Path) -> None:
    photos = _zip(tmp_path / "photos.xlsx", "photo.jpg")
    damaged = _zip(tmp_path / "damaged.xlsx", "xl/workbook.xml")
    old = tmp_path / "old.xlsx"
    old.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512))
    cut = tmp_path / "cut.xlsx"
    cut.write_bytes(b"PK\3\4")
    endless = tmp_path / "endless.csv"
    endless.write_text('Name;Address\nRack voltage;1\n"' + "x" * 140_000 + "\n", encoding="utf-8")
    expected = "; expected .xlsx, as a spreadsheet saves it, or CSV"

    assert {file.name: refused(file) for file in (photos, damaged, old, cut, endless)} == {
        "photos.xlsx": f"error: {photos}: this is a zip archive, but no workbook is in it{expected}",
        "damaged.xlsx": f"error: {damaged}: this workbook is damaged{expected}",
        "old.xlsx": f"error: {old}: this is a workbook of the old kind (.xls), or one with a password{expected}",
        "cut.xlsx": f"error: {cut}: this is no workbook, or one that was cut off{expected}",
        "endless.csv": f"error: {endless}:3: a cell begins here that is longer than 131,072 characters;"
        ' is a quote (") never closed?',
    }


def refused(file: Path) -> str:
    return import_points(Request(file, "acme", "rack_bms")).errors


def test_a_table_comes_back_from_a_spreadsheet_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    rows = [line.split(",") for line in ("#device,x", "#kind,pcs", "#maker,ACME", "#schema,device/v1")]
    rows += [["#source.document", "d"], ["#source.pages", "1"], ["#blocks.fast.every", "1 s"]]
    rows += [["signal", "at", "as", "block", "scale", "offset", "unit"]]
    rows += [["pcs.dc_voltage", "input 1", "u16", "fast", "0,1", "-0,5", "V"]]
    file = tmp_path / "x.csv"
    file.write_text("\n".join(";".join([*row, *[""] * (7 - len(row))]) for row in rows), encoding="utf-8")
    found = import_points(Request(file, "x"))

    assert not found.errors
    assert "scale: 0.1, offset: -0.5" in found.text


def test_a_list_of_which_nothing_is_known_says_so(tmp_path: Path) -> None:
    found = imported(tmp_path, "Name,Address,FC,Type,Scale,Unit\nRack voltage,30017,4,UINT16,0.1,V\n", "bank_bms")

    assert "none of 1 row is a signal of a bank_bms that is known by its name" in found.errors
    assert "'Rack 1 voltage', 'Rack 2 voltage'" in found.errors


def test_exporting_what_is_not_there_suggests_what_is() -> None:
    answer = bess("points", "export", "generic-rak-bms")

    assert answer.exit_code == 2
    assert "generic-rack-bms" in answer.stderr


CONVERTER = """Voltaro PX-1500 grid converter, registers, issue C
No.,Register (hex),Table,Parameter,Data format,Factor,Unit,Access,Remark
1,0x2002,Holding,Reactive power setpoint,S32 big endian,0.1,kvar,RW,positive = inductive
2,0x2000,Holding,Active power setpoint,S32 big endian,0.1,kW,RW,
3,0x1000,Input,Active power output,S32 big endian,0.1,kW,RO,positive = feeding the grid
4,0x1009,Input,Operating state,U16,,,RO,0=standby / 1=starting / 2=running / 3=fault
5,0x2004,Holding,Start/Stop,U16,,,RW,1=start 0=stop
6,0x2005,Holding,Fault reset,U16,,,WO,write 1
"""


def test_a_converter_s_list_is_read_as_its_maker_wrote_it(tmp_path) -> None:
    (tmp_path / "voltaro.csv").write_text(CONVERTER, encoding="utf-8")
    done = import_points(Request(tmp_path / "voltaro.csv", "voltaro", "pcs"))
    assert done.errors == ""
    points = {point.signal.name: point for point in loaded(done.text).points}
    addresses = {name: point.place.address for name, point in points.items() if isinstance(point.place, RegisterPlace)}
    assert addresses["pcs.active_power_setpoint"] == 0x2000
    assert addresses["pcs.reactive_power_setpoint"] == 0x2002
    assert points["pcs.reactive_power_setpoint"].sign == -1
    assert [raw for raw, _ in points["pcs.state"].codes] == [0, 1, 2, 3]
    assert sorted(raw for _, raw in points["pcs.operation"].commands) == [0, 1]
    assert [raw for _, raw in points["pcs.reset_request"].commands] == [1]


def test_a_row_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text(
        "Name;Address;FC;Type;Scale;Unit\nRack voltage;30017;04;UINT16;0.1;V\nRack voltage;30017;04;UINT16;0.1;V\n"
    )
    found = import_points(Request(tmp_path / "list.csv", "acme", "rack_bms"))
    assert found.errors.startswith("list.csv!A3: error: Rack voltage at input 16 stands in list.csv!A2 already")
