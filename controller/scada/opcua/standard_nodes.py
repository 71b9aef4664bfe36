"""The 6,000 standard OPC UA nodes: built by the library once, then kept in a file of ours for a quick restart.

Building them takes seconds. The file holds each node by itself and is read at once, but a node is only unpacked when
somebody looks at it: hardly any client looks at more than a few hundred. It lies in the controller's private folder, is
named after the library's version and guarded by a digest; one that does not check is built anew. So is one that another
user could have written: a pickle can run whatever its writer wanted.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import NodeData

from controller.link.state_folder import is_ours_alone

_DIGEST_BYTES = 32


class StandardNodes:
    """Packed nodes by their number in namespace 0."""

    def __init__(self, packed: Mapping[int, bytes]) -> None:
        """Take the packed nodes; none is unpacked yet."""
        self._packed = packed

    @classmethod
    def pack(cls, nodes: Mapping[ua.NodeId, NodeData]) -> StandardNodes:
        """Pack what the library built."""
        return cls({_number(key): pickle.dumps(node, protocol=5) for key, node in nodes.items()})

    def unpack(self, number: int) -> NodeData | None:
        """Return a fresh copy of a node; None if the standard has no such node."""
        packed = self._packed.get(number)
        node: NodeData | None = pickle.loads(packed) if packed else None  # noqa: S301 - our file, our private folder
        return node

    @classmethod
    def load(cls, folder: Path) -> StandardNodes | None:
        """Return the nodes of the folder's file; None if there is none, it is not whole, or not ours alone."""
        path = _file(folder)
        if not path.is_file() or not is_ours_alone(path):
            return None
        data = memoryview(path.read_bytes())
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        return cls(pickle.loads(body))  # noqa: S301 - as above

    def save(self, folder: Path) -> None:
        """Write the file aside, then into place; a disk that won't take it costs time, not the face."""
        body = pickle.dumps(self._packed, protocol=5)
        path = _file(folder)
        aside = path.with_suffix(".new")
        try:
            aside.unlink(missing_ok=True)
            aside.touch(mode=0o600)
            aside.write_bytes(hashlib.sha256(body).digest() + body)
            aside.replace(path)
        except OSError:  # no room, no right: the next start builds them again
            aside.unlink(missing_ok=True)


def _file(folder: Path) -> Path:
    return folder / f"opcua-standard-nodes-{version('asyncua')}.pickle"


def _number(key: ua.NodeId) -> int:
    number: Any = key.Identifier
    assert key.NamespaceIndex == 0, f"{key} is no standard node"
    assert isinstance(number, int), f"{key} is no standard node"
    return number
