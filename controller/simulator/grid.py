"""What lies beyond the plant: grid frequency and voltage by a profile or as told, a load and a PV beside it.

A profile is a table over seconds from midnight, repeated each day, linear between its rows. The packaged one is a
recorded day of a 60 Hz grid; at other nominal frequencies its deviations are scaled.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

DAY_S = 86400.0
COLUMNS = ("frequency_hz", "voltage_pu", "load_mw", "pv_mw")


class Profile:
    """Columns over `time_s` (rising); absent columns keep what the site says."""

    def __init__(self, time_s: FloatArray, columns: Mapping[str, FloatArray]) -> None:
        """Keep plain arrays of doubles: one row is looked at a step."""
        self._time_s = array("d", time_s.tolist())
        self._columns = {name: array("d", column.tolist()) for name, column in columns.items()}

    def at(self, time_s: float) -> dict[str, float]:
        """Return every column's value at a time of the day, linear between rows, held beyond the ends."""
        times_s = self._time_s
        high = min(bisect_right(times_s, time_s), len(times_s) - 1)
        low = max(high - 1, 0)
        span_s = times_s[high] - times_s[low]
        part = min(max((time_s - times_s[low]) / span_s, 0.0), 1.0) if span_s > 0.0 else 0.0
        return {name: c[low] + part * (c[high] - c[low]) for name, c in self._columns.items()}


@dataclass(slots=True)
class Grid:
    """Frequency, voltage, and what load and PV beside the plant add at the POI (+ = export), now.

    `told` values (fault commands) win over profiles, earlier profiles over later ones, all over what the site says.
    """

    nominal_hz: float
    load_w: float = 0.0
    pv_w: float = 0.0
    profiles: tuple[Profile, ...] = ()
    start_s: float = 0.0  # time of day at which the simulation began
    told: dict[str, float] = field(default_factory=dict)
    frequency_hz: float = field(init=False)
    voltage_pu: float = 1.0
    neighbours_w: float = 0.0

    def __post_init__(self) -> None:
        """Stand at nominal."""
        self.frequency_hz = self.nominal_hz

    def look(self, time_s: float) -> None:
        """Take the values of `time_s` after the start."""
        now = dict(zip(COLUMNS, (self.nominal_hz, 1.0, self.load_w / 1e6, self.pv_w / 1e6), strict=True))
        of_day_s = (self.start_s + time_s) % DAY_S
        for profile in reversed(self.profiles):
            now |= profile.at(of_day_s)
        now |= self.told
        self.frequency_hz, self.voltage_pu = now["frequency_hz"], now["voltage_pu"]
        self.neighbours_w = 1e6 * (now["pv_mw"] - now["load_mw"])


def packaged_profile(name: str, nominal_hz: float) -> Profile:
    """Return a packaged profile; KeyError names those that exist."""
    folder = resources.files("controller").joinpath("library", "grid")
    names = sorted(f.name.removesuffix(".npz") for f in folder.iterdir() if f.name.endswith(".npz"))
    if name not in names:
        raise KeyError(f"no grid profile {name!r}; there are {', '.join(names)}")
    with folder.joinpath(f"{name}.npz").open("rb") as file, np.load(cast("BinaryIO", file)) as table:
        recorded_hz = float(table["nominal_hz"])
        deviation_hz = table["frequency_offset_100uhz"] * 1e-4 * (nominal_hz / recorded_hz)
        voltage_pu = 1.0 + table["voltage_offset_10ppm"] * 1e-5
    time_s = np.arange(len(deviation_hz), dtype=np.float64)
    return Profile(time_s, {"frequency_hz": nominal_hz + deviation_hz, "voltage_pu": voltage_pu})
