"""Who may know whom: what import-linter's contracts cannot see by themselves."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

from tests.tidy.tree import REPOSITORY, modules, parsed

# The scan's order, from below: all of these are pure.
PURE = ("plant", "modbus", "image", "points", "alarms", "estimation", "protection", "control")
# Rooms whose work is to listen, or to call out, on TCP.
LISTENING = {"scada", "simulator", "hmi"}
CALLING = {"field_io", "simulator"}  # the simulator only to its own port for fault commands


def _contracts() -> dict[str, dict[str, Any]]:
    configuration = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"]: contract for contract in configuration["tool"]["importlinter"]["contracts"]}


def test_every_pure_room_is_under_the_purity_contract():
    contract = _contracts()["From plant to control everything is pure"]

    assert set(contract["source_modules"]) == {f"controller.{room}" for room in PURE}


def _calls(path: Path) -> set[str]:
    """Names of all methods and functions a module calls."""
    called = (node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    return {f.attr if isinstance(f, ast.Attribute) else f.id for f in called if isinstance(f, ast.Attribute | ast.Name)}


def _rooms_calling(names: set[str]) -> set[str]:
    """Return the rooms that call any of these; a module that measures is a client of its own server."""
    measured = [path for path in modules("controller") if not any("bench" in part for part in path.parts)]
    return {path.parts[1] for path in measured if _calls(path) & names}


def test_only_faces_and_the_simulator_listen():
    assert _rooms_calling({"create_server", "start_server"}) <= LISTENING


def test_only_field_io_calls_out():
    assert _rooms_calling({"create_connection", "open_connection", "create_serial_connection"}) <= CALLING


def test_only_the_runtime_reads_the_clock():
    readings = {"monotonic", "monotonic_ns", "time_ns", "clock_gettime", "clock_gettime_ns"}

    assert _rooms_calling(readings) <= {"runtime"}
