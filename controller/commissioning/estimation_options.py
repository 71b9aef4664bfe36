"""What an option of `bess estimate` and `bess fit-cell` can be: told before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path

from controller.commissioning.recording_checks import TEMPERATURE_DEGC
from controller.commissioning.recording_files import FileError
from controller.plant.cell_types import CellType

TABLES = (".csv", ".parquet")
PLOTS = (".png", ".svg", ".pdf")
USUAL_TIMES = 0.6, 1.3
"""Of the cell type's capacity: what aged and better cells of that type have."""
MILLI_TIMES = 400.0, 1500.0
"""Of it: so many times is one typed in mAh. A rack of that many cells in parallel has a cell file of its own."""


def check_numbers(capacity_ah: float | None, temperature_degc: float | None) -> None:
    """Refuse a capacity that is no charge and a temperature that no cell has; FileError names the option."""
    if capacity_ah is not None and not (math.isfinite(capacity_ah) and capacity_ah > 0.0):
        raise FileError(f"--capacity {capacity_ah:g}: expected a charge above zero, in Ah")
    low, high = TEMPERATURE_DEGC
    if temperature_degc is not None and not low <= temperature_degc <= high:
        hint = " (kelvins? 298 K are 25 degC)" if high < temperature_degc < 373.15 else ""
        raise FileError(f"--temperature {temperature_degc:g}: expected {low:g} to {high:g} degC{hint}")


def size_words(capacity_ah: float, cell: CellType) -> Iterator[str]:
    """Yield what says that the cell type is scaled beyond new and aged cells; FileError where mAh were typed for Ah."""
    times = capacity_ah / cell.capacity_ah
    if MILLI_TIMES[0] <= times <= MILLI_TIMES[1]:
        raise FileError(
            f"--capacity {capacity_ah:g}: expected Ah; {times:,.0f} times the {cell.capacity_ah:.4g} Ah of {cell.name}"
            f" looks like mAh ({capacity_ah / 1e3:g} Ah?)"
        )
    if not USUAL_TIMES[0] <= times <= USUAL_TIMES[1]:
        yield (
            f"--capacity {capacity_ah:g} Ah is {times:.3g} times the {cell.capacity_ah:.4g} Ah of {cell.name}: no aged"
            " cell of that type but one of another size, or several in parallel, is taken"
        )


def check_target(option: str, path: Path, suffixes: Collection[str] = ()) -> None:
    """Refuse a file that can't be written: no such folder, a folder itself, an ending that says no known kind."""
    if suffixes and path.suffix.lower() not in suffixes:
        raise FileError(f"{option} {path}: expected a file that ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise FileError(f"{option} {path}: this is a folder; expected a file")
    if not path.absolute().parent.is_dir():
        raise FileError(f"{option} {path}: there is no folder {path.parent}; make it first")
