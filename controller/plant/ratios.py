"""The ratio on an instrument transformer's plate: `600/5`, `33000/110`, `20000:sqrt3/100:sqrt3`.

Rule: primary/secondary in A or V. Between a phase and earth a plate divides both sides by the square root of three
(IEC 61869-3), which is written here as `:sqrt3`, `/sqrt3` or with the root sign.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_SIDE = r"([0-9]+(?:\.[0-9]+)?)(\s*[:/]\s*(?:sqrt\(?3\)?|√\s*3))?"
_PLATE = re.compile(rf"\s*{_SIDE}\s*/\s*{_SIDE}\s*")


@dataclass(frozen=True, slots=True)
class Plate:
    """Both sides as numbers, the root of three applied; `alike`: it stands on both sides, or on none.

    `to_earth`: it stands on the primary, so that this is the voltage between a phase and earth.
    """

    primary: float  # A or V
    secondary: float  # A or V
    alike: bool
    to_earth: bool = False

    @property
    def ratio(self) -> float:
        """Return primary over secondary."""
        return self.primary / self.secondary


def read_plate(text: str) -> Plate | None:
    """Return what a plate says, or None where it is no ratio."""
    matched = _PLATE.fullmatch(text)
    if matched is None or not float(matched[1]) or not float(matched[3]):
        return None
    primary, secondary = (float(matched[k]) / (math.sqrt(3.0) if matched[k + 1] else 1.0) for k in (1, 3))
    return Plate(primary, secondary, bool(matched[2]) == bool(matched[4]), bool(matched[2]))
