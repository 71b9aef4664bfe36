"""The alarm list as lines of text, for faces that show texts: priority, state, what and where, since when (UTC)."""

from __future__ import annotations

import datetime as dt

import numpy as np

from controller.alarms.alarm_list import STATE_WORDS, ListedAlarm, listed_alarm, listed_alarms
from controller.alarms.equipment import Axis
from controller.alarms.states import AlarmState
from controller.alarms.table import AlarmTable
from controller.image.image import Image
from controller.plant.clock import Clock
from controller.plant.signals import Owner

LINES_AT_MOST, GONE_AT_MOST = 200, 20
_NAMED = {Owner.RACK: Axis.RACK, Owner.BUS: Axis.BUS, Owner.PCS: Axis.PCS}
_FIELDS = ("alarm.state", "alarm.first_out", "alarm.time_ns", "alarm.value", "alarm.cell")


class AlarmWords:
    """Renders the alarm list of an image."""

    def __init__(self, table: AlarmTable, clock: Clock) -> None:
        """Take the plant's alarms, and the clock that turns ages into UTC."""
        self._table, self._clock = table, clock
        self.names = {owner: table.equipment.names[axis] for owner, axis in _NAMED.items()}
        """What the equipment is called that a limit may speak of."""

    def alarms(self, image: Image, at_most: int = LINES_AT_MOST) -> tuple[tuple[ListedAlarm, ...], int]:
        """Return the first alarms of the list, of the gone ones only the newest, and how many there are in all."""
        arrays = {name: image.array(name) for name in _FIELDS}
        listed = listed_alarms(self._table, arrays)
        gone = int(np.count_nonzero(arrays["alarm.state"] == AlarmState.RETURNED_UNACKED))  # the last of the list
        shown = listed[: min(at_most, len(listed) - gone + GONE_AT_MOST)]
        return tuple(listed_alarm(self._table, arrays, int(a)) for a in shown), len(listed)

    def lines(self, image: Image) -> tuple[str, ...]:
        """Return the list, a line an alarm; of a longer one the last line says how many more there are."""
        alarms, number = self.alarms(image)
        left = number - len(alarms)
        gone = left and alarms[-1].state is AlarmState.RETURNED_UNACKED
        more = f"and {left} more{' that are gone and wait for an acknowledge' if gone else ''}"
        return (*map(self.line, alarms), *([more] if left else []))

    def first(self, image: Image) -> str:
        """Return the first line, "" if there is no alarm."""
        alarms, _ = self.alarms(image, 1)
        return self.line(alarms[0]) if alarms else ""

    def line(self, alarm: ListedAlarm) -> str:
        """Return one alarm: `HIGH B01-R03 cell 17 voltage high: 3.72 V >= trip 3.65 V (active, ...) since ...Z`."""
        return f"{alarm.priority.name} {alarm.text} ({STATE_WORDS[alarm.state]}) since {self.since(alarm)}"

    def since(self, alarm: ListedAlarm) -> str:
        """Return when the alarm's state was entered, UTC to the second."""
        utc_ns = alarm.since_ns + self._clock.utc_ns() - self._clock.mono_ns()
        return dt.datetime.fromtimestamp(utc_ns // 1_000_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
