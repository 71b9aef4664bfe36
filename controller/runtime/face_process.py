"""A face in its own process: the sealed site, the snapshot and the command socket, and one server towards SCADA."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from controller.commissioning.frozen_maps import frozen_map
from controller.commissioning.party_maps import party_points
from controller.image.data_periods import data_periods
from controller.link.linked_plant import LinkedPlant
from controller.link.plant_view import PlantView
from controller.link.sealed_site import SealedSite, SealedSiteError, load_sealed
from controller.link.simulated_addresses import moved, read_addresses
from controller.plant.clock import Clock
from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.folders import Folders
from controller.runtime.scan_state import image_layout
from controller.scada.code_words import wording_of

WAITING_S = 0.1


class Face(Protocol):
    """What a face's server offers."""

    async def start(self) -> str:
        """Open the port and return the endpoint."""

    async def serve(self) -> None:
        """Serve until cancelled."""


FaceMaker = Callable[[Plant, PlantView, Clock, Path], Face]
"""Makes a face of a plant, its view, a clock and the sealed site file."""


async def sealed_plant(folders: Folders, site_name: str) -> tuple[Plant, SealedSite]:
    """Return the sealed site and its plant, waiting for control to have sealed one."""
    while True:
        try:
            sealed = load_sealed(folders.run.folder)
            plant = load_site_or_raise(sealed.folder / site_name)
            return moved(plant, read_addresses(folders.run.addresses)), sealed
        except SealedSiteError:
            await asyncio.sleep(WAITING_S)


async def run_face(
    folders: Folders, site_name: str, make: FaceMaker, clock: Clock, ready: Callable[[str], None], port_file: Path
) -> None:
    """Load, link, open, say so, serve; SiteChangedError ends it with exit 75."""
    plant, sealed = await sealed_plant(folders, site_name)
    view = LinkedPlant(folders.run, image_layout(plant), sealed.hash, clock)
    face = make(plant, view, clock, sealed.folder / site_name)
    endpoint = await face.start()
    remember_port(port_file, endpoint)
    ready(endpoint)
    await face.serve()


def remember_port(port_file: Path, endpoint: str) -> None:
    """Keep the port for the next life of this face, if there is room; a full tmpfs costs it the port, not its life."""
    with contextlib.suppress(OSError):
        port_file.write_text(endpoint.rpartition(":")[2], encoding="ascii")


def chosen_port(port_file: Path) -> int:
    """Return the port that an earlier life of this face had, 0 to let the system choose."""
    text = port_file.read_text(encoding="ascii") if port_file.exists() else ""
    return int(text) if text.isdigit() else 0


def opcua_face(plant: Plant, view: PlantView, clock: Clock, *, cache: Path | None, port: int | None) -> Face:
    """Make the OPC UA face of a plant."""
    from controller.scada.opcua.server import OpcUaServer  # noqa: PLC0415 - each face loads its own libraries only

    settings = plant.faces.opcua
    assert settings is not None, "the supervisor starts only faces that the site has"
    settings = settings if port is None else replace(settings, port=port)
    return OpcUaServer(settings, point_list(plant), view, data_periods(plant), clock, cache, wording=wording_of(plant))


def modbus_face(plant: Plant, view: PlantView, clock: Clock, site: Path, *, port: int | None) -> Face:
    """Make the Modbus face of a plant; `site` is its sealed file, beside which a frozen map may lie."""
    from controller.scada.modbus.face import ModbusServerFace  # noqa: PLC0415 - as above

    settings = plant.faces.modbus
    assert settings is not None, "as above"
    settings = settings if port is None else replace(settings, port=port)
    listed = point_list(plant)
    places = flat_map(listed, frozen_map(site))
    return ModbusServerFace(settings, plant, listed, places, view, clock, party_points(plant, site, listed))


async def until_first_done(*works: Awaitable[None]) -> None:
    """Run several works; when the first returns, cancel the others. An exception of any ends all."""

    async def one(work: Awaitable[None], over: asyncio.Event) -> None:
        await work
        over.set()

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work, over)) for work in works]
        await over.wait()
        for task in tasks:
            task.cancel()
