"""What is known of a link and its units, for status, alarms and messages; written by its worker, read by anyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controller.field_io.unit import Unit

REFUSAL_STANDS_NS = 60_000_000_000
"""For how long a write that was refused, and not tried again, is told."""


@dataclass(slots=True)
class LinkStatus:
    """Counters only grow. `last_error` is in the words of the person who will look for the cable.

    `connected`: nothing is known against it: the last connection could be made and gave sound answers; one that is
    being made (the first, or anew) counts until that fails. `restarts`: how often its worker hung.
    """

    address: str
    units: tuple[Unit, ...] = ()
    connected: bool = True
    connects: int = 0
    polls: int = 0
    writes: int = 0
    silences: int = 0
    wrong_answers: int = 0
    refusals: int = 0
    restarts: int = 0
    last_error: str = ""

    @property
    def wrong_identity(self) -> dict[int, str]:
        """What does not fit, by index of the device."""
        return {u.device.index: u.wrong for u in self.units if u.wrong}

    @property
    def dead_units(self) -> tuple[int, ...]:
        """Units that do not answer."""
        return tuple(u.device.unit for u in self.units if u.breaker.is_open)

    @property
    def lost_devices(self) -> tuple[int, ...]:
        """Devices (by index) that do not answer though their link does."""
        return tuple(u.device.index for u in self.units if u.breaker.is_open) if self.connected else ()

    def refusing_devices(self, now_ns: int) -> tuple[int, ...]:
        """Devices (by index) that did not take what was last written of something, and asked within the last minute.

        What is wanted is asked again and again; what nobody asks any more (a stop that failed, and the converter was
        then started) would else stand for ever.
        """
        since_ns = now_ns - REFUSAL_STANDS_NS
        return tuple(u.device.index for u in self.units if any(ns > since_ns for ns in u.refused_ns.values()))

    @property
    def flapping_units(self) -> tuple[int, ...]:
        """Units that answer, but not for long enough to be believed."""
        return tuple(u.device.unit for u in self.units if not (u.breaker.is_believed or u.breaker.is_open))


def summary(links: Sequence[LinkStatus], most: int = 20) -> dict[str, Any]:
    """Return all links in numbers, and in words those that are not well (the first `most`)."""
    counted = ("polls", "writes", "silences", "wrong_answers", "refusals", "connects", "restarts")
    troubled = [link for link in links if not link.connected or link.lost_devices or link.wrong_identity]
    return {
        "links": len(links),
        "connected": sum(link.connected for link in links),
        **{name: sum(getattr(link, name) for link in links) for name in counted},
        "troubled": [{"address": link.address, "text": _in_words(link)} for link in troubled[:most]],
    }


def _in_words(link: LinkStatus) -> str:
    if not link.connected:
        return f"not connected: {link.last_error}"
    devices = {u.device.index: u.device.name for u in link.units}
    return "; ".join(
        [*(f"{devices[d]} does not answer" for d in link.lost_devices)]
        + [f"{devices[d]} {what}" for d, what in link.wrong_identity.items()]
    )
