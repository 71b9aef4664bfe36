"""systemd's notification socket: READY, WATCHDOG and STOPPING, by the documented datagram protocol (sd_notify(3))."""

from __future__ import annotations

import os
import socket


class SystemdNotifier:
    """Sends to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self) -> None:
        """Read the address once; a leading @ is the abstract name space."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) if address else None

    def ready(self) -> None:
        """Say that the controller runs."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """Feed the watchdog; only ever after a complete, successful scan."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Say that a clean stop has begun."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(message, self._address)
            except OSError:
                return  # a deaf service manager restarts us by its own watchdog; nothing better can be done here
