"""Entry of every child process: `python -m controller.runtime.process ROLE --site ... --life-pipe N`.

A child ends cleanly when its standard input does, or on SIGTERM and SIGINT; it exits 75 when control runs another
site than the one it loaded, 2 when what it needs can't be had.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from controller.link.control_lock import AlreadyControlledError, ControlLock
from controller.link.linked_plant import EXIT_SITE_CHANGED, SiteChangedError
from controller.link.plant_view import PlantView
from controller.link.run_directory import RunDirectory, RunDirectoryError
from controller.link.sealed_site import SealedSiteError
from controller.link.snapshot_file import SnapshotFileError
from controller.link.state_folder import in_words
from controller.plant.clock import Clock
from controller.plant.model import Plant
from controller.plant.site_loader import SiteError
from controller.runtime import face_process
from controller.runtime.clock import SystemClock
from controller.runtime.folders import Folders
from controller.runtime.life_pipe import LifePipe, end_of_input

UNUSABLE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one role and return its exit code."""
    words = _parser().parse_args(arguments)
    try:
        if words.role in {"control", "modbus"}:
            return _run_with_uvloop(words)
        return asyncio.run(_role(words))
    except OSError as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return UNUSABLE
    except (AlreadyControlledError, RunDirectoryError, SnapshotFileError, SealedSiteError, SiteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE


def _run_with_uvloop(words: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415 - not for the OPC UA face

    return uvloop.run(_role(words))


async def _role(words: argparse.Namespace) -> int:
    folders = Folders(Path(words.state), RunDirectory(Path(words.run)), simulated=words.simulated)
    life = LifePipe(words.life_pipe)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, ending.set)
    try:
        match words.role:
            case "control":
                await _control(words, folders, life, ending)
            case "simulator":
                await _simulator(words, folders, life, ending)
            case _:
                await _face(words, folders, life, ending)
    except* SiteChangedError:
        return_code = EXIT_SITE_CHANGED
    except* OSError as group:  # a port that is taken, a disk that is full: words, no traceback
        print(f"error: {words.role}: {in_words(_first(group))}", file=sys.stderr)
        return_code = UNUSABLE
    else:
        return_code = 0
    return return_code


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    """Return the first exception of nested groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _control(words: argparse.Namespace, folders: Folders, life: LifePipe, ending: asyncio.Event) -> None:
    from controller.runtime.control_process import ControlOptions, ControlProcess, plant_and_seal, prepare_folders  # noqa: PLC0415 - faces never load the field side

    options = ControlOptions(Path(words.site), folders, again=words.again, record=words.record)
    prepare_folders(folders)
    with ControlLock(folders.state, None if folders.simulated else words.site_id):
        plant, site_hash = plant_and_seal(options)
        process = ControlProcess(options, plant, site_hash, SystemClock(), life.show_life)

        async def tell_when_running() -> None:
            await process.running.wait()
            life.ready({"racks": len(plant.racks), "period_s": plant.control.scan_period_s})
            await asyncio.Event().wait()

        async def stop_when_asked() -> None:
            await _asked_to_end(ending, process.hear)
            process.stop()
            await asyncio.Event().wait()

        await face_process.until_first_done(process.run(), life.beat(), tell_when_running(), stop_when_asked())


async def _simulator(words: argparse.Namespace, folders: Folders, life: LifePipe, ending: asyncio.Event) -> None:
    from controller.plant.site_loader import load_site_or_raise  # noqa: PLC0415
    from controller.simulator.process import Simulation  # noqa: PLC0415 - the controller never loads the simulator

    simulation, port_file = Simulation(load_site_or_raise(Path(words.site)), SystemClock()), folders.port("faults")
    faults_port = face_process.chosen_port(port_file)
    about = await simulation.start(folders.run.addresses, auto_ports=words.auto_ports, faults_port=faults_port)
    face_process.remember_port(port_file, about["faults"])
    life.ready(about)
    await face_process.until_first_done(simulation.serve(), life.beat(), _asked_to_end(ending))


async def _face(words: argparse.Namespace, folders: Folders, life: LifePipe, ending: asyncio.Event) -> None:
    port_file = folders.port(words.role)

    def make(plant: Plant, view: PlantView, clock: Clock, site: Path) -> face_process.Face:
        port = face_process.chosen_port(port_file) if words.auto_ports else None
        if words.role == "opcua":
            return face_process.opcua_face(plant, view, clock, cache=folders.state, port=port)
        return face_process.modbus_face(plant, view, clock, site, port=port)

    def ready(endpoint: str) -> None:
        life.ready({words.role: endpoint})

    site_name = Path(words.site).name
    face = face_process.run_face(folders, site_name, make, SystemClock(), ready, port_file)
    await face_process.until_first_done(face, life.beat(), _asked_to_end(ending))


async def _asked_to_end(ending: asyncio.Event, hear: Callable[[str], None] = lambda _line: None) -> None:
    """Return on a signal, or when standard input ends; its lines are handed to `hear`."""
    await face_process.until_first_done(end_of_input(hear), _wait(ending))


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="controller.runtime.process")
    parser.add_argument("role", choices=["control", "opcua", "modbus", "simulator"])
    for name in ("--site", "--site-id", "--state", "--run"):
        parser.add_argument(name, required=True)
    for name in ("--simulated", "--auto-ports", "--again"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--life-pipe", type=int, default=None)
    parser.add_argument("--record", type=Path, default=None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
