"""What a client may do with the plant: read, write and call, with a status of its own for each item.

Rules. Reads are answered from one snapshot a request. A write or a call becomes a command, and its reply the status
code and a text: the controller decides, the face only carries. A viewer is refused here already. All items of one
request are handed on together, so that they take one scan and not one each.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Coroutine, Iterable
from typing import Any, NamedTuple, cast

from asyncua import ua
from asyncua.crypto.permission_rules import User
from asyncua.server.address_space import AddressSpace

from controller.control.commands import Action, Command, Refusal, reason_problem
from controller.control.rights import may
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock
from controller.points.point_list import Method, Point
from controller.scada.opcua.nodes import NAMESPACE, PlantNodes
from controller.scada.opcua.users import role_of
from controller.scada.opcua.value_types import attribute, fault, status
from controller.scada.opcua.values import VARIANT_TYPES, Moment, Moments, command_value, part, status_of, with_times
from controller.scada.refusals import NEVER_TAKEN, RefusalReport

_FACE = "opcua"
_UNKNOWN = {ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadAttributeIdInvalid}
_FOR_VIEWERS = {
    ua.AttributeIds.UserAccessLevel: attribute(1, ua.VariantType.Byte),
    ua.AttributeIds.UserExecutable: attribute(value=False, variant_type=ua.VariantType.Boolean),
}


class Outcome(NamedTuple):
    """What became of one write or call, and why in words; `is_journaled`: control has judged it, not this face."""

    status: ua.StatusCode
    text: str
    is_journaled: bool = False


class PlantServices:
    """Reads, writes and calls of one face."""

    def __init__(
        self, aspace: AddressSpace, nodes: PlantNodes, moments: Moments, view: PlantView, clock: Clock
    ) -> None:
        """Take the nodes, the values and where commands go."""
        self._aspace, self._nodes, self._moments, self._view, self._clock = aspace, nodes, moments, view, clock
        self.refusals = RefusalReport(_FACE, view, clock)
        self._start, self._numbers = secrets.token_hex(6), itertools.count(1)

    def point_of(self, key: ua.NodeId) -> Point | None:
        """Return the point behind a NodeId."""
        return self._nodes.points.get(cast("Any", key.Identifier)) if key.NamespaceIndex == NAMESPACE else None

    def method_of(self, key: ua.NodeId) -> Method | None:
        """Return the method behind a NodeId."""
        return self._nodes.methods.get(cast("Any", key.Identifier)) if key.NamespaceIndex == NAMESPACE else None

    def read(self, params: ua.ReadParameters, user: User) -> list[ua.DataValue]:
        """Return one value per item, all of one moment; a request that makes no sense as a whole is refused."""
        if params.MaxAge < 0:
            raise fault(ua.StatusCodes.BadMaxAgeInvalid)
        moment = self._moments.now()
        return with_times([self.read_one(item, moment, user) for item in params.NodesToRead], params.TimestampsToReturn)

    def read_one(self, item: ua.ReadValueId, moment: Moment, user: User) -> ua.DataValue:
        """Return one attribute of one node."""
        point = self.point_of(item.NodeId) if item.AttributeId == ua.AttributeIds.Value else None
        if point is not None:
            value = moment.read(point)
            return part(value, item.IndexRange) if item.IndexRange else value
        which = cast("ua.AttributeIds", item.AttributeId)
        value = self._aspace.read_attribute_value(item.NodeId, which)
        if item.NodeId.NamespaceIndex == NAMESPACE and role_of(user) == "viewer" and not is_unknown(value):
            return _FOR_VIEWERS.get(which, value)
        return value

    async def write(self, items: Iterable[ua.WriteValue], user: User) -> list[Outcome]:
        """Return what became of each item, in their order."""
        items = list(items)
        outcomes = await _together([self._write_one(item, user) for item in items])
        for item, outcome in zip(items, outcomes, strict=True):
            self._report(user, f"write {item.NodeId.Identifier!s:.80} {_value_in_words(item.Value)}", outcome)
        return outcomes

    async def _write_one(self, item: ua.WriteValue, user: User) -> Outcome:
        point = self.point_of(item.NodeId)
        if point is None or not point.action or item.AttributeId != ua.AttributeIds.Value:
            known = item.NodeId in self._aspace
            code = ua.StatusCodes.BadUserAccessDenied if known else ua.StatusCodes.BadNodeIdUnknown
            return Outcome(status(code), "read only" if known else "no such node")
        if not may(role_of(user), Action(point.action)):
            return _no_right(user)
        if item.IndexRange:
            return Outcome(status(ua.StatusCodes.BadIndexRangeInvalid), "one number has no range")
        value = command_value(point, item.Value.Value)
        if isinstance(value, Refusal):
            wanted = f"{VARIANT_TYPES[point.type].name} of {point.range_low:g} to {point.range_high:g} {point.unit}"
            return Outcome(status_of(value), f"{wanted.strip()} expected")
        return await self._submit(Action(point.action), "Plant", value, user)

    async def call(self, requests: Iterable[ua.CallMethodRequest], user: User) -> list[tuple[ua.CallMethodResult, str]]:
        """Return each call's result and why in words, in their order; the words are its output argument too."""
        requests = list(requests)
        outcomes = await _together([self._call_one(request, user) for request in requests])
        for request, outcome in zip(requests, outcomes, strict=True):
            self._report(user, f"call {request.MethodId.Identifier!s:.80}", outcome)
        return [(_result(request, outcome), outcome.text) for request, outcome in zip(requests, outcomes, strict=True)]

    async def _call_one(self, request: ua.CallMethodRequest, user: User) -> Outcome:
        method = self.method_of(request.MethodId)
        if method is None:
            known = request.MethodId in self._aspace
            code = ua.StatusCodes.BadMethodInvalid if known else ua.StatusCodes.BadNodeIdUnknown
            return Outcome(status(code), "no such method")
        if cast("Any", request.ObjectId.Identifier) != method.target or request.ObjectId.NamespaceIndex != NAMESPACE:
            return Outcome(status(ua.StatusCodes.BadMethodInvalid), f"a method of {method.target}")
        if problem := _argument_problem(method, request.InputArguments or []):
            return problem
        if not may(role_of(user), Action(method.action)):
            return _no_right(user)
        value = request.InputArguments[0].Value if method.argument else None
        return await self._submit(Action(method.action), method.target, value, user)

    async def _submit(self, action: Action, target: str, value: float | str | None, user: User) -> Outcome:
        command = Command(
            id=f"{_FACE}-{self._start}-{next(self._numbers)}",
            face=_FACE,
            user=user.name or "",
            role=role_of(user),
            action=action,
            target=target,
            value=value,
            issued_mono_ns=self._clock.mono_ns(),
        )
        reply = await self._view.submit(command)
        return Outcome(status_of(reply.refusal), reply.text, is_journaled=reply.refusal not in NEVER_TAKEN)

    def _report(self, user: User, what: str, outcome: Outcome) -> None:
        """Tell the journal what was refused here."""
        if not outcome.is_journaled and not outcome.status.is_good():
            self.refusals.refused(user.name or "", f"{what}: {outcome.status.name}, {outcome.text}")


