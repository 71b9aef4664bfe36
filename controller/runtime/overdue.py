"""Exceptions of the site file past their date: a lock-out does not expire, it is overdue, and an alarm says so."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import numpy as np
from numpy.typing import NDArray

from controller.alarms.system_alarms import SystemAlarm
from controller.plant.model import OutOfService, Plant
from controller.plant.schedule import MINUTES_A_DAY, moment_of
from controller.runtime.recording.recorded_scan import SystemConditions

_NEVER = np.iinfo(np.int64).max


class Overdue:
    """Knows from when on each rack's exception is past its date: the end of that day where the site is."""

    def __init__(self, plant: Plant) -> None:
        """Read the dates of a plant's racks."""
        zone = zoneinfo.ZoneInfo(plant.timezone)
        services = [rack.out_of_service for rack in plant.racks]
        self._over_ns: NDArray[np.int64] = np.array([_over_ns(service, zone) for service in services], np.int64)
        self._locked = np.array([s is not None and s.lock_out for s in services], np.bool_)
        self._any = bool(np.any(self._over_ns != _NEVER))

    def conditions(self, utc_ns: int) -> SystemConditions:
        """Return which racks' lock-outs and services are overdue at a UTC time; nothing where none has a date."""
        if not self._any:
            return {}
        over = self._over_ns <= utc_ns
        return {
            SystemAlarm.LOCK_OUT_OVERDUE: over & self._locked,
            SystemAlarm.OUT_OF_SERVICE_OVERDUE: over & ~self._locked,
        }


def _over_ns(service: OutOfService | None, zone: dt.tzinfo) -> int:
    if service is None or not service.until:
        return _NEVER
    end = moment_of(zone, dt.date.fromisoformat(service.until), MINUTES_A_DAY)
    return round(end.timestamp()) * 1_000_000_000
