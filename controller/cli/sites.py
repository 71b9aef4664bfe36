"""Verbs about the files of a site: check, explain, write anew, compare, bring up to date; secrets beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import NO, UNUSABLE, AsJson, Site, State, load, print_answer

WORKED_OUT = "left out or 0: worked out."


def validate(
    site: Site,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    form: Annotated[str, typer.Option("--format", help="text or github.")] = "text",
    state: State = None,
) -> None:
    """Check a site's files, all of it off-line.

    Each message names the place, what is wrong, what is expected and how to mend it. Exit 1 where there is an error.
    """
    import datetime as dt

    from controller.commissioning.validation import FORMS, report, validate_site
    from controller.runtime.clock import SystemClock
    from controller.runtime.folders import folders_of

    if form not in FORMS:
        print(f"error: unknown format '{form}'; expected text or github", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    today = dt.datetime.fromtimestamp(SystemClock().utc_ns() * 1e-9, dt.UTC).date()
    found = validate_site(
        site, today=today, state_of=lambda site_id: folders_of(site_id, simulated=False, state=state).state
    )
    print(json.dumps(found.as_json(strict=strict), indent=1) if as_json else report(found, form, strict=strict))
    if not found.readable:
        raise typer.Exit(UNUSABLE)
    if found.errors or (strict and found.warnings):
        raise typer.Exit(NO)


def explain(
    site: Site,
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="A tag, equipment, a key, a protection row, a device type or register."),
    ] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Causes and effects of every row: what to test against.")
    ] = False,
    watchdogs: Annotated[
        bool, typer.Option("--watchdogs", help="What each device does when this controller falls silent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell where a value comes from, and how fast a trip is.

    PATH is what you would call it: B01-R03, Plant.SoC, site.rating.power, cell_voltage_high.trip, generic-pcs.
    """
    from controller.commissioning import explanation

    plant = load(site)
    if matrix:
        print(explanation.cause_and_effect_text(plant, as_json=as_json))
        return
    if watchdogs or path == "watchdogs":
        print(explanation.watchdogs(plant, as_json=as_json))
        return
    if path is None:
        message = "error: expected a PATH, such as B01-R03.cell_voltage_high, or --matrix, or --watchdogs"
        print(message, file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    found = explanation.explain(site, plant, path)
    if isinstance(found, str):
        print(f"error: {found}", file=sys.stderr)
        raise typer.Exit(NO)
    print(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; nothing is ever overwritten.")],
    power: Annotated[str | None, typer.Option("--power", help="At the POI, such as 20MW.")] = None,
    energy: Annotated[str | None, typer.Option("--energy", help="At the POI, such as 40MWh.")] = None,
    voltage: Annotated[str | None, typer.Option("--voltage", help="Of the POI, such as 33kV.")] = None,
    frequency: Annotated[str | None, typer.Option("--frequency", help="50Hz or 60Hz.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What people call the site.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Such as Europe/Helsinki.")] = None,
    containers: Annotated[str | None, typer.Option("--containers", metavar="N", help=f"How many; {WORKED_OUT}")] = None,
    racks: Annotated[str | None, typer.Option("--racks", metavar="N", help=f"In each container; {WORKED_OUT}")] = None,
    series: Annotated[str | None, typer.Option("--series", metavar="N", help=f"Cells in a rack; {WORKED_OUT}")] = None,
    cell: Annotated[str | None, typer.Option("--cell", help="Cell type of the library.")] = None,
    rack_type: Annotated[str | None, typer.Option("--rack-type", help="Device type of racks or of a bank.")] = None,
    pcs_type: Annotated[str | None, typer.Option("--pcs-type", help="Device type of the converters.")] = None,
    meter_type: Annotated[str | None, typer.Option("--meter-type", help="Device type of the POI meter.")] = None,
    points_from: Annotated[Path | None, typer.Option("--from", help="A maker's point list, .xlsx or .csv.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="Of --from: rack_bms, bank_bms, pcs or meter.")] = "",
    addresses: Annotated[str, typer.Option("--addresses", help="Of --from: zero_based, one_based or modicon.")] = "",
) -> None:
    """Write a new site that validates, and runs simulated.

    On a terminal it asks what the options do not say; elsewhere --power and --energy must be given. It is written from
    a maker's point list with --from and --kind.
    """
    from controller.commissioning.init_questions import InitOptions, init_site

    given = {
        "power": power, "energy": energy, "voltage": voltage, "frequency": frequency, "name": name,
        "timezone": timezone, "containers": containers, "racks": racks, "series": series, "cell": cell,
        "rack_type": rack_type, "pcs_type": pcs_type, "meter_type": meter_type,
    }  # fmt: skip
    ask = typer.prompt if sys.stdin.isatty() else None
    text, code = init_site(InitOptions(folder, given, points_from, kind, addresses), ask)
    print_answer(text, code)


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A site: a folder with site.yaml, or that file.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The same site, later.")],
    retest: Annotated[bool, typer.Option("--retest", help="Which commissioning checks it makes invalid.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what differs between two sites, and what to retest.

    Compared is what the files come to: another order, spelling or unit is no difference. Exit 1 if anything differs.
    """
    from controller.commissioning.site_diff import diff_sites

    try:
        found = diff_sites((before, load(before)), (after, load(after)), retest=retest)
    except ValueError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        raise typer.Exit(NO) from wrong
    print(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())
    if not found.is_empty:
        raise typer.Exit(NO)


def schema(
    kind: Annotated[
        str, typer.Argument(help="site, device, protections, schedule or cell; codes, signals or faults.")
    ] = "site",
    form: Annotated[str, typer.Option("--format", help="json (JSON Schema for editors) or md (a table).")] = "json",
) -> None:
    """Print what a kind of file may hold.

    JSON Schema for editors, or (md) every key with unit, default and meaning.
    `codes`, `signals` and `faults` are tables: what the points' numbers mean, what a register may mean, the fault menu.
    """
    from controller.plant.schema.json_schema import FILES, schema_text
    from controller.plant.schema.key_tables import key_table
    from controller.plant.signal_tables import signal_table
    from controller.scada.code_words import code_table
    from controller.simulator.faults.commands import menu_table

    lists = {"codes": code_table, "signals": signal_table, "faults": menu_table}
    if kind in lists:
        print(lists[kind](), end="")
        return
    if kind not in FILES or form not in ("json", "md"):
        expected = f"one of {', '.join(FILES)}, and the format json or md"
        print(f"error: there is no {form} of '{kind}'; expected {expected}", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    print(schema_text(kind) if form == "json" else key_table(kind), end="")


def library(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND] [NAME]", help="devices, cells, protections or scenarios; a file."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Copy the file there instead of printing it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List and print the files that ship with the program.

    \b
    bess library                     everything there is
    bess library devices             one kind
    bess library devices generic-pcs --out devices/mine.yaml
                                     a file, printed or copied
    """  # noqa: D301 - what keeps the lines apart is the character itself
    from controller.commissioning import library_files

    asked = tuple(words or ())
    if len(asked) > 2:
        raise typer.BadParameter("expected: bess library [KIND] [NAME]")
    if not asked or (len(asked) == 1 and asked[0] in library_files.KINDS):
        files = library_files.library_files(*asked)
        print(json.dumps([f.as_json() for f in files], indent=1) if as_json else library_files.as_text(files))
        return
    file = library_files.library_file(asked)
    if out is not None:
        print(f"wrote {library_files.copied(file, out)}")
    elif as_json:
        print(json.dumps(file.as_json(), indent=1))
    else:
        print(file.path.read_text(encoding="utf-8"), end="")


def upgrade_config(
    site: Site,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the files; the old ones are kept beside.")] = False,
) -> None:
    """Bring a site's files into the newest form.

    Comments and layout stay. Without --write it only shows what would be.
    """
    from controller.commissioning import upgrade
    from controller.plant.site_loader import site_file, why_unread

    if not site_file(site).is_file():
        print(f"error: {site_file(site)}: {why_unread(site_file(site))}", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    if unread := upgrade.unread(site):
        print(unread, file=sys.stderr)
        raise typer.Exit(NO)
    found = upgrade.upgrades(site)
    for each in found:
        print(f"{each.file}: {each.version} rewritten, the old file is {upgrade.write(each)}" if write else each.diff())
    if not found:
        print("every file has the newest form")
    elif not write:
        print(f"{len(found)} files would change; rewrite them with --write", file=sys.stderr)


def secret_set(
    name: Annotated[str, typer.Argument(help="As the site file names it.")],
    site: Annotated[Path, typer.Argument(metavar="[SITE]", help="Whose state folder to use.")] = Path(),
    user: Annotated[str, typer.Option("--user", help="Add or change one user of a secret that holds users.")] = "",
    role: Annotated[str, typer.Option("--role", help="viewer, operator, engineer or service.")] = "operator",
    state: State = None,
) -> None:
    """Store a secret: asked for on a terminal, else read from standard input; shown nowhere."""
    from controller.commissioning import secret_entry
    from controller.plant.site_loader import site_file, why_unread
    from controller.runtime.folders import folders_of

    if site != Path() and not site_file(site).is_file():
        print(f"error: {site_file(site)}: {why_unread(site_file(site))}", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    folder = state.resolve() if state is not None else folders_of(load(site).site_id, simulated=False).state
    if stranger := secret_entry.not_asked_for(name, site):
        print(stranger, file=sys.stderr)
        raise typer.Exit(NO)
    asked = f"password of {user}" if user else f"value of {name}"
    value = typer.prompt(asked, hide_input=True, confirmation_prompt=True) if sys.stdin.isatty() else sys.stdin.read()
    if user:
        stored = secret_entry.set_user(name, user, role, value.rstrip("\n"), folder)
    else:
        stored = secret_entry.set_value(name, value, folder, users=secret_entry.holds_users(name, site))
    print(f"stored {name} in {stored}")
