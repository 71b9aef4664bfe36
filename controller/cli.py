"""The `bess` command: every verb parses its words here and hands over to a room.

stdout carries the answer, stderr the messages. Exit 0: ok; 1: the answer is no; 2: usage, or something can't be read.
Verbs import what they need when they run, so that `bess --help` starts at once.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller import __version__

if TYPE_CHECKING:
    from controller.plant.model import Plant

OK, NO, UNUSABLE = 0, 1, 2

app = typer.Typer(
    name="bess", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

Site = Annotated[Path, typer.Argument(metavar="SITE", help="A folder with site.yaml, or that file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for machines.")]
State = Annotated[Path | None, typer.Option("--state", help="Replaces the state folder.")]


def _auto_ports(words: str) -> str:
    return _one_of(words, ("", "auto"), "auto")


def _one_of(word: str, allowed: tuple[str, ...], expected: str) -> str:
    if word not in allowed:
        raise typer.BadParameter(f"'{word}' is none of these; expected {expected}")
    return word


def _positive(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0.0):
        raise typer.BadParameter(f"expected a number greater than 0, not {value:g}")
    return value


def _demo_racks(racks: int) -> int:
    if not FEWEST_RACKS <= racks <= MOST_RACKS:
        raise typer.BadParameter(f"expected {FEWEST_RACKS} to {MOST_RACKS}, not {racks}")
    return racks


def _series_file(out: Path | None) -> Path | None:
    if out is not None and out.suffix not in SERIES_SUFFIXES:
        raise typer.BadParameter(f"'{out}' is no series; expected a name that ends in {' or '.join(SERIES_SUFFIXES)}")
    if out is not None and not out.resolve().parent.is_dir():
        raise typer.BadParameter(f"{out.resolve().parent}: there is no such folder")
    return out


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"bess {__version__}")
        raise typer.Exit


FEWEST_RACKS, MOST_RACKS = 2, 10_000
SERIES_SUFFIXES = (".csv", ".parquet")
PORTS_HELP = "`auto`: the system chooses all ports and they are printed."
Ports = Annotated[str, typer.Option("--ports", help=PORTS_HELP, callback=_auto_ports)]
OUT_HELP = "Series: .csv or .parquet; events beside it."
Out = Annotated[Path | None, typer.Option("--out", help=OUT_HELP, callback=_series_file)]
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
        print(f"error: {str(error) or type(error).__name__} (run again with --debug for the details)", file=sys.stderr)
        sys.exit(UNUSABLE)


def _end_cleanly_when_asked() -> None:
    """Let SIGTERM and SIGINT end a daemon cleanly (exit 0) while it is still loading; its loop takes over later."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: sys.exit(0))


def _load(site: Path) -> Plant:
    """Return the plant, or print every message and exit: 2 if there is nothing to read, 1 if it is wrong."""
    from controller.plant.site_loader import load_site, site_file

    result = load_site(site)
    if result.plant is None:
        print(result.text(), file=sys.stderr)
        raise typer.Exit(NO if site_file(site).is_file() else UNUSABLE)
    return result.plant


@app.command()
def validate(
    site: Site,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    form: Annotated[str, typer.Option("--format", help="text or github.")] = "text",
    state: State = None,
) -> None:
    """Check a site's files, all of it off-line."""
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


