"""What an option of `bess estimate` and `bess fit-cell` can be: told before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from controller.commissioning.recording_checks import TEMPERATURE_DEGC
from controller.commissioning.recording_files import FileError

TABLES = (".csv", ".parquet")
PLOTS = (".png", ".svg", ".pdf")


def check_numbers(capacity_ah: float | None, temperature_degc: float | None) -> None:
    """Refuse a capacity that is no charge and a temperature that no cell has; FileError names the option."""
    if capacity_ah is not None and not (math.isfinite(capacity_ah) and capacity_ah > 0.0):
        raise FileError(f"--capacity {capacity_ah:g}: expected a charge above zero, in Ah")
    low, high = TEMPERATURE_DEGC
    if temperature_degc is not None and not low <= temperature_degc <= high:
        hint = " (kelvins? 298 K are 25 degC)" if high < temperature_degc < 373.15 else ""
        raise FileError(f"--temperature {temperature_degc:g}: expected {low:g} to {high:g} degC{hint}")


def check_target(option: str, path: Path, suffixes: Collection[str] = ()) -> None:
    """Refuse a file that can't be written: no such folder, a folder itself, an ending that says no known kind."""
    if suffixes and path.suffix.lower() not in suffixes:
        raise FileError(f"{option} {path}: expected a file that ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise FileError(f"{option} {path}: this is a folder; expected a file")
    if not path.absolute().parent.is_dir():
        raise FileError(f"{option} {path}: there is no folder {path.parent}; make it first")