def _value_in_words(value: ua.DataValue) -> str:
    """Return a written value for the journal, cut short: it may be anything."""
    found = value.Value.Value if value.Value is not None else None
    return repr(found)[:60] if isinstance(found, (bool, int, float, str)) else f"a {type(found).__name__}"


def is_unknown(value: ua.DataValue) -> bool:
    """Whether a read found no such node or attribute."""
    return value.StatusCode is not None and value.StatusCode.value in _UNKNOWN


async def _together(works: list[Coroutine[Any, Any, Outcome]]) -> list[Outcome]:
    """Carry out all at once; started, and so handed on, in their order."""
    if len(works) == 1:
        return [await works[0]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


def _no_right(user: User) -> Outcome:
    return Outcome(status_of(Refusal.NO_RIGHT), f"role {role_of(user)} has no right to")


def _argument_problem(method: Method, arguments: list[ua.Variant]) -> Outcome | None:
    wanted = 1 if method.argument else 0
    if len(arguments) < wanted:
        return Outcome(status(ua.StatusCodes.BadArgumentsMissing), f"argument {method.argument} expected")
    if len(arguments) > wanted:
        return Outcome(status(ua.StatusCodes.BadTooManyArguments), f"{wanted} arguments expected")
    if not wanted:
        return None
    text = arguments[0].Value
    problem = reason_problem(text) if isinstance(text, str) else "String expected"
    if not problem:
        return None
    return Outcome(status(ua.StatusCodes.BadInvalidArgument), f"argument {method.argument}: {problem}")


def _result(request: ua.CallMethodRequest, outcome: Outcome) -> ua.CallMethodResult:
    result = ua.CallMethodResult()
    result.StatusCode = outcome.status
    result.OutputArguments = [ua.Variant(outcome.text, ua.VariantType.String)]
    bad = outcome.status.value == ua.StatusCodes.BadInvalidArgument
    result.InputArgumentResults = [_argument_status(given, bad=bad) for given in request.InputArguments or ()]
    return result


def _argument_status(given: ua.Variant, *, bad: bool) -> ua.StatusCode:
    if not bad:
        return status(ua.StatusCodes.Good)
    return status(ua.StatusCodes.BadOutOfRange if isinstance(given.Value, str) else ua.StatusCodes.BadTypeMismatch)
