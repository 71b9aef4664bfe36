"""How much one client, and all of them together, may ask of the OPC UA face.

Rule: whatever can be sent is bounded before it costs memory or time: connections, bytes before a login, chunks,
operations per request, sessions, subscriptions, monitored items, and the share of the process's time. What is beyond
is refused with its own status code, never silently.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """All of them; the defaults fit a plant with a handful of SCADA masters."""

    connections: int = 64
    connections_per_peer: int = 24
    sessions: int = 48
    activation_s: float = 10.0  # a connection without a session by then is closed
    idle_s: float = 630.0  # nothing received; longer than any session lives
    unread_s: float = 30.0  # a client that does not read its answers
    login_pause_s: float = 1.0  # after a wrong password

    chunk_bytes: int = 65_536
    chunks: int = 64
    message_bytes: int = 4 << 20
    early_bytes: int = 256 << 10  # in all, until a session is active

    read_nodes: int = 10_000
    write_nodes: int = 100
    calls: int = 100
    browse_nodes: int = 1_000
    monitored_per_call: int = 10_000
    share: float = 0.25  # of the process's time for one connection's reading, browsing and subscribing

    session_timeout_s: float = 600.0
    subscriptions: int = 200
    subscriptions_per_session: int = 16
    publishing_interval_ms: float = 100.0  # the shortest
    unacknowledged: int = 20  # notification messages kept for republishing
    unacknowledged_at_once: int = 1_000  # acknowledgements in one publish request
    items: int = 50_000
    items_per_subscription: int = 20_000
    item_queue: int = 10
