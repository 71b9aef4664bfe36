"""A utility's own register list: read with positions, checked against our points and their spans."""

from __future__ import annotations

import pytest

from controller.plant.model import Plant
from controller.points.addresses import WireType
from controller.points.interface_document import Endpoint, party_rows
from controller.points.party_map import read_party_map
from controller.points.point_list import PointList, point_list

LIST = """tag,address,type,scale,sign,unit,deadband,writable,words,description
Plant.ActivePower,0,int32,0.1,-1,kW,5,no,low_first,power at the meter
Plant.SoC,2,uint16,0.1,,%,0.5,no,,
Plant.State,3,uint16,,,,,,,
Plant.ActivePowerSetpoint,10,int32,0.1,-1,kW,,yes,low_first,dispatch
Plant.Stop,12,uint16,,,,,yes,,
"""


@pytest.fixture(scope="module")
def listed(demo_plant: Plant) -> PointList:
    return point_list(demo_plant)


def complaints(text: str, listed: PointList) -> list[tuple[str, str, str, str]]:
    return [(str(m.place), m.message, m.expected, m.hint) for m in read_party_map(text, "maps/u.csv", listed, 100)[1]]


def test_a_list_is_read_with_units_scales_and_signs(listed: PointList) -> None:
    found, messages = read_party_map(LIST, "maps/u.csv", listed, 100)
    power = found[0]

    assert messages == []
    assert (power.place.unit, power.place.address, power.place.type) == (100, 0, WireType.I32)
    assert power.place.factor == pytest.approx(-10_000.0)  # MW -> 0.1 kW, turned round
    assert power.place.low_first
    assert power.deadband == 5.0
    assert [row.place.writable for row in found] == [False, False, False, True, True]
    assert found[2].description == "operating state of the plant"


def test_semicolons_decimal_commas_and_comments_are_read(listed: PointList) -> None:
    text = "# our list\n" + LIST.replace(",", ";").replace("0.1", "0,1").replace("0.5", "0,5")

    assert complaints(text, listed) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "told"),
    [
        ("Plant.SoC", "Plant.SOC", "maps/u.csv:3:1", "there is no point 'Plant.SOC'", "did you mean 'Plant.SoC'?"),
        ("address", "adress", "maps/u.csv:1:5", "unknown column 'adress'", "did you mean 'address'?"),
        (",2,uint16,0.1", ",x,uint16,0.1", "maps/u.csv:3:11", "'x' is no address", "0 to 65535"),
        (",2,uint16,0.1", ",400003,uint16,0.1", "maps/u.csv:3:11", "'400003' is no address", "2 if this is a Modicon"),
        ("uint16,0.1", "u16,0.1", "maps/u.csv:3:13", "unknown type 'u16'", "did you mean 'uint16'?"),
        ("uint16,0.1", "uint16,0", "maps/u.csv:3:20", "a scale of 0", "more than 0"),
        ("0.1,,%", "0.1,,kW", "maps/u.csv:3:25", "Plant.SoC can't be shown in kW", "a unit of"),
        ("0.1,,%", "0.1,,Qx", "maps/u.csv:3:25", "unknown unit 'Qx'", ""),
        ("0.5,no", "0.5,yes", "maps/u.csv:3:31", "Plant.SoC can't be written", ""),
        ("0.5,no", "0.5,maybe", "maps/u.csv:3:31", "writable 'maybe'", "yes or no"),
        ("0.5,no", "-1,no", "maps/u.csv:3:27", "a deadband of -1", "0 or more"),
        (
            "0.5,no",
            "50,no",
            "maps/u.csv:3:27",
            "a deadband of 50 hides a tenth of all that Plant.SoC can be",
            "at most 10",
        ),
        ("Plant.SoC,2", "Plant.SoC,1", "maps/u.csv:3:11", "share register 1", ""),
        ("uint16,0.1", "uint16,0.001", "maps/u.csv:3:13", "0 to 100000 do not fit uint16", "a larger scale"),
        ("uint16,0.1", "uint16,10", "maps/u.csv:3:20", "Plant.SoC would be read in steps of 10 %", "steps of 5 %"),
        (",-1,kW,5", ",2,kW,5", "maps/u.csv:2:31", "sign '2'", "1 or -1"),
        ("Plant.State,", "Plant.LimitReasonText,", "maps/u.csv:4:1", "it has no register", "a single number"),
        (
            "Plant.Stop,12,uint16,,,,,yes",
            "Plant.Stop,12,uint16,,,,,no",
            "maps/u.csv:6:15",
            "is a command",
            "writable: yes",
        ),
        ("0.5,no,,", "0.5,no,middle_first,", "maps/u.csv:3:34", "words can't be 'middle_first'", "high_first"),
        ("Plant.State,3,uint16,,,,,,,", "Plant.State,3,uint16,,,,,,,,x", "maps/u.csv:4:29", "'x' stands behind", ""),
    ],
)
def test_each_mistake_is_named_at_its_place(listed, old, new, place, message, told) -> None:
    assert old in LIST
    found = complaints(LIST.replace(old, new, 1), listed)

    assert [f for f in found if f[0] == place and message in f[1] and told in f[2] + f[3]], found


def test_a_frequency_in_whole_hertz_is_refused(listed: PointList) -> None:
    text = "tag,address,type,scale\nPlant.Frequency,0,uint16,1\n"
    assert complaints(text, listed)[0][1] == "Plant.Frequency would be read in steps of 1 Hz"
    assert complaints(text.replace("uint16,1", "uint16,0.01"), listed) == []


def test_an_empty_list_and_a_list_without_a_column_are_errors(listed: PointList) -> None:
    assert complaints("", listed)[0][1] == "the list is empty"
    assert [c[1] for c in complaints("Plant.SoC,0,uint16\n", listed)] == ["the header is missing: Plant.SoC is a point"]
    assert "column 'type' is missing" in complaints("tag,address\nPlant.SoC,1\n", listed)[0][1]


def test_the_interface_document_shows_a_partys_list_in_its_own_terms(listed: PointList) -> None:
    found, _ = read_party_map(LIST, "maps/u.csv", listed, 100)
    power = next(party_rows("utility", found, Endpoint("10.1.2.3", 502)))

    assert (power["party"], power["unit"], power["scale"], power["sign"], power["deadband"]) == (
        "utility",
        "kW",
        0.1,
        -1,
        5.0,
    )
    assert (power["modbus_address"], power["modicon"], power["word_order"]) == (0, 400_001, "low_first")
    assert power["access"] == "R"
    assert (power["minimum"], power["maximum"]) == (-3168.0, 3168.0)
    assert power["mbpoll"] == "mbpoll -m tcp -p 502 -a 100 -0 -r 0 -c 1 -t 4:int -1 10.1.2.3"
