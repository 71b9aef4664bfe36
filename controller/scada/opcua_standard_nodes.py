"""The 6,000 standard OPC UA nodes: built by the library once, then kept in a cache of our own for a quick restart.

Building them costs seconds; loading the cache a fraction. The cache lies in the controller's private folder, is named
after the library's version and guarded by a digest; one that does not check is built anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asyncua.server import standard_address_space
from asyncua.server.address_space import AddressSpace

_DIGEST_BYTES = 32


async def load_standard_nodes(aspace: AddressSpace, node_service: Any, folder: Path | None) -> None:
    """Fill the address space, from the cache where there is a sound one."""
    cache = folder / f"opcua-standard-nodes-{version('asyncua')}" if folder else None
    if cache and (nodes := _read(cache)) is not None:
        aspace._nodes = nodes  # noqa: SLF001 - the library offers only a slower cache
        return
    await asyncio.to_thread(_fill, node_service)
    if cache:
        _write(cache, aspace._nodes)  # noqa: SLF001 - as above


def _fill(node_service: Any) -> None:
    standard_address_space.standard_address_space.fill_address_space(node_service)


def _read(cache: Path) -> dict[Any, Any] | None:
    if not cache.is_file():
        return None
    data = cache.read_bytes()
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    nodes: dict[Any, Any] = pickle.loads(body)  # noqa: S301 - our own file in our own 0750 folder
    return nodes


def _write(cache: Path, nodes: dict[Any, Any]) -> None:
    body = pickle.dumps(nodes, protocol=5)
    aside = cache.with_suffix(".new")
    aside.write_bytes(hashlib.sha256(body).digest() + body)
    aside.replace(cache)
