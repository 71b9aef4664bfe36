from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controller.plant.demo_site import demo_site_files
from controller.plant.messages import Place, Severity, error, in_order, nearest, one_of, render, warning
from controller.plant.site_loader import load_site

GOLDEN = Path(__file__).parent / "golden"
CASES = {case["name"]: case for case in yaml.safe_load((GOLDEN / "cases.yaml").read_text(encoding="utf-8"))}


def golden() -> dict[str, str]:
    sections = (GOLDEN / "messages.txt").read_text(encoding="utf-8").split("### ")[1:]
    return {name: text.strip("\n") for name, _, text in (section.partition("\n") for section in sections)}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_letter_by_letter(name, tmp_path):
    case, files = CASES[name], demo_site_files()
    for old, new in case["change"]:
        text = files[case.get("file", "site.yaml")]
        assert old in text
        files[case.get("file", "site.yaml")] = text.replace(old, new, 1)
    for file, text in {**files, **case.get("more", {})}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert load_site(tmp_path).text() == golden()[name]


def test_every_golden_text_has_a_case():
    assert set(golden()) == set(CASES)


def test_no_message_speaks_of_how_it_is_made():
    banned = ("pydantic", "traceback", "NoneType", "dict", "str ", "float", "Error(", "_type", "validation")
    text = (GOLDEN / "messages.txt").read_text(encoding="utf-8")
    assert [word for word in banned if word in text] == []


def test_no_number_is_shown_as_a_program_writes_it():
    lines = (GOLDEN / "messages.txt").read_text(encoding="utf-8").splitlines()
    said = "\n".join(line for line in lines if "|" not in line)
    a_program_writes = r"\d[eE][+-]?\d|\bnan\b|(?<![\w.])-0(?![.\d])|0X|\b1 (?:racks|cells|containers|errors)\b"
    assert re.findall(a_program_writes, said) == []


def test_messages_are_sorted_and_said_once():
    late, early = error(Place("b.yaml", 1), "x"), error(Place("a.yaml", 9), "x")
    assert in_order([late, early, late]) == (early, late)


def test_twenty_are_shown_then_a_count():
    many = [error(Place("a.yaml", n), "x") for n in range(1, 58)]
    text = render(many, {})
    assert text.count("error: x") == 20
    assert text.endswith("and 37 more like this")


def test_a_caret_stands_under_tabs_and_at_the_end_of_lines():
    text = render([warning(Place("a", 1, 3, 50), "x")], {"a": ["\tab"]})
    assert text.splitlines() == ["a:1:3: warning: x", "     1 | \tab", "       | \t ^"]
    assert render([error(Place("a", 7), "x")], {"a": ["only one line"]}) == "a:7:1: error: x"


def test_the_form_for_machines():
    message = error(Place("a", 1, 2, 3), "m", "e", "h", [Place("b", 4, 5)])
    assert message.as_json() == {
        "severity": "error", "file": "a", "line": 1, "col": 2, "message": "m", "expected": "e", "hint": "h",
        "see_also": ["b:4:5"],
    }  # fmt: skip
    assert message.severity is Severity.ERROR


def test_suggestions():
    assert nearest("batery", ["racks", "battery"]) == "battery"
    assert nearest("bms-stops-pcs", ["bms_stops_pcs"]) == "bms_stops_pcs"
    assert nearest("xyz", ["racks"]) is None
    assert one_of([]) == ""
    assert one_of(map(str, range(15))).endswith(", 11, ... (15 in all)")
