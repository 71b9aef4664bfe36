from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.axes import AxisError, NameIndex, expand_name, expand_reference, parse_template


def names(text: str) -> list[str]:
    return [instance.name for instance in expand_name(text)]


def test_a_name_without_axes_is_one_name():
    assert names("GRID") == ["GRID"]


def test_the_last_axis_counts_fastest_and_padding_is_kept():
    assert names("B{block:01..02}-R{rack:08..10}") == [
        "B01-R08", "B01-R09", "B01-R10", "B02-R08", "B02-R09", "B02-R10",
    ]  # fmt: skip
    assert expand_name("B{block:01..02}")[1].values == {"block": "02"}


def test_ranges_may_be_single_listed_or_unpadded():
    assert names("R{rack:7}") == ["R7"]
    assert names("R{rack:01..02,05}") == ["R01", "R02", "R05"]
    assert names("R{rack:9..11}") == ["R9", "R10", "R11"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("R{rack}", "'{rack}' is not an axis with a range", "write {rack:01..12}"),
        ("R{rack:3..1}", "'{rack:3..1}' counts downwards", "write 1..3"),
        ("R{rack:1..2", "'R{rack:1..2' has a brace too many or too few", ""),
        ("R{rack:1-2}", "'{rack:1-2}' is not an axis with a range", ""),
        ("R{rack:1..2..3}", "'{rack:1..2..3}' is not a range", ""),
        ("R{rack:1,1}", "'{rack:1,1}' names a value twice", ""),
        ("R{rack:1..2}{rack:1..2}", "axis 'rack' stands twice in 'R{rack:1..2}{rack:1..2}'", ""),
        ("R{rack:1..999999999}", "'{rack:1..999999999}' stands for 999999999 values", ""),
        ("A{a:1..1000}B{b:1..1000}", "'A{a:1..1000}B{b:1..1000}' stands for 1000000 names", ""),
        ("R.1", "'R.1' can't be a name", ""),
        ("{rack:1..2}", "'1' can't be a name", ""),
    ],
)
def test_what_is_no_name_is_said(text, message, hint):
    with pytest.raises(AxisError) as caught:
        expand_name(text)
    assert (caught.value.complaint.message, caught.value.complaint.hint) == (message, hint)


def test_addresses_are_computed_and_lose_the_padding():
    template = parse_template("tcp://10.20.{block}.{rack+100}:{block*100+rack-1}", ["block", "rack"])
    assert template.fill({"block": "07", "rack": "02"}) == "tcp://10.20.7.102:701"


def test_references_keep_the_padding():
    assert parse_template("PCS{block}", ["block"]).fill_name({"block": "07"}) == "PCS07"
    assert parse_template("PCS{block+1}", ["block"]).fill_name({"block": "09"}) == "PCS10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{rck}", "'{rck}' is not an axis of this group"),
        ("{rack+}", "'{rack+}' can't be computed"),
        ("{rack/2}", "'{rack/2}' can't be computed"),
        ("{}", "'{}' can't be computed"),
        ("{rack", "'{rack' has a brace too many or too few"),
    ],
)
def test_what_can_not_be_computed_is_said(text, message):
    with pytest.raises(AxisError) as caught:
        parse_template(text, ["block", "rack"])
    assert caught.value.complaint.message == message


def test_the_nearest_axis_is_suggested():
    with pytest.raises(AxisError) as caught:
        parse_template("{rck+1}", ["block", "rack"])
    assert caught.value.complaint.hint == "did you mean 'rack'?"
    assert caught.value.complaint.expected == "one of {block}, {rack}"


def test_a_reference_may_count_and_have_stars():
    assert expand_reference("B{block}-R{rack:01..02}", {"block": "07"}) == ["B07-R01", "B07-R02"]
    assert expand_reference("B{block}-R*", {"block": "07"}) == ["B07-R*"]


def test_patterns_find_names_in_order():
    index = NameIndex(names("B{block:01..02}-R{rack:01..03}"))
    assert index.find("B02-*") == [3, 4, 5]
    assert index.find("*-R02") == [1, 4]
    assert index.find("B01-R03") == [2]
    assert index.find("B03-*") == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("B02-R31", "in B02 they go from R01 to R03"),
        ("B09-R01", "they go from B01 to B02"),
        ("B2-R01", "did you mean 'B02-R01'?"),
        ("B01-X02", "did you mean 'B01-R02'?"),
        ("nothing like it", ""),
    ],
)
def test_a_name_that_fits_nothing_is_mended_axis_by_axis(name, hint):
    assert NameIndex(names("B{block:01..02}-R{rack:01..03}")).hint(name) == hint


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 4))
def test_every_range_has_each_value_once(first, length, width):
    text = f"R{{rack:{first:0{width}}..{first + length:0{width}}}}"
    found = names(text)
    assert [int(name[1:]) for name in found] == list(range(first, first + length + 1))


@given(st.text(alphabet="ab{}:.0123456789*,+- ", max_size=25))
def test_any_text_expands_or_is_refused(text):
    try:
        found = names(text)
    except AxisError as refused:
        found = [refused.complaint.message]
    assert all(found)
