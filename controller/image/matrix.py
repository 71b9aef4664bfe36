"""Quantities of one kind of equipment side by side, seen as one matrix [quantity, equipment] without a copy.

Quantities that follow one another in the catalogue, with one owner and one stored type, lie evenly in the image (each
padded to the same length): what is done to all of them is one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.layout import Layout
from controller.image.quantities import QUANTITIES, Section


class Matrix(NamedTuple):
    """Live views of some quantities in an image [quantity, equipment]."""

    value: NDArray[Any]
    quality: NDArray[np.uint8]


def matrix_of(image: Image, names: Sequence[str]) -> Matrix:
    """Return the views; AssertionError if the quantities do not follow one another evenly."""
    data, shape = image.buffers[Section.RACKS].data, (len(names), len(image[names[0]].value))
    dtype = np.dtype(QUANTITIES[names[0]].dtype)
    assert all(QUANTITIES[name].dtype == QUANTITIES[names[0]].dtype for name in names), f"{names}: not of one type"
    offset, stride = _even(image.layout, [f"{name}.value" for name in names])
    value: NDArray[Any] = np.ndarray(shape, dtype, data, offset, (stride, dtype.itemsize))
    offset, stride = _even(image.layout, [f"{name}.quality" for name in names])
    quality: NDArray[np.uint8] = np.ndarray(shape, "u1", data, offset, (stride, 1))
    return Matrix(value, quality)


def _even(layout: Layout, names: Sequence[str]) -> tuple[int, int]:
    """Return where the arrays begin and how far apart they lie."""
    offsets = [layout.offsets[name] for name in names]
    strides = {b - a for a, b in pairwise(offsets)} or {0}
    assert len(strides) == 1, f"{names[0]} and its neighbours do not lie evenly in the image"
    return offsets[0], strides.pop()
