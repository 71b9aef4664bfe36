"""What the verbs share: exit codes, options with their checks, loading a site, printing an answer.

stdout carries the answer, stderr the messages. Exit 0: ok; 1: the answer is no; 2: usage, or something can't be read.
"""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controller.plant.model import Plant

OK, NO, UNUSABLE = 0, 1, 2
FEWEST_RACKS, MOST_RACKS = 2, 10_000
SERIES_SUFFIXES = (".csv", ".parquet")


def _auto_ports(words: str) -> str:
    return _one_of(words, ("", "auto"), "auto")


def _one_of(word: str, allowed: tuple[str, ...], expected: str) -> str:
    if word not in allowed:
        raise typer.BadParameter(f"'{word}' is none of these; expected {expected}")
    return word


def positive(value: float | None) -> float | None:
    """Return an option's value if it is more than 0, or none; the option is named where it is not."""
    if value is not None and not (math.isfinite(value) and value > 0.0):
        raise typer.BadParameter(f"expected a number greater than 0, not {value:g}")
    return value


def demo_racks(racks: int) -> int:
    """Return a number of racks that the demo can be laid out with; the option is named where it is none."""
    if not FEWEST_RACKS <= racks <= MOST_RACKS:
        raise typer.BadParameter(f"expected {FEWEST_RACKS} to {MOST_RACKS}, not {racks}")
    return racks


def _series_file(out: Path | None) -> Path | None:
    if out is not None and out.suffix not in SERIES_SUFFIXES:
        raise typer.BadParameter(f"'{out}' is no series; expected a name that ends in {' or '.join(SERIES_SUFFIXES)}")
    if out is not None and not out.resolve().parent.is_dir():
        raise typer.BadParameter(f"{out.resolve().parent}: there is no such folder")
    return out


Site = Annotated[Path, typer.Argument(metavar="SITE", help="A folder with site.yaml, or that file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for machines.")]
State = Annotated[Path | None, typer.Option("--state", help="Replaces the state folder.")]
PORTS_HELP = "`auto`: the system chooses all ports and they are printed."
Ports = Annotated[str, typer.Option("--ports", help=PORTS_HELP, callback=_auto_ports)]
OUT_HELP = "Series: .csv or .parquet; events beside it."
Out = Annotated[Path | None, typer.Option("--out", help=OUT_HELP, callback=_series_file)]


def load(site: Path) -> Plant:
    """Return the plant, or print every message and exit: 2 if there is nothing to read, 1 if it is wrong."""
    from controller.plant.site_loader import load_site, site_file

    result = load_site(site)
    if result.plant is None:
        print(result.text(), file=sys.stderr)
        raise typer.Exit(NO if site_file(site).is_file() else UNUSABLE)
    return result.plant


def print_answer(text: str, code: int) -> None:
    """Print an answer, to stderr if it is a no, and exit with its code."""
    print(text, end="" if text.endswith("\n") else "\n", file=sys.stderr if code else sys.stdout)
    if code:
        raise typer.Exit(code)


def end_cleanly_when_asked() -> None:
    """Let SIGTERM and SIGINT end a daemon cleanly (exit 0) while it is still loading; its loop takes over later."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: sys.exit(0))
