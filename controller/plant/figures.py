"""Numbers and quantities as people read them: no exponents, no `-0`, no `nan`, the usual prefix, the right plural.

Every message that shows a computed number makes it here; what a person wrote is shown as it was written.
"""

from __future__ import annotations

import math
from decimal import Decimal

DIGITS = 4
NOT_KNOWN = "not known"
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"))
_LARGE, _SMALL = frozenset("GMk"), frozenset("mu")
_BY_UNIT = {
    "W": _LARGE, "VA": _LARGE, "var": _LARGE, "Wh": _LARGE, "W/s": _LARGE, "var/s": _LARGE,
    "V": frozenset("kmu"), "ohm": frozenset("Mkmu"), "s": _SMALL, "A": _SMALL,
}  # fmt: skip
_KILOVOLT_FROM_V = 2000.0
"""A battery's 1500 V are said in V, a grid's 20 kV in kV."""


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many significant digits and no exponent: 1250, 0.06, 0 (never -0)."""
    if not math.isfinite(value):
        return NOT_KNOWN if math.isnan(value) else ("-" if value < 0 else "") + "infinite"
    return format(Decimal(f"{value + 0.0:.{digits}g}"), "f") if value else "0"


def quantity(value: float, unit: str, digits: int = DIGITS) -> str:
    """Return a value of a base unit with the prefix that people use: `2.4 MW`, `60 mohm`, `876 V`, `12.47 kV`."""
    allowed = _BY_UNIT.get(unit, frozenset())
    size = abs(float(f"{value:.{digits}g}")) if math.isfinite(value) else 0.0
    usual = [(factor, prefix) for factor, prefix in _PREFIXES if size and prefix in {"", *allowed}]
    for factor, prefix in usual:
        least = _KILOVOLT_FROM_V if (unit, prefix) == ("V", "k") else factor
        if size >= least * (1 - 1e-12) or factor == usual[-1][0]:
            return f"{number(value / factor, digits)} {prefix}{unit}".rstrip()
    return f"{number(value, digits)} {unit}".rstrip()


def span(low: float, high: float, unit: str, digits: int = DIGITS) -> str:
    """Return `672 to 876 V`, or `80 mV to 3.65 V` where the ends are said with different prefixes."""
    first, second = quantity(low, unit, digits), quantity(high, unit, digits)
    same = first.partition(" ")[2] == second.partition(" ")[2]
    return f"{first.partition(' ')[0] if same or not low else first} to {second}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 rack`, `2 racks`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
