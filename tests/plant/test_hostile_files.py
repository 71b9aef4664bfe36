# ruff: noqa: E501 - one case a line reads as a table
"""Files that nobody writes by intention: they get words and a place, in little time and memory, and never a traceback."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller.commissioning.validation import report, validate_site
from controller.plant.cell_loader import load_cell
from controller.plant.demo_site import demo_site_files
from controller.plant.messages import render
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import load_site
from controller.plant.yaml_tree import MAX_BYTES, read_document

TWINS = Path(__file__).resolve().parents[2] / "site_configs" / "coast_twins"

SITE = demo_site_files()["site.yaml"].encode()
BOMB = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (k, k, b", ".join([b"*a%d" % (k - 1)] * 9)) for k in range(1, 12)
)
MEMORY = 400 << 20

FILES: dict[str, tuple[bytes, str]] = {
    "a tab": (SITE.replace(b"\n  id:", b"\n\tid:"), "7:1: a tab where YAML wants spaces"),
    "an anchor": (SITE.replace(b"id: demo", b"id: &x demo"), "7:7: '&x' is a YAML anchor"),
    "a bomb of aliases": (BOMB, "1:5: '&a0' is a YAML anchor"),
    "a merge key": (b"x: &x {a: 1}\nsite: {<<: *x}\n" + SITE, "1:4: '&x' is a YAML anchor"),
    "a long value": (SITE.replace(b"280 Ah", b"9" * 100_000 + b" Ah"), "21:15: a value of 100003 characters"),
    "a long key": (SITE + b"? " + b"x" * 100_000 + b"\n: 1\n", "115:3: a value of 100000 characters"),
    "a key that is a group": (SITE + b"{a: b}: c\n", "115:1: a key is not a plain word"),
    "another encoding": (SITE.replace(b"Demo plant", b"D\xe4mo"), "2:4: the file is not text in UTF-8"),
    "UTF-16": (SITE.decode().encode("utf-16"), "1:1: the file is not text in UTF-8"),
    "a NUL": (SITE.replace(b"id: demo", b"id: de\0mo"), "7:9: a character that YAML does not allow"),
    "an escape": (SITE.replace(b"Demo plant", b'"\\x1b[31m"'), "8:9: site.name has a character that can't be seen"),
    "a turned text": (SITE.replace(b"Demo", "\u202eDemo".encode()), "8:9: site.name has a character that can't be seen"),
    "a NUL in a path": (SITE.replace(b"- protections", b'- "a\\0b"\n  - protections'), "15:5: use has a character"),
    "nothing": (b"", "1:1: the file is empty"),
    "a list": (b"- a\n", "1:1: the file is a list, but a group of keys is required"),
    "deep brackets": (b"a: " + b"[" * 5000, "1:44: more than 40 levels inside each other"),
    "deep keys": (b"".join(b" " * k + b"a:\n" for k in range(500)), "41:41: more than 40 levels inside each other"),
    "a large file": (SITE + b"#" * 12_000_000, f"1:1: the file has more than {MAX_BYTES} bytes"),
    "many keys": (SITE + b"".join(b"k%d: v\n" % k for k in range(700_000)), f"1:1: the file has more than {MAX_BYTES} bytes"),
    "many racks": (SITE.replace(b"{rack:01..12}", b"{rack:01..99999999}", 1), "35:11: '{rack:01..99999999}' stands for"),
    "many groups": (
        SITE.replace(b"racks:\n", b"racks:\n" + b"".join(b'  - {name: "X%d-{rack:01..99}", battery: lfp280}\n' % k for k in range(1200)), 1),
        "1045:12: these are more than 100000 names",
    ),
    "a folder as a file": (SITE.replace(b"- protections.yaml", b"- ."), "15:5: '.' is a folder"),
    "a device as a file": (SITE.replace(b"- protections.yaml", b"- /dev/zero"), "15:5: '/dev/zero' is outside the site's folder"),
    "a path as a time zone": (SITE.replace(b"America/Chicago", b"../../etc/passwd"), "9:13: site.timezone is no known"),
    "a path as a cell": (SITE.replace(b"cell: generic", b"cell: ../../generic"), "19:11: batteries.lfp280.cell can't be a name"),
    "a date that is none": (
        SITE + b"exceptions: {B01-R01: {until: 99999-01-01}}\n", "115:31: exceptions.B01-R01.until is not a date"
    ),
    "a schedule without end": (
        SITE + b"schedule:\n" + b'  - {name: a, from: "00:00", to: "24:00", do: {mode: idle}}\n' * 3000,
        "316:5: the schedule has 3000 entries",
    ),
}  # fmt: skip


def write(folder, data: bytes) -> None:
    (folder / "protections.yaml").write_text(demo_site_files()["protections.yaml"])
    (folder / "site.yaml").write_bytes(data)


@pytest.mark.parametrize("name", FILES)
def test_it_is_told_in_words_at_its_place(tmp_path, name):
    data, told = FILES[name]
    write(tmp_path, data)
    result = load_site(tmp_path)
    first = result.errors[0]
    assert f"{first.place.line}:{first.place.col}: {first.message}".startswith(told)
    assert result.plant is None
    assert all(len(line) < 1000 for line in result.text().splitlines())
    assert all(c.isprintable() or c in "\n\t" for c in result.text())


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_other_line_ends_and_a_byte_order_mark_are_fine(tmp_path, ends):
    write(tmp_path, b"\xef\xbb\xbf" + SITE.replace(b"\n", ends))
    assert load_site(tmp_path).text() == ""


def test_a_device_or_a_folder_is_no_site(tmp_path):
    assert "this is no regular file" in load_site("/dev/zero").text()
    (tmp_path / "site.yaml").mkdir()
    assert "there is no such file" in load_site(tmp_path).text()


@pytest.mark.parametrize("name", ["a bomb of aliases", "a large file", "many keys", "a long value", "many groups"])
def test_the_command_stays_small_and_has_an_exit_code(tmp_path, name):
    write(tmp_path, FILES[name][0])
    for words in (["validate", str(tmp_path)], ["explain", str(tmp_path), "site.id"]):
        done = subprocess.run(
            [sys.executable, "-c", "from controller.cli import main; main()", *words],
            capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
        )  # fmt: skip
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        assert len(done.stdout + done.stderr) < 20_000


def twins(folder: Path) -> Path:
    return Path(shutil.copytree(TWINS, folder / "twins"))


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def test_a_pipe_is_said_to_be_no_regular_file_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "site.yaml")
    for path in (tmp_path, tmp_path / "site.yaml"):
        assert "error: this is no regular file" in load_site(path).text()


def pipe_for_file(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder_for_file(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_outside(path: Path) -> None:
    outside = path.parents[len(path.parts) - path.parts.index("twins") - 1] / "outside"
    path.replace(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize(
    "name", ["protections.yaml", "schedule.yaml", "devices/coast-pcs.yaml", "maps/grid-operator.csv"]
)
@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        (circle, "'{}' is a link that leads to itself"), (folder_for_file, "'{}' is a folder"), (link_outside, "'{}' is outside"),
        (pipe_for_file, "'{}' is no regular file"),
    ],
)  # fmt: skip
def test_what_stands_in_a_file_s_place_is_named(tmp_path, name, replaced, said):
    site = twins(tmp_path)
    replaced(site / name)
    messages = load_site(site).messages
    assert any(m.message.startswith(said.format(name)) and m.place.file == "site.yaml" for m in messages), messages
    assert all(f"did you mean '{name}'" not in m.hint for m in messages)


def test_a_site_that_is_a_link_to_itself_is_called_one(tmp_path):
    (tmp_path / "site.yaml").symlink_to("site.yaml")
    assert "this is a link that leads to itself" in load_site(tmp_path).text()
    assert "this is a link that leads to itself" in load_site(tmp_path / "site.yaml").text()


def test_a_device_of_the_library_is_no_way_out_of_it(tmp_path):
    site = twins(tmp_path)
    (tmp_path / "spy.yaml").write_text("schema: device/v1\n", encoding="utf-8")
    device = site / "devices" / "coast-pcs.yaml"
    text = device.read_text(encoding="utf-8")
    assert "extends: generic-pcs\n" in text
    for way in ("../protections/lfp-utility@1", "/" * 2 + str(tmp_path / "spy")[1:]):
        device.write_text(text.replace("extends: generic-pcs\n", f"extends: {way}\n"), encoding="utf-8")
        assert any(word in load_site(site).text() for word in ("there is no file", "is outside the site's folder"))


CELL = (LIBRARY / "cells" / "vrla_12v_100.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema: cell/v1", "schema: device/v1", "1:9: error: schema is 'device/v1'"),
        (
            "values: [0, 25, 45]",
            "values: [.inf, .nan, 45]",
            "21:38: error: ocv.temperature.values is not a plain number",
        ),
        ("values: [0, 25, 45]", "values: [0, 45, 25]", "21:45: error: 25 comes after 45 in ocv.temperature.values"),
        ('soc: {unit: "%", values: [0,', 'soc: {unit: "%", values: [1,', "22:29: error: ocv.soc.values begins at 1 %"),
        (
            "voltage_min: 10.5 V",
            "voltage_min: 15.5 V",
            "11:16: error: limits.voltage_min is not below limits.voltage_max",
        ),
        ("voltage_min: 10.5 V", "voltage_min: 1e999 V", "11:16: error: limits.voltage_min is too large a number"),
        (
            "current_offset: 0.1 A",
            "current_offset: {bound: 0.5 A, sigma: 1 A}",
            "error: sensors.current_offset needs one error",
        ),
        ("chemistry: lead_acid", "chemistry: led_acid", "3:12: warning: 'led_acid' is no chemistry that we know"),
    ],
)
def test_a_cell_file_is_read_with_places(old, new, said):
    assert old in CELL
    document, messages = read_document("c.yaml", CELL.replace(old, new, 1).encode())
    assert messages == []
    assert said in render(load_cell(document)[1], {"c.yaml": document.lines})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("tag,address,type\nPlant.SoC,2,uint16\n".encode("utf-16"), "1:1: error: the file is not text in UTF-8"),
        (b'tag,address,type\n"Plant.SoC,2,uint16\n', "2:1: error: the line can't be parted into cells"),
        (b"tag,address,type\n" + b"x" * 200_000 + b",2,uint16\n", "2:1: error: the line can't be parted into cells"),
        (b"tag,address,type\nPlant.SoC\0,2,uint16\n", "2:1: error: there is no point 'Plant.SoC?'"),
        (b"", "1:1: error: the list is empty"),
        (b"x" * 2_000_000, "'maps/grid-operator.csv' has more than 1000000 bytes"),
    ],
    ids=["UTF-16", "an open quote", "a long cell", "a NUL", "nothing", "too large"],
)
def test_a_register_list_that_is_none_is_told_so(tmp_path, data, said):
    site = twins(tmp_path)
    (site / "maps" / "grid-operator.csv").write_bytes(data)
    assert said in validate_site(site).result.text()


def test_annotations_of_a_review_carry_any_file_name(tmp_path):
    site = twins(tmp_path)
    (site / "protections.yaml").rename(site / "pro,t: %c.yaml")
    text = (site / "site.yaml").read_text(encoding="utf-8").replace("- protections.yaml", '- "pro,t: %c.yaml"')
    (site / "site.yaml").write_text(text, encoding="utf-8")
    with (site / "pro,t: %c.yaml").open("a", encoding="utf-8") as file:
        file.write("x: y\n")
    (line,) = report(validate_site(site), "github", strict=False).splitlines()
    assert line.startswith("::error file=pro%2Ct%3A %25c.yaml,line=")
