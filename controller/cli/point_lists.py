"""The verb about points: the interface document, frozen maps, makers' lists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import OK, UNUSABLE, AsJson, load, print_answer
from controller.plant.messages import did_you_mean

VERBS = ("freeze", "diff", "import", "export")
_OBJECTS = {"import": "FILE", "export": "DEVICE"}


def points(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[VERB] WHAT", help="A site; or freeze, diff, import, export and what it works on."),
    ],
    form: Annotated[str, typer.Option("--format", help="csv, json, md, xlsx or nodeset.")] = "csv",
    out: Annotated[Path | None, typer.Option("--out", help="File to write (needed for xlsx).")] = None,
    delimiter: Annotated[str, typer.Option("--delimiter", help="Between the columns of CSV.")] = ",",
    device: Annotated[str, typer.Option("--device", help="import: name of the device type.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="import: rack_bms, bank_bms, pcs, meter or digital_io.")] = "",
    maker: Annotated[str, typer.Option("--maker", help="import: who makes it.")] = "",
    addresses: Annotated[str, typer.Option("--addresses", help="import: zero_based, one_based or modicon.")] = "",
    table: Annotated[str, typer.Option("--table", help="import: holding or input, if the list does not say.")] = "",
    order: Annotated[str, typer.Option("--words", help="import: high_first or low_first, if it does not say.")] = "",
    data_type: Annotated[str, typer.Option("--type", help="import: of every value, if the list has no column.")] = "",
    as_json: AsJson = False,
) -> None:
    """List a site's points; freeze them; import a maker's list.

    \b
    bess points SITE           every point with its addresses
    bess points freeze SITE    promise them to SCADA: none moves any more
    bess points diff SITE      which points are new since; exit 1 if any
    bess points import FILE --kind KIND [--device NAME] [--out DEVICE.yaml]
                               a device file of a maker's list (CSV, XLSX)
    bess points export DEVICE [--out FILE]
                               a table of a device file or a library device
    """  # noqa: D301 - what keeps the lines apart is the character itself
    from controller.commissioning import point_map

    verb, what = _asked(words)
    match verb:
        case "list":
            answer = point_map.render(load(Path(what)), Path(what), "json" if as_json else form, delimiter, out)
        case "freeze":
            answer = point_map.freeze(load(Path(what)), Path(what))
        case "diff":
            answer = point_map.diff(load(Path(what)), Path(what))
        case "import":
            stated = point_map.Stated(device, kind, maker, addresses, table, order, data_type)
            answer = point_map.import_list(Path(what), stated, out)
        case "export":
            answer = point_map.export(what, out)
        case _:
            hint = did_you_mean(verb, VERBS) or f"expected {', '.join(VERBS)}"
            answer = point_map.Answer(f"error: there is no 'bess points {verb}'; {hint}", UNUSABLE)
    if answer.aside:
        print(answer.aside, file=sys.stderr)
    print_answer(answer.text, answer.code if answer.is_message else OK)
    raise typer.Exit(answer.code)


def _asked(words: list[str]) -> tuple[str, str]:
    """Return the sub-verb and what it is about; a site alone is listed."""
    if len(words) == 2:
        return words[0], words[1]
    if len(words) == 1 and words[0] not in VERBS:
        return "list", words[0]
    meant = words[0] if words[0] in VERBS else "[VERB]"
    expected = f"bess points {meant} {_OBJECTS.get(words[0], 'SITE')}"
    raise typer.BadParameter(f"expected: {expected}")
