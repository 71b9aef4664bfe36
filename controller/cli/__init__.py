"""The `bess` command: every verb parses its words here and hands over to a room.

One module a family of verbs, and below, in the order of `bess --help`, all there are. Verbs import what they need when
they run, so that `bess --help` starts at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from controller import __version__
from controller.cli import estimation, plants, sites
from controller.cli.options import UNUSABLE
from controller.cli.point_lists import points

VERBS = (
    sites.validate, sites.explain, sites.init, sites.diff, points,
    plants.run, plants.demo, plants.simulate, plants.rehearse, plants.replay, plants.status,
    estimation.estimate, estimation.fit_cell,
    sites.library, sites.schema, sites.upgrade_config, plants.bench,
)  # fmt: skip

app = typer.Typer(
    name="bess", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
for verb in VERBS:
    app.command()(verb)
secret_app = typer.Typer(no_args_is_help=True, help="Store secrets that a site names.")
secret_app.command("set")(sites.secret_set)
app.add_typer(secret_app, name="secret")


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"bess {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)]
Debug = Annotated[bool, typer.Option("--debug", help="Of an error that nobody foresaw, show where it happened.")]


@app.callback()
def _every_verb(version: Version = False, debug: Debug = False) -> None:
    """Supervisory controller for grid-scale battery storage.

    --debug may stand behind any verb, too.
    """


def main() -> None:
    """Run the command line."""
    words = sys.argv[1:]
    debug = "--debug" in words
    try:
        app([w for w in words if w != "--debug"])
    except Exception as error:
        if debug:
            raise
        more = "" if _is_foreseen(error) else " (run again with --debug for the details)"
        print(f"error: {str(error) or type(error).__name__}{more}", file=sys.stderr)
        sys.exit(UNUSABLE)


def _is_foreseen(error: Exception) -> bool:
    """Tell whether an error says all there is to say: one of ours, or the system's about a file or an address."""
    return type(error).__module__.startswith("controller.") or isinstance(error, OSError)