@app.command()
def explain(
    site: Site,
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="A tag, a key, a protection row.")] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="Causes and effects of every protection row.")] = False,
    watchdogs: Annotated[bool, typer.Option("--watchdogs", help="What each device does when we fall silent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell where a value comes from, what it expands to, and how fast a protection really is."""
    from controller.commissioning import explanation

    plant = _load(site)
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


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; nothing is ever overwritten.")],
    power: Annotated[str | None, typer.Option("--power", help="At the POI, such as 20MW.")] = None,
    energy: Annotated[str | None, typer.Option("--energy", help="At the POI, such as 40MWh.")] = None,
    voltage: Annotated[str | None, typer.Option("--voltage", help="Of the POI, such as 33kV.")] = None,
    frequency: Annotated[str | None, typer.Option("--frequency", help="50Hz or 60Hz.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What people call the site.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Such as Europe/Helsinki.")] = None,
    containers: Annotated[int | None, typer.Option("--containers", help="How many; else worked out.")] = None,
    racks: Annotated[int | None, typer.Option("--racks", help="Racks in each container; else worked out.")] = None,
    series: Annotated[int | None, typer.Option("--series", help="Cells in series in a rack.")] = None,
    cell: Annotated[str | None, typer.Option("--cell", help="Cell type of the library.")] = None,
    rack_type: Annotated[str | None, typer.Option("--rack-type", help="Device type of racks or of a bank.")] = None,
    pcs_type: Annotated[str | None, typer.Option("--pcs-type", help="Device type of the converters.")] = None,
    meter_type: Annotated[str | None, typer.Option("--meter-type", help="Device type of the POI meter.")] = None,
    points_from: Annotated[Path | None, typer.Option("--from", help="A maker's point list, .xlsx or .csv.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="--from: rack_bms, bank_bms, pcs or meter.")] = "",
    addresses: Annotated[str, typer.Option("--addresses", help="--from: zero_based, one_based or modicon.")] = "",
) -> None:
    """Write a new site: asks on a terminal what the options do not say; it validates, and can be run simulated."""
    from controller.commissioning.init_questions import InitOptions, init_site

    given = {
        "power": power, "energy": energy, "voltage": voltage, "frequency": frequency, "name": name,
        "timezone": timezone, "containers": containers, "racks": racks, "series": series, "cell": cell,
        "rack_type": rack_type, "pcs_type": pcs_type, "meter_type": meter_type,
    }  # fmt: skip
    ask = typer.prompt if sys.stdin.isatty() else None
    text, code = init_site(InitOptions(folder, given, points_from, kind, addresses), ask)
    _print_answer(text, code)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A site: a folder with site.yaml, or that file.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The same site, later.")],
    retest: Annotated[bool, typer.Option("--retest", help="Which commissioning checks this invalidates.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what differs between two sites after expansion; exit 1 if anything does."""
    from controller.commissioning.site_diff import diff_sites

    found = diff_sites((before, _load(before)), (after, _load(after)), retest=retest)
    print(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())
    if not found.is_empty:
        raise typer.Exit(NO)


@app.command()
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
            answer = point_map.render(_load(Path(what)), Path(what), "json" if as_json else form, delimiter, out)
        case "freeze":
            answer = point_map.freeze(_load(Path(what)), Path(what))
        case "diff":
            answer = point_map.diff(_load(Path(what)), Path(what))
        case "import":
            stated = point_map.Stated(device, kind, maker, addresses, table, order)
            answer = point_map.import_list(Path(what), stated, out)
        case "export":
            answer = point_map.export(what, out)
        case _:
            text = f"unknown sub-verb '{verb}'; expected freeze, diff, import or export"
            answer = point_map.Answer(text, UNUSABLE)
    _print_answer(answer.text, answer.code if answer.is_message else OK)
    raise typer.Exit(answer.code)


def _print_answer(text: str, code: int) -> None:
    """Print an answer, to stderr if it is a no, and exit with its code."""
    print(text, end="" if text.endswith("\n") else "\n", file=sys.stderr if code else sys.stdout)
    if code:
        raise typer.Exit(code)


@app.command()
def run(
    site: Site,
    simulated: Annotated[bool, typer.Option("--simulated", help="Simulate every device of the site.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Do every start-up check, start nothing.")] = False,
    record: Annotated[Path | None, typer.Option("--record", help="Record every scan, for `bess replay`.")] = None,
    ports: Ports = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Run the controller of a site."""
    _end_cleanly_when_asked()
    from controller.runtime.run import RunOptions, run_check, run_site

    auto = ports == "auto"
    options = RunOptions(site, simulated=simulated, record=record, auto_ports=auto, state=state, json=as_json)
    raise typer.Exit(run_check(options) if check else run_site(options))


@app.command()
def demo(
    racks: Annotated[int, typer.Option("--racks", help="24, 240 or 2400.", callback=_demo_racks)] = 24,
    headless: Annotated[bool, typer.Option("--headless", help="No live status line.")] = False,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop so many seconds after all faces answer.", callback=_positive)
    ] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="A scenario's name or file.")] = None,
    ports: Ports = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a plant on loopback sockets and run the controller on it."""
    _end_cleanly_when_asked()
    from controller.runtime.demo import DemoOptions, run_demo

    options = DemoOptions(
        racks=racks, headless=headless or as_json, seconds=seconds, scenario=scenario,
        auto_ports=ports == "auto", state=state, json=as_json,
    )  # fmt: skip
    raise typer.Exit(run_demo(options))


@app.command()
def simulate(
    site: Site,
    faults: Annotated[Path | None, typer.Option("--faults", help="Fault commands with leading times.")] = None,
    ports: Ports = "",
    as_json: AsJson = False,
) -> None:
    """Run only the simulated devices of a site, on loopback sockets."""
    _end_cleanly_when_asked()
    from controller.runtime.clock import SystemClock
    from controller.simulator.process import simulate_site

    raise typer.Exit(simulate_site(site, SystemClock(), faults=faults, auto_ports=ports == "auto", as_json=as_json))


@app.command()
def rehearse(
    site: Site,
    hours: Annotated[
        float | None, typer.Option("--hours", help="How long to run, in simulated hours.", callback=_positive)
    ] = None,
    scan: Annotated[str, typer.Option("--scan", help="Scan period, such as 50ms.")] = "1 s",
    scenario: Annotated[str | None, typer.Option("--scenario", help="A scenario's name or file.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated plant.")] = 1,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run controller and plant together in fake time, without sockets."""
    from controller.runtime.rehearsal import Rehearsal, rehearse_site

    result = rehearse_site(_load(site), Rehearsal(hours=hours, scan=scan, scenario=scenario, seed=seed, out=out))
    print(json.dumps(result.as_json()) if as_json else result.as_text())
    if result.failed_expectations:
        raise typer.Exit(NO)


@app.command()
def replay(
    site: Site,
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Made by `bess run SITE --record FILE`.")],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Feed a recording through the whole controller in fake time, and compare each scan with the recorded one."""
    from controller.plant.site_loader import SiteError, site_file
    from controller.runtime.recording.recording_file import RecordingError
    from controller.runtime.recording.replay import replay_site

    try:
        result = replay_site(site, recording, out)
    except SiteError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(NO if site_file(site).is_file() else UNUSABLE) from error
    except (RecordingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(UNUSABLE) from error
    print(json.dumps(result.as_json()) if as_json else result.as_text())
    if not result.is_same:
        raise typer.Exit(NO)


@app.command()
def status(
    site: Annotated[
        Path | None, typer.Argument(metavar="[SITE]", help="Needed if several run here; may be a run directory.")
    ] = None,
    events: Annotated[int, typer.Option("--events", help="Show so many of the journal's newest events.")] = 0,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Show the running controller: processes, scan, links and faces; and who did what."""
    from controller.runtime.status import status_of

    answer = status_of(site, state, events)
    print(json.dumps(answer.as_json(), indent=1) if as_json else answer.as_text())
    if not answer.running:
        raise typer.Exit(NO)


@app.command()
def estimate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A recording, csv or parquet: one row a sample.")],
    cell: Annotated[str, typer.Option("--cell", help="Cell type: a name of the library, or its YAML file.")],
    initial_soc: Annotated[str | None, typer.Option("--initial-soc", help="A hint: 0.8, or 0.8+-0.2.")] = None,
    sensors: Annotated[Path | None, typer.Option("--sensors", help="YAML or JSON with the sensors' errors.")] = None,
    columns: Annotated[str, typer.Option("--columns", help="Maps, flips: time_s=t_s,current_a=-I_A,...")] = "",
    temperature: Annotated[float | None, typer.Option("--temperature", help="A constant one, degC.")] = None,
    capacity: Annotated[float | None, typer.Option("--capacity", help="Scales the cell type, Ah.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="csv or parquet, one row out a row in.")] = None,
    findings: Annotated[Path | None, typer.Option("--findings", help="One JSON object a line.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="png, svg or pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the estimators off-line over a recording; exit 1 if something was found wrong with a cell or a sensor."""
    from controller.commissioning import offline_estimation as offline

    request = offline.EstimationRequest(
        cell, data, initial_soc, sensors, columns, temperature, capacity, out, findings, plot
    )
    result = offline.run_estimation(request)
    print(offline.summary(result, as_json=as_json))
    if result.findings:
        raise typer.Exit(NO)


@app.command("fit-cell")
def fit_cell(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Tests, csv or parquet; or one plan, .yaml.")],
    out: Annotated[Path, typer.Option("--out", help="The cell type to write, .yaml.")],
    columns: Annotated[str, typer.Option("--columns", help="Maps, flips: time_s=t_s,current_a=-I_A,...")] = "",
    temperature: Annotated[float | None, typer.Option("--temperature", help="A constant one, degC.")] = None,
    capacity: Annotated[float | None, typer.Option("--capacity", help="Full capacity, Ah.")] = None,
    like: Annotated[str | None, typer.Option("--like", help="Cell type that gives limits, heat, anchors.")] = None,
    folder: Annotated[Path | None, typer.Option("--data", help="Where a plan's files are, if not beside it.")] = None,
    hold_out: Annotated[list[Path] | None, typer.Option("--hold-out", help="Test to judge by, not to fit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a cell type from OCV and pulse tests, and judge it on a profile that was not fitted."""
    from controller.commissioning import cell_fitting as fitting

    request = fitting.request_of(
        data,
        hold_out or [],
        columns,
        folder=folder,
        temperature_degc=temperature,
        capacity_ah=capacity,
        like=like,
        name=out.stem,
    )
    result = fitting.fit_cell_type(request)
    fitting.write_fit(result, out)
    print(json.dumps(result.as_json(), indent=1) if as_json else result.text())


@app.command()
def schema(
    kind: Annotated[
        str, typer.Argument(help="site, device, protections or schedule; codes, signals or faults.")
    ] = "site",
    form: Annotated[str, typer.Option("--format", help="json (JSON Schema for editors) or md (a table).")] = "json",
) -> None:
    """Print what a kind of file may hold: JSON Schema for editors, or every key with unit, default and meaning.

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


@app.command("upgrade-config")
def upgrade_config(
    site: Site,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the files; the old ones are kept beside.")] = False,
) -> None:
    """Bring a site's files into the newest form; comments and layout stay. Without --write only shows what would be."""
    from controller.commissioning import upgrade
    from controller.plant.site_loader import site_file

    if not site_file(site).is_file():
        print(f"error: {site_file(site)}: there is no such file", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    found = upgrade.upgrades(site)
    for each in found:
        print(f"{each.file}: {each.version} rewritten, the old file is {upgrade.write(each)}" if write else each.diff())
    if not found:
        print("every file has the newest form")
    elif not write:
        print(f"{len(found)} files would change; rewrite them with --write", file=sys.stderr)


secret_app = typer.Typer(no_args_is_help=True, help="Store secrets that a site names.")
app.add_typer(secret_app, name="secret")


@secret_app.command("set")
def secret_set(
    name: Annotated[str, typer.Argument(help="As the site file names it.")],
    site: Annotated[Path, typer.Argument(metavar="[SITE]", help="Whose state folder to use.")] = Path(),
    user: Annotated[str, typer.Option("--user", help="Add or change one user of a secret that holds users.")] = "",
    role: Annotated[str, typer.Option("--role", help="viewer, operator, engineer or service.")] = "operator",
    state: State = None,
) -> None:
    """Store a secret: asked for on a terminal, else read from standard input; shown nowhere."""
    from controller.commissioning import secret_entry
    from controller.runtime.folders import folders_of

    folder = state.resolve() if state is not None else folders_of(_load(site).site_id, simulated=False).state
    asked = f"password of {user}" if user else f"value of {name}"
    value = typer.prompt(asked, hide_input=True, confirmation_prompt=True) if sys.stdin.isatty() else sys.stdin.read()
    if user:
        stored = secret_entry.set_user(name, user, role, value.rstrip("\n"), folder)
    else:
        stored = secret_entry.set_value(name, value, folder)
    print(f"stored {name} in {stored}")


@app.command()
def bench(
    racks: Annotated[int, typer.Option("--racks", help="Size of the benchmark plant.", callback=_demo_racks)] = 240,
    faults: Annotated[bool, typer.Option("--faults", help="Run the fault matrix.")] = False,
) -> None:
    """Measure this machine; prints one JSON document."""
    from controller.runtime.bench.report import run_bench

    print(json.dumps(run_bench(racks=racks, faults=faults), indent=1))
