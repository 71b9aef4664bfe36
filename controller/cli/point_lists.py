"""The verb about points: the interface document, frozen maps, makers' lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import OK, UNUSABLE, AsJson, load, print_answer


def points(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[freeze|diff|import|export] WHAT", help="A site; or a sub-verb and what it works on."),
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
    as_json: AsJson = False,
) -> None:
    """List every point of a site with its addresses; freeze the map or compare with it; import a maker's list.

    `import FILE --device NAME --kind KIND [--out DEVICE.yaml]` makes a device file of a CSV or XLSX list;
    `export DEVICE [--out FILE]` makes a table of a device file, or of a library device.
    """
    from controller.commissioning import point_map

    verb, what = (words[0], words[1]) if len(words) == 2 else ("list", words[0])
    match verb:
        case "list":
            answer = point_map.render(load(Path(what)), Path(what), "json" if as_json else form, delimiter, out)
        case "freeze":
            answer = point_map.freeze(load(Path(what)), Path(what))
        case "diff":
            answer = point_map.diff(load(Path(what)), Path(what))
        case "import":
            stated = point_map.Stated(device, kind, maker, addresses, table, order)
            answer = point_map.import_list(Path(what), stated, out)
        case "export":
            answer = point_map.export(what, out)
        case _:
            text = f"unknown sub-verb '{verb}'; expected freeze, diff, import or export"
            answer = point_map.Answer(text, UNUSABLE)
    print_answer(answer.text, answer.code if answer.is_message else OK)
    raise typer.Exit(answer.code)
