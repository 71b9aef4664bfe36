"""What rehearsal and demo share in taking a scenario's steps: an operator's as commands, expectations as answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from controller.control.commands import Action, Command
from controller.plant.messages import did_you_mean
from controller.plant.model import Plant
from controller.points.point_list import Point, PointList, PointType
from controller.simulator.scenario import Expectation, Operation, OperatorStep, Step

_ACTIONS = {
    Operation.SETPOINT: Action.SET_ACTIVE_POWER,
    Operation.REACTIVE: Action.SET_REACTIVE_POWER,
    Operation.START: Action.START,
    Operation.STOP: Action.STOP,
    Operation.RESET: Action.RESET_TRIPS,
    Operation.FAST_STOP: Action.FAST_STOP,
    Operation.ACKNOWLEDGE: Action.ACKNOWLEDGE_ALARMS,
    Operation.CONNECT: Action.CONNECT,
    Operation.DISCONNECT: Action.DISCONNECT,
}
_WITH_VALUE = {Operation.SETPOINT, Operation.REACTIVE}
_NUMBERS = itertools.count(1)

Shown = Callable[[Point], float | str | None]
"""What a face shows of a point now; None where it is not good."""


def operator_command(step: OperatorStep, plant: Plant, now_ns: int) -> Command:
    """Return the command that an operator would give at `now_ns`."""
    tags = {rack.name: rack.tag for rack in plant.racks}
    target = tags.get(step.target, step.target) or "Plant"
    value = step.value if step.operation in _WITH_VALUE else None
    number = f"scenario-{now_ns}-{next(_NUMBERS)}"
    action, timeout_s = _ACTIONS[step.operation], step.timeout_s
    return Command(number, "scenario", "operator", "operator", action, target, value, now_ns, timeout_s)


class ExpectedPoints:
    """Holds expectations against what is shown."""

    def __init__(self, listed: PointList) -> None:
        """Take the points there are."""
        self._points = listed.by_tag()

    def problem(self, step: Step, expectation: Expectation) -> str:
        """Return why an expectation can never be met: there is no such point, or another unit; "" if it can."""
        point = self._points.get(expectation.tag)
        if point is None:
            hint = did_you_mean(expectation.tag, self._points) or "bess points SITE lists them all"
            return f"line {step.line}: there is no point {expectation.tag}; {hint}"
        if point.type in {PointType.NUMBERS, PointType.TEXTS}:
            return f"line {step.line}: {expectation.tag} is an array; expected a point with one value"
        wrong = "" if point.type is PointType.TEXT else expectation.misfit(point.unit)
        return f"line {step.line}: {step.text}: {wrong}" if wrong else ""

    def failure(self, step: Step, expectation: Expectation, shown: Shown) -> str | None:
        """Return in words how an expectation is not met, None if it is."""
        point = self._points.get(expectation.tag)
        if point is None:
            return f"line {step.line}: there is no point {expectation.tag}"
        actual = shown(point)
        if expectation.is_met(actual, point.unit):
            return None
        return f"line {step.line}: {step.text} (at {step.at_s:g} s it was {actual})"
