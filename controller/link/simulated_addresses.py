"""Where the links of a simulated plant really are: written by the simulator, read by control and by its next life.

Rule: for as long as a run lasts its links stay where they were first opened. Control looks for them there alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from controller.plant.model import TcpAddress


def write_addresses(path: Path, addresses: Mapping[int, TcpAddress]) -> None:
    """Write each link's address by its index, so that nobody reads half of it."""
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({str(link): str(address) for link, address in addresses.items()}), encoding="utf-8")
    aside.replace(path)


def read_addresses(path: Path) -> dict[int, TcpAddress]:
    """Return each link's address by its index; {} for a real plant, whose links are where the site file says."""
    if not path.exists():
        return {}
    moved = json.loads(path.read_text(encoding="utf-8"))
    return {int(link): _tcp_address(place) for link, place in moved.items()}


def _tcp_address(text: str) -> TcpAddress:
    host, _, port = text.rpartition(":")
    return TcpAddress(host, int(port))
