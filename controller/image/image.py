"""An image: the arrays of one layout over two contiguous buffers, so that publishing is two copies.

`image["rack.current"]` gives value, quality and time as live views. Owned by one writer; everyone else gets a copy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import Layout
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES, Section


class Values(NamedTuple):
    """A quantity's arrays: value (NaN or 0 where bad), quality (u1), time_ns (i8, monotonic; one per rack for cells)."""

    value: NDArray[Any]
    quality: NDArray[np.uint8]
    time_ns: NDArray[np.int64]


class Image:
    """All quantities of a plant. Fresh: every quality NEVER_READ, numbers NaN."""

    def __init__(self, layout: Layout) -> None:
        """Allocate both sections."""
        self.layout = layout
        self.buffers = {s: np.zeros(layout.section_size(s), np.uint8) for s in Section}
        self.arrays: dict[str, NDArray[Any]] = dict(layout.views(self.buffers))
        present = (name for name in QUANTITIES if f"{name}.value" in self.arrays)
        self._values = {
            name: Values(self.arrays[f"{name}.value"], self.arrays[f"{name}.quality"], self.arrays[f"{name}.time_ns"])
            for name in present
        }
        for values in self._values.values():
            values.quality.fill(Quality.NEVER_READ)
            if values.value.dtype.kind == "f":
                values.value.fill(np.nan)

    def __getitem__(self, name: str) -> Values:
        """Return the live views of one quantity; KeyError if the catalogue has no such name."""
        return self._values[name]

    def buffer(self, section: Section) -> NDArray[np.uint8]:
        """Return a section's bytes."""
        return self.buffers[section]

    def copy_from(self, other: Image) -> None:
        """Take every byte of another image of the same layout."""
        for section, buffer in self.buffers.items():
            np.copyto(buffer, other.buffers[section])

    def copy_measured_from(self, other: Image, *, cells: bool = True) -> None:
        """Take the measured prefix of another image; `cells` false leaves the cell section alone."""
        for section in (Section.RACKS, Section.CELLS) if cells else (Section.RACKS,):
            size = self.layout.measured_bytes[section]
            np.copyto(self.buffers[section][:size], other.buffers[section][:size])
