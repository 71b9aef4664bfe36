"""Where the links of a simulated plant really are: written by the simulator, read by control and by its next life.

Rule: for as long as a run lasts its links stay where they were first opened. Control looks for them there alone, and
whoever names a link in this run names it so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from controller.link.run_directory import write_whole
from controller.plant.model import Plant, TcpAddress


def write_addresses(path: Path, addresses: Mapping[int, TcpAddress]) -> None:
    """Write each link's address by its index."""
    write_whole(path, json.dumps({str(link): str(address) for link, address in addresses.items()}))


def read_addresses(path: Path) -> dict[int, TcpAddress]:
    """Return each link's address by its index; {} for a real plant, whose links are where the site file says."""
    return addresses_in(path.read_bytes()) if path.exists() else {}


def addresses_in(data: bytes) -> dict[int, TcpAddress]:
    """Return the addresses that `write_addresses` wrote."""
    return {int(link): _tcp_address(place) for link, place in json.loads(data).items()}


def moved(plant: Plant, addresses: Mapping[int, TcpAddress]) -> Plant:
    """Return the plant with its links where they really are."""
    if not addresses:
        return plant
    return replace(plant, links=tuple(replace(k, address=addresses.get(k.index, k.address)) for k in plant.links))


def _tcp_address(text: str) -> TcpAddress:
    host, _, port = text.rpartition(":")
    return TcpAddress(host, int(port))
