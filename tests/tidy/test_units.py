"""Every number says its unit as the last part of its name, or stands below with the reason why it has none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.tree import modules, parsed

BASE = r"(v|a|w|var|va|wh|ah|j|c|degc|k|s|ns|hz|ohm|f|pa|m|kg|ratio|pu|per_unit)"
# A unit, a squared unit, or one unit by another: `ramp_w_per_s`, `noise_v2`, `drift_ratio_per_sqrt_s`.
RATE = rf"_per_(sqrt_)?({BASE}2?|month|year|soc)"
SUFFIX = re.compile(rf"(^|_){BASE}2?({RATE})*$|{RATE}$")

# Last words that have no unit: they count, or compare like with like.
DIMENSIONLESS = {
    "count": "a number of things",
    "cycles": "a number of things",
    "exponent": "of a power law",
    "factor": "multiplies a quantity and leaves its unit",
    "periods": "multiples of a data period",
    "scale": "multiplies a register's number and gives it its unit",
    "sigma": "a standard deviation in units of what it multiplies",
    "sigmas": "multiples of a standard deviation",
    "sign": "+1 or -1",
    "weight": "compares like with like",
}
# Whole names of numbers of any quantity, whose unit is stated beside them.
OF_ANY_QUANTITY = {
    "after": "an event's value after it, in the unit of what it is about",
    "accepted": "active or reactive power",
    "aim": "active or reactive power",
    "asked": "active or reactive power",
    "before": "an event's value before it, in the unit of what it is about",
    "capacity": "active or reactive power that each may take",
    "days_high": "days, as findings state them",
    "days_low": "days, as findings state them",
    "energy_charged_mwh": "a key of the rehearsal's JSON, named by the contract",
    "energy_discharged_mwh": "a key of the rehearsal's JSON, named by the contract",
    "gain": "of a controller, by what it compares",
    "heartbeat": "a count as it came over the wire",
    "hysteresis_rate": "per unit of SOC",
    "last_heard": "a count as it came over the wire",
    "leash": "active or reactive power",
    "level": "a probability",
    "life": "a duration of any clock",
    "limits": "a pair of what they limit",
    "measured": "active or reactive power",
    "number": "of any register",
    "off": "the value of a fault that is over",
    "on": "the value of a fault that stands",
    "part": "of a whole of the same unit",
    "peak": "of any register",
    "power": "active or reactive power",
    "previous": "active or reactive power",
    "primary": "volts or amperes of an instrument transformer",
    "reference": "active or reactive power",
    "requested": "active or reactive power",
    "secondary": "volts or amperes of an instrument transformer",
    "size": "of a finding, in the unit stated beside it",
    "smallest": "in the unit of what it bounds",
    "soc_end": "a key of the rehearsal's JSON, named by the contract",
    "soc_start": "a key of the rehearsal's JSON, named by the contract",
    "span": "in the unit of the value it bounds",
    "start": "of a search, in the unit of what is searched",
    "start_hysteresis": "-1 to 1",
    "stated": "in the unit of the point it belongs to",
    "soc": "a share of 1, named as its table's axis",
    "stood": "active or reactive power",
    "sure": "active or reactive power",
    "target": "active or reactive power",
    "temperature": "degC, named as its table's axis",
    "than": "in the unit of what it is compared with",
    "total": "active or reactive power",
    "trim": "active or reactive power",
    "values": "in the unit of what they are the values of",
    "wanted": "in the unit of what is asked for",
    "whole": "in the unit of its parts",
    "window": "a share of 1, lowest and highest SOC",
    "all_at": "in the unit of what derates",
    "nothing_at": "in the unit of what derates",
    "band": "a deadband, in the unit of the point it belongs to",
    "code": "of a cell type's own numbering",
    "publishing_interval_ms": "OPC UA states it in ms",
    "share": "a share of 1",
    "apart_soc": "a share of 1 by which two cells lie apart",
    "goal": "in the unit of the figure that it is the goal of",
    "per_day": "a share of 1 each day",
    "deadband": "in the unit of the point it belongs to",
    "fallback": "in the unit of the command it belongs to",
    "high": "in the unit of the point it belongs to",
    "hours": "the option --hours says its unit in full",
    "limit": "in the unit of the protection row it belongs to",
    "low": "in the unit of the point it belongs to",
    "maximum": "in the unit of the point it belongs to",
    "minimum": "in the unit of the point it belongs to",
    "offset": "in the unit of the point it belongs to",
    "range_high": "in the unit of the point it belongs to",
    "range_low": "in the unit of the point it belongs to",
    "rating": "in the unit of the point it belongs to",
    "reset": "a protection row's reset threshold, in the unit of its limit",
    "seconds": "the option --for SECONDS says its unit in full",
    "unit_offset": "in the unit of the point it belongs to",
    "valid_max": "in the unit of the point it belongs to",
    "valid_min": "in the unit of the point it belongs to",
    "value": "in the unit of what it is the value of",
}


def _is_float(annotation: ast.expr | None) -> bool:
    """Whether a float, an optional float or a row of floats; a union with text or whole numbers is no quantity."""
    match annotation:
        case ast.Name(id=name):
            return name == "float"
        case ast.BinOp(left=left, right=right):
            optional = isinstance(right, ast.Constant) and right.value is None
            return _is_float(left) and (optional or _is_float(right))
        case ast.Subscript(value=ast.Name(id="tuple" | "list" | "Sequence" | "Final" | "Annotated"), slice=inner):
            return _is_float(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
    return False


def _numbers(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every float field of a class and every float parameter of a function."""
    for node in ast.walk(module):
        match node:
            case ast.ClassDef(body=body):
                for field in body:
                    if (
                        isinstance(field, ast.AnnAssign)
                        and isinstance(field.target, ast.Name)
                        and _is_float(field.annotation)
                    ):
                        yield field.lineno, field.target.id
            case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
                for argument in (*args.posonlyargs, *args.args, *args.kwonlyargs):
                    if _is_float(argument.annotation):
                        yield argument.lineno, argument.arg


def says_its_unit(name: str) -> bool:
    """Whether a name ends in a unit or is a word known to have none."""
    lowered = name.lower().strip("_")
    return bool(SUFFIX.search(lowered)) or lowered in OF_ANY_QUANTITY or lowered.rsplit("_", 1)[-1] in DIMENSIONLESS


@pytest.mark.parametrize("path", modules("controller"), ids=str)
def test_every_number_says_its_unit(path: Path):
    unsaid = [f"{path}:{line}: {name}" for line, name in _numbers(parsed(path)) if not says_its_unit(name)]

    assert unsaid == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cell_voltage_max_v", True),
        ("ramp_w_per_s", True),
        ("dt_s", True),
        ("soc_ratio", True),
        ("limit", True),
        ("unit_factor", True),
        ("cell_voltage", False),
        ("voltage_limit", False),
        ("delay_ms", False),
        ("power_kw", False),
        ("x", False),
    ],
)
def test_what_counts_as_said(name: str, said: bool):
    assert says_its_unit(name) is said
