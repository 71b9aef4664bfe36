"""Making a connection, over whatever the link runs."""

from __future__ import annotations

import asyncio
from typing import assert_never

from controller.field_io.connection import Connection
from controller.field_io.rtu_connection import RtuConnection
from controller.field_io.tcp_connection import TcpConnection
from controller.plant.model import Link, SerialAddress, TcpAddress


async def connect(address: TcpAddress | SerialAddress, link: Link, transaction: int = 0) -> Connection:
    """Return a connection that has been made; OSError (TimeoutError is one) or LinkDownError if it can't be.

    `transaction`: the last id of the link's last connection.
    """
    match address:
        case TcpAddress():
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(link.connect_timeout_s):
                made = TcpConnection(link.timeout_s, link.in_flight, link.gap_s, transaction)
                _, connection = await loop.create_connection(lambda: made, address.host, address.port)
            return connection
        case SerialAddress():
            return await RtuConnection.open(address, link.timeout_s, link.gap_s)
        case _:
            assert_never(address)
