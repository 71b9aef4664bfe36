"""Sources: which signals the rows compare, and where in the image their numbers lie.

Rule: everything of the rack section is gathered with three takes over precomputed indices, whatever the number of
rows; only cells, codes and histories are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import Layout
from controller.image.quantities import QUANTITIES
from controller.plant.protection_rows import Direction, ProtectionRow, Reduction
from controller.plant.signals import SIGNALS, Owner, SignalForm

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_PLAIN = frozenset({Reduction.NONE, Reduction.MAGNITUDE, Reduction.DISCHARGE, Reduction.CHARGE})


@dataclass(frozen=True, slots=True)
class Source:
    """One signal of one row: sources `place` of T, for the row's elements `elements`; `sign` -1: low is dangerous."""

    signal: str
    reduction: Reduction
    window_s: float
    sign: int
    place: slice
    elements: slice

    @property
    def count(self) -> int:
        """How many equipments."""
        return int(self.place.stop - self.place.start)

    @property
    def signal_owner(self) -> Owner:
        """Whose value the signal is; cells and sensors stand in rows about their rack."""
        return SIGNALS[self.signal].owner

    @property
    def per_cell(self) -> bool:
        """Whether the signal has many values a rack."""
        return QUANTITIES[self.signal].per_cell

    @property
    def is_counter(self) -> bool:
        """Whether its age is that of the last advance, not of the last sample."""
        return SIGNALS[self.signal].form is SignalForm.COUNT and self.reduction is Reduction.AGE


class Layer(NamedTuple):
    """The sources `place` of T, one more signal for each of the elements `elements` of M, none twice."""

    place: slice
    elements: IntArray


@dataclass(frozen=True, slots=True)
class Gather:
    """Indices into the image's rack section, and what is taken one by one.

    `quality`, `time` [T]: in the section as bytes and as 64-bit integers (0 for cell signals, which are taken by
    themselves). Plain sources [P]: `plain` of T, `value` in the section as doubles;
    number = sign * max(turn * raw, or its magnitude; lowest).
    """

    quality: IntArray
    time: IntArray
    plain: IntArray
    value: IntArray
    turn: FloatArray
    lowest: FloatArray
    magnitude: BoolArray
    sign: FloatArray
    ages: IntArray
    age_sign: FloatArray
    cells: tuple[Source, ...]
    per_cell: BoolArray  # [T], theirs
    cell_ages: tuple[Source, ...]
    codes: tuple[Source, ...]
    rates: tuple[Source, ...]  # of scalars
    commands: tuple[Source, ...]
    counters: tuple[Source, ...]


def sources_of(rows: Iterable[tuple[ProtectionRow, slice]]) -> tuple[tuple[Source, ...], tuple[Layer, ...]]:
    """Return the sources, each with its place in T, and the layers of the `also` ones."""
    placed = list(rows)
    sources = [_source(row, row.signal, row.reduction, place, place) for row, place in placed]
    stop = placed[-1][1].stop if placed else 0
    layers = []
    for depth in range(max((len(row.also) for row, _ in placed), default=0)):
        start = stop
        for row, elements in placed:
            if depth < len(row.also):
                place = slice(stop, stop + elements.stop - elements.start)
                sources.append(_source(row, *row.also[depth], place, elements))
                stop = place.stop
        behind = [s for s in sources if s.place.start >= start and s.elements != s.place]
        layers.append(
            Layer(slice(start, stop), _joined([np.arange(s.elements.start, s.elements.stop) for s in behind]))
        )
    return tuple(sources), tuple(layers)


def _source(row: ProtectionRow, signal: str, reduction: Reduction, place: slice, elements: slice) -> Source:
    return Source(signal, reduction, row.window_s, sign_of(row), place, elements)


def sign_of(row: ProtectionRow) -> int:
    """Return 1 where high is dangerous, -1 where low is."""
    return 1 if row.direction is Direction.HIGH else -1


def compile_gather(sources: tuple[Source, ...], layout: Layout) -> Gather:
    """Return the indices of all sources."""
    plain = [s for s in sources if _is_plain(s)]
    ages = [s for s in sources if s.reduction is Reduction.AGE]
    turn = [-1.0 if s.reduction is Reduction.CHARGE else 1.0 for s in plain]
    lowest = [0.0 if s.reduction in {Reduction.CHARGE, Reduction.DISCHARGE} else -np.inf for s in plain]
    return Gather(
        quality=_joined([_indices(s, layout, "quality", 1) for s in sources]),
        time=_joined([_indices(s, layout, "time_ns", 8) for s in sources]),
        plain=_joined([_places(s) for s in plain]),
        value=_joined([_indices(s, layout, "value", 8) for s in plain]),
        turn=_repeated(turn, plain),
        lowest=_repeated(lowest, plain),
        magnitude=_repeated([float(s.reduction is Reduction.MAGNITUDE) for s in plain], plain) > 0,
        sign=_repeated([s.sign for s in plain], plain),
        ages=_joined([_places(s) for s in ages]),
        age_sign=_repeated([s.sign for s in ages], ages),
        cells=tuple(s for s in sources if s.per_cell and s.reduction is not Reduction.AGE),
        per_cell=_repeated([s.per_cell and s.reduction is not Reduction.AGE for s in sources], sources) > 0,
        cell_ages=tuple(s for s in sources if s.per_cell and s.reduction is Reduction.AGE),
        codes=tuple(s for s in sources if s.reduction is Reduction.NONE and not s.per_cell and s not in plain),
        rates=tuple(s for s in sources if s.reduction is Reduction.RATE and not s.per_cell),
        commands=tuple(s for s in sources if s.reduction is Reduction.BEYOND_COMMAND),
        counters=tuple(s for s in sources if s.is_counter),
    )


def _is_plain(source: Source) -> bool:
    quantity = QUANTITIES[source.signal]
    return source.reduction in _PLAIN and quantity.dtype == "<f8"


def _indices(source: Source, layout: Layout, part: str, itemsize: int) -> IntArray:
    if source.per_cell:
        return np.zeros(source.count, np.int64)
    first = layout.offsets[f"{source.signal}.{part}"] // itemsize
    return np.arange(first, first + source.count)


def _places(source: Source) -> IntArray:
    return np.arange(source.place.start, source.place.stop)


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate([*parts, np.zeros(0, np.int64)])


def _repeated(value: list[float], sources: Sequence[Source]) -> FloatArray:
    return np.repeat(np.array(value, np.float64), [s.count for s in sources])
