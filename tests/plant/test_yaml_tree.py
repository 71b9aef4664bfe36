from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.messages import Place
from controller.plant.yaml_tree import Keys, Text, plain, read_document, walk


def read(text: str):
    return read_document("f.yaml", text.encode())


def test_every_scalar_stays_the_text_it_was():
    document, messages = read("from: 17:00\nmode: on\ncountry: no\nid: 010\nnothing:\nquoted: 'x'\n")
    assert messages == []
    assert plain(document.root) == {
        "from": "17:00", "mode": "on", "country": "no", "id": "010", "nothing": "", "quoted": "x",
    }  # fmt: skip


def test_places_count_from_one():
    document, _ = read("a:\n  - {b: c, d: e}\n")
    assert document.place_of(("a", 0, "d")) == Place("f.yaml", 2, 15, 1)
    assert document.place_of(("a", 0, "d"), key=True) == Place("f.yaml", 2, 12, 1)
    assert document.place_of(("a",)) == Place("f.yaml", 1, 1, 1)
    assert document.place_of(("a", 7, "gone")) == Place("f.yaml", 1, 1, 1)
    assert document.text_at(("a", 0, "b")) == "c"
    assert document.text_at(("a",)) == ""


def test_quotes_are_remembered():
    document, _ = read('a: "x"\nb: y\nc: |\n  z\n')
    assert isinstance(document.root, Keys)
    quoted = {name: value.quoted for name, (_, value) in document.root.entries.items() if isinstance(value, Text)}
    assert quoted == {"a": True, "b": False, "c": True}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1", "'a' is written twice"),
        ("a: &x 1\n", "f.yaml:1:4", "'&x' is a YAML anchor"),
        ("a: *x\n", "f.yaml:1:4", "'*x' is a YAML alias"),
        ("a: !!int 1\n", "f.yaml:1:4", "'tag:yaml.org,2002:int' is a YAML tag"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "a second document starts here"),
        ("? [a, b]\n: 1\n", "f.yaml:1:3", "a key is not a plain word"),
        ("", "f.yaml:1:1", "the file is empty"),
        ("a:\n\tb: 1\n", "f.yaml:2:1", "a tab where YAML wants spaces"),
        ("a: {b: c\n", "f.yaml:1:4", "the { that begins on line 1 is not closed, or a comma is missing in it"),
        ("x: 1\na: [b\nc: 2\n", "f.yaml:2:4", "the [ that begins on line 2 is not closed, or a comma is missing in it"),
        (
            "a: {b: c, d e: f g: h}\n",
            "f.yaml:1:19",
            "the { that begins on line 1 is not closed, or a comma is missing in it",
        ),
        ("a: b: c\n", "f.yaml:1:5", "a second colon in one line, or a line further in than the keys above it"),
        ("a:\n  - b\n  c: d\n", "f.yaml:3:3", "this line is no entry of the list that begins on line 2"),
        ("a:\n  b: 1\n c: 2\n", "f.yaml:3:2", "this line stands in no column of the keys that begin on line 1"),
        ("x: 1\nabc\nd: 2\n", "f.yaml:2:1", "no colon behind the key"),
        ("unit: %\n", "f.yaml:1:7", "a value can't begin with '%'"),
        ("a: 'x\nb: 2\n", "f.yaml:1:4", "the quote that begins here is never closed"),
        ('a: "\\q"\n', "f.yaml:1:5", "in double quotes a backslash begins a special character"),
        ("a:\u00a0b\nc: 1\n", "f.yaml:1:3", "a no-break space"),
        ("a: \u201cx: y\u201d\n", "f.yaml:1:4", "a curly quote"),
        ("[" * 200, "f.yaml:1:42", "more than 40 levels inside each other"),
    ],
)
def test_what_the_language_forbids_has_a_place(text, place, message):
    _, messages = read(text)
    assert [(str(m.place), m.message) for m in messages][:1] == [(place, message)]


def test_a_file_in_another_encoding_is_refused_at_its_line():
    document, messages = read_document("f.yaml", b"a: 1\nb: \xe4\n")
    assert document.root is None
    assert str(messages[0].place) == "f.yaml:2:4"


def test_control_characters_are_refused_at_their_place():
    _, messages = read("a: 1\nb: \x00\n")
    assert str(messages[0].place).startswith("f.yaml:2:")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tree_or_a_message(data):
    document, messages = read_document("f.yaml", data)
    assert messages or document.root is not None
    assert all(node.place.line >= 1 for _, node in walk(document.root))


@given(st.text(alphabet="ab:{}[],-&*! \n\"'|>#%@`\t", max_size=60))
def test_any_text_is_a_tree_or_a_message(text):
    document, messages = read(text)
    assert messages or document.root is not None
