"""Verbs that run a plant, really, simulated or in fake time, and look at one that runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import (
    NO,
    UNUSABLE,
    AsJson,
    Out,
    Ports,
    Site,
    State,
    demo_racks,
    end_cleanly_when_asked,
    load,
    positive,
)


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
    end_cleanly_when_asked()
    from controller.runtime.run import RunOptions, run_check, run_site

    auto = ports == "auto"
    options = RunOptions(site, simulated=simulated, record=record, auto_ports=auto, state=state, json=as_json)
    raise typer.Exit(run_check(options) if check else run_site(options))


def demo(
    racks: Annotated[int, typer.Option("--racks", help="24, 240 or 2400.", callback=demo_racks)] = 24,
    headless: Annotated[bool, typer.Option("--headless", help="No live status line.")] = False,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop so many seconds after all faces answer.", callback=positive)
    ] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="A scenario's name or file.")] = None,
    ports: Ports = "",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a plant on loopback and run the controller on it."""
    end_cleanly_when_asked()
    from controller.runtime.demo import DemoOptions, run_demo

    options = DemoOptions(
        racks=racks, headless=headless or as_json, seconds=seconds, scenario=scenario,
        auto_ports=ports == "auto", state=state, json=as_json,
    )  # fmt: skip
    raise typer.Exit(run_demo(options))


def simulate(
    site: Site,
    faults: Annotated[Path | None, typer.Option("--faults", help="Fault commands with leading times.")] = None,
    ports: Ports = "",
    as_json: AsJson = False,
) -> None:
    """Run only the simulated devices of a site, on loopback."""
    end_cleanly_when_asked()
    from controller.runtime.clock import SystemClock
    from controller.simulator.process import simulate_site

    raise typer.Exit(simulate_site(site, SystemClock(), faults=faults, auto_ports=ports == "auto", as_json=as_json))


def rehearse(
    site: Site,
    hours: Annotated[
        float | None, typer.Option("--hours", help="How long to run, in simulated hours.", callback=positive)
    ] = None,
    scan: Annotated[str, typer.Option("--scan", help="Scan period, such as 50ms.")] = "1 s",
    scenario: Annotated[str | None, typer.Option("--scenario", help="A scenario's name or file.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated plant.")] = 1,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run controller and plant together in fake time.

    Without --scenario an operator starts the plant, and it follows its schedule if it has one. Exit 1 where an
    expectation of the scenario failed.
    """
    from controller.runtime.rehearsal import Rehearsal, rehearse_site

    _tell_of_replaced(out)
    result = rehearse_site(load(site), Rehearsal(hours=hours, scan=scan, scenario=scenario, seed=seed, out=out))
    print(json.dumps(result.as_json()) if as_json else result.as_text())
    if result.failed_expectations:
        raise typer.Exit(NO)


def _tell_of_replaced(out: Path | None) -> None:
    """Say which files of an earlier run are overwritten; a recording of a real plant never is (`run --record`)."""
    for file in () if out is None else (out, out.with_suffix(".events.jsonl")):
        if file.exists():
            print(f"{file} is replaced", file=sys.stderr)


def replay(
    site: Site,
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Made by `bess run SITE --record FILE`.")],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run a recording through the controller, and compare.

    The whole controller in fake time; exit 1 where a scan is not as recorded, bit for bit, or the file is damaged.
    """
    from controller.plant.site_loader import SiteError, site_file
    from controller.runtime.recording.recording_file import RecordingError
    from controller.runtime.recording.replay import replay_site

    _tell_of_replaced(out)
    try:
        result = replay_site(site, recording, out)
    except SiteError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(NO if site_file(site).is_file() else UNUSABLE) from error
    except (RecordingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(UNUSABLE) from error
    print(json.dumps(result.as_json()) if as_json else result.as_text())
    if not result.is_same or result.is_damaged:
        raise typer.Exit(NO)


def status(
    site: Annotated[
        Path | None, typer.Argument(metavar="[SITE]", help="Needed if several run here; may be a run directory.")
    ] = None,
    events: Annotated[int, typer.Option("--events", help="Show so many of the journal's newest events.")] = 0,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Show the running controller: processes, scan, links.

    Faces, alarms and (--events N) who did what, too. Exit 1 if none runs, 2 where the journal can't be read.
    """
    from controller.plant.site_loader import site_file, why_unread
    from controller.runtime.status import status_of

    if site is not None and not site.is_dir() and not site_file(site).is_file():
        print(f"error: {site}: {why_unread(site_file(site))}", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    answer = status_of(site, state, events)
    print(json.dumps(answer.as_json(), indent=1) if as_json else answer.as_text())
    if answer.events_problem:
        raise typer.Exit(UNUSABLE)
    if not answer.running:
        raise typer.Exit(NO)


def bench(
    racks: Annotated[int, typer.Option("--racks", help="Size of the benchmark plant.", callback=demo_racks)] = 240,
    faults: Annotated[bool, typer.Option("--faults", help="Run the fault matrix.")] = False,
) -> None:
    """Measure this machine; prints one JSON document."""
    from controller.runtime.bench.report import run_bench

    print(json.dumps(run_bench(racks=racks, faults=faults), indent=1))
