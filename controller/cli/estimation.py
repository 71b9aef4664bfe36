"""Verbs about cells, off-line: estimate over a recording, fit a cell type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import NO, AsJson


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
    """Run the estimators off-line over a recording.

    Exit 1 if something was found wrong with a cell or a sensor, or the measurements do not fit the cell type.
    """
    from controller.commissioning import offline_estimation as offline
    from controller.commissioning.estimation_summary import summary

    request = offline.EstimationRequest(
        cell, data, initial_soc, sensors, columns, temperature, capacity, out, findings, plot
    )
    estimated = offline.run_estimation(request)
    print(summary(estimated, as_json=as_json))
    if estimated.result.findings or estimated.result.misfit is not None:
        raise typer.Exit(NO)


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
    """Fit a cell type from OCV and pulse tests.

    It is judged on a profile that was not fitted.
    """
    from controller.commissioning import cell_fitting as fitting
    from controller.commissioning.estimation_options import check_target

    check_target("--out", out, (".yaml", ".yml"))
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
