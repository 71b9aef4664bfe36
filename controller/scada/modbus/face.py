"""The Modbus face of a plant: its server, its SunSpec units and its flat point map, wired together.

Units: 1 the plant and 11, 12, ... its blocks in SunSpec; 2 to 9 the flat point map; from 100 the lists that parties
brought, each with writers of its own. Whoever wants to know a unit's
registers reads `sunspec_map` and `flat_map`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from controller.image.data_periods import data_periods
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock
from controller.plant.model import ModbusFace, Plant
from controller.points.addresses import FlatMap
from controller.points.party_map import PartyPoint
from controller.points.point_list import PointList
from controller.scada.modbus.flat_map import flat_units, party_unit
from controller.scada.modbus.requests import RegisterMap, Requests, Writers
from controller.scada.modbus.server import ModbusServer, ServerLimits
from controller.scada.modbus.sunspec_map import sunspec_units

_LOOK_PERIOD_S = 0.2


class ModbusServerFace:
    """One face. `start` returns the address; `serve` runs until cancelled."""

    def __init__(
        self,
        face: ModbusFace,
        plant: Plant,
        listed: PointList,
        places: FlatMap,
        view: PlantView,
        clock: Clock,
        parties: Mapping[int, tuple[PartyPoint, ...]] | None = None,
    ) -> None:
        """Wire the face; nothing is opened yet.

        `places` is the site's frozen map, where it has one; `parties` are the lists that others brought, by unit.
        """
        self._face, self._view = face, view
        periods = data_periods(plant)
        layout = view.snapshot().image.layout
        flat: dict[int, RegisterMap] = {**flat_units(listed, places, layout, periods)}
        brought = {unit: party_unit(rows, places.version, layout, periods) for unit, rows in (parties or {}).items()}
        rights = {party.unit: Writers(party.writers, face.host) for party in face.maps}
        self.requests = Requests(view, flat | sunspec_units(plant, periods) | brought, clock, rights)
        limits = ServerLimits(face.max_connections, max(1, face.max_connections // 2))
        self.server = ModbusServer(self.requests, Writers(face.writers, face.host), limits)

    async def start(self) -> str:
        """Open the port and return `host:port`; clients that come now wait until `serve`."""
        host, port = self.server.listen(self._face.host, self._face.port)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def serve(self) -> None:
        """Answer until cancelled, then close.

        Raises an ExceptionGroup of SiteChangedError when control runs another site, also while nobody asks.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.server.serve())
            group.create_task(self._look())
            group.create_task(self.requests.refusals.run())

    def status(self) -> dict[str, int]:
        """Return what `bess status` shows of this face."""
        connected = {"connections": len(self.server.connections)}
        return connected | asdict(self.server.counters) | asdict(self.requests.counters)

    async def _look(self) -> None:
        while True:
            self._view.snapshot()
            await asyncio.sleep(_LOOK_PERIOD_S)
