"""An image: the arrays of one layout over two contiguous buffers, so that publishing is two copies.

`image["rack.current"]` gives value, quality and time as live views. Owned by one writer; everyone else gets a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import Layout
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES, Section


class Values(NamedTuple):
    """Value (NaN or 0 where bad), quality (u1) and monotonic time_ns (i8; one per rack for cells)."""

    value: NDArray[Any]
    quality: NDArray[np.uint8]
    time_ns: NDArray[np.int64]


class Image:
    """All quantities of a plant. Fresh: every quality NEVER_READ, numbers NaN. Views are made when first asked for."""

    def __init__(self, layout: Layout, buffers: Mapping[Section, NDArray[np.uint8]] | None = None) -> None:
        """Stand over `buffers` as they are (read-only ones give a read-only image); absent, over fresh ones."""
        self.layout = layout
        self.buffers = dict(buffers or {s: np.zeros(layout.section_size(s), np.uint8) for s in Section})
        self._values: dict[str, Values] = {}
        self._quality_region = layout.measured_region("quality")
        self._time_region = layout.measured_region("time_ns")
        self._computed_region = layout.computed_region("time_ns")
        if buffers is None:
            self._forget()

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every field of the layout, the extra ones included."""
        return dict(self.layout.views(self.buffers))

    def array(self, name: str) -> NDArray[Any]:
        """Return the live view of one field (`rack.current.value`); KeyError if the layout has no such name."""
        return self.layout.view(name, self.buffers)

    def __getitem__(self, name: str) -> Values:
        """Return the live views of one quantity; KeyError if the catalogue has no such name."""
        if name not in self._values:
            self._values[name] = Values(*(self.array(f"{name}.{part}") for part in Values._fields))
        return self._values[name]

    @property
    def measured_quality(self) -> NDArray[np.uint8]:
        """Qualities of all measured quantities of the rack section as one vector, padding included."""
        return self.buffers[Section.RACKS][self._quality_region]

    @property
    def measured_time_ns(self) -> NDArray[np.int64]:
        """Their times, with the same indices."""
        return self.buffers[Section.RACKS].view(np.int64)[self._time_region]

    @property
    def computed_time_ns(self) -> NDArray[np.int64]:
        """Times of all computed quantities as one vector: they are computed together."""
        return self.buffers[Section.RACKS].view(np.int64)[self._computed_region]

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

    def _forget(self) -> None:
        for name in QUANTITIES:
            if f"{name}.value" in self.layout:
                values = self[name]
                values.quality.fill(Quality.NEVER_READ)
                if values.value.dtype.kind == "f":
                    values.value.fill(np.nan)
