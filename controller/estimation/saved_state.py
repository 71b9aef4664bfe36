"""The estimator's state as bytes, for a restart: everything learned of racks and cells, and what was found.

One line of JSON names the arrays, which follow in numpy's own format; the file around it carries the checksum. What
the bytes lack or have in another shape belongs to another plant or version, and is refused whole. A restart widens
the bounds by what may have flowed while nobody looked, and moves all times on by the absence.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.estimation.anomalies import SOC_FLOOR, AnomalyState
from controller.estimation.cell_filter import with_absence
from controller.estimation.cell_groups import CellGroup
from controller.estimation.config import EstimatorConfig
from controller.estimation.current_gain import current_gain
from controller.estimation.findings import Finding, FindingKind, Severity
from controller.estimation.past_differences import Past
from controller.estimation.state import NEVER, EstimatorState, initial
from controller.estimation.unseen import LOST_RATIO, bled_ratio, unseen_current_a, unseen_ratio, with_unseen

FORMAT = 8
NOT_SAVED = {"curves", "meter", "warranty", "life", "remaining", "gain_error"}

Part = TypeVar("Part")


class StateError(ValueError):
    """Saved bytes that do not belong to this plant or this version; the caller starts anew."""


def to_bytes(state: EstimatorState) -> bytes:
    """Return everything as bytes for retained state."""
    arrays = dict(_arrays("", state))
    findings = [asdict(finding) for group in state.groups for finding in group.anomalies.found]
    head = {"format": FORMAT, "names": list(arrays), "findings": findings}
    buffer = io.BytesIO()
    buffer.write(json.dumps(head).encode() + b"\n")
    for array in arrays.values():
        np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def _arrays(name: str, value: object) -> Iterator[tuple[str, NDArray[Any]]]:
    if is_dataclass(value):
        for field in fields(value):
            if field.name not in NOT_SAVED:
                yield from _arrays(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple):
        if not (value and isinstance(value[0], Finding)):
            for k, part in enumerate(value):
                yield from _arrays(f"{name}.{k}", part)
    else:
        yield name, np.asarray(value)


def from_bytes(data: bytes, config: EstimatorConfig, now_ns: int, away_s: float) -> EstimatorState:
    """Return a saved state, widened by what may have flowed in `away_s` seconds; StateError if it can't be used.

    Monotonic times of the saved run mean nothing here: samples start anew, ages are carried by `away_s`.
    """
    fresh = initial(config, now_ns)
    found, findings = _read(data)
    state = _filled("", fresh, found)
    return _after_absence(config, _with_findings(state, findings), fresh, now_ns, away_s)


def _read(data: bytes) -> tuple[dict[str, NDArray[Any]], list[Finding]]:
    buffer = io.BytesIO(data)
    try:
        head = json.loads(buffer.readline())
        form = head["format"]
        found = {name: np.lib.format.read_array(buffer, allow_pickle=False) for name in head["names"]}
        findings = [
            Finding(**{**row, "kind": FindingKind(row["kind"]), "severity": Severity(row["severity"])})
            for row in head["findings"]
        ]
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise StateError(f"estimator state: not readable: {error}") from error
    if form != FORMAT:
        raise StateError(f"estimator state: format {form}, expected {FORMAT}")
    return found, findings


def _filled(name: str, like: Part, found: dict[str, NDArray[Any]]) -> Part:
    """Return a part of the state with the saved values, in the shape of a fresh one."""
    changes: dict[str, Any] = {}
    for field in fields(like):  # type: ignore[arg-type]  # only dataclasses come here
        place, value = f"{name}.{field.name}", getattr(like, field.name)
        if field.name in NOT_SAVED or field.name in {"found", "findings"} or isinstance(value, Past):
            continue
        if is_dataclass(value):
            changes[field.name] = _filled(place, value, found)
        elif field.name == "groups":
            changes["groups"] = tuple(_filled(f"{place}.{k}", group, found) for k, group in enumerate(value))
        elif isinstance(value, int):
            changes[field.name] = int(_same_shape(place, np.asarray(value), found))
        elif not isinstance(value, tuple):
            changes[field.name] = _same_shape(place, value, found)
    if isinstance(like, AnomalyState):
        for part in ("hours", "days"):
            changes[part] = _past(f"{name}.{part}", like.sound_looks.shape, found)
    return replace(like, **changes)  # type: ignore[type-var]


def _past(name: str, shape: tuple[int, ...], found: dict[str, NDArray[Any]]) -> Past:
    count = sum(key.startswith(f"{name}.at_ns.") for key in found)
    like = np.zeros(shape, dtype=np.float16)
    soc, resistance = (
        tuple(_same_shape(f"{name}.{part}.{k}", like, found) for k in range(count)) for part in ("soc", "resistance")
    )
    return Past(soc, resistance, tuple(int(found[f"{name}.at_ns.{k}"]) for k in range(count)))


def _same_shape(name: str, like: NDArray[Any], found: dict[str, NDArray[Any]]) -> NDArray[Any]:
    value = found.get(name)
    if value is None or value.shape != like.shape or value.dtype != like.dtype:
        raise StateError(f"estimator state: {name}: expected {like.dtype}{like.shape}; the plant has changed")
    return value


def _with_findings(state: EstimatorState, findings: list[Finding]) -> EstimatorState:
    groups = tuple(
        replace(
            group,
            anomalies=replace(group.anomalies, found=tuple(f for f in findings if group.first <= f.rack < group.last)),
        )
        for group in state.groups
    )
    return replace(state, groups=groups, findings=tuple(findings))


def _after_absence(
    config: EstimatorConfig, state: EstimatorState, fresh: EstimatorState, now_ns: int, away_s: float
) -> EstimatorState:
    """Return the state with times carried over and the charge of the open block and of the absence accounted for."""
    saved_ns = int(max(state.time_ns.max(), state.cell_time_ns.max(), 0))
    moved_ns = now_ns - int(away_s * 1e9) - saved_ns
    had_anchor = state.anchor_time_ns != NEVER
    away = np.full(config.racks, away_s)
    unseen = unseen_ratio(config, away)
    bled = bled_ratio(config, away)
    gains = replace(fresh.gains, mean=state.gains.mean, covariance=state.gains.covariance, blocks=state.gains.blocks)
    return replace(
        state,
        time_ns=fresh.time_ns,
        cell_time_ns=fresh.cell_time_ns,
        seen_voltage_v=fresh.seen_voltage_v,
        steps=replace(state.steps, past=fresh.steps.past),
        doubt=replace(state.doubt, residual_v=fresh.doubt.residual_v),
        power_ns=now_ns,
        updated_ns=np.where(state.updated_ns == NEVER, NEVER, now_ns),
        pair_current_a=state.pair_current_a * np.exp(-away_s / config.pair_time_constant_s),
        hysteresis=np.where(unseen > LOST_RATIO, 0.0, state.hysteresis),
        block_start_ns=fresh.block_start_ns,
        block_sums=fresh.block_sums,
        block_samples=fresh.block_samples,
        block_extra_ratio=np.hypot(state.block_extra_ratio, unseen),
        anchor_time_ns=np.where(had_anchor, moved_ns + state.anchor_time_ns, NEVER),
        unseen=with_unseen(config, state.unseen, unseen_current_a(config), away, unseen),
        beside=fresh.beside,
        gains=gains,
        gain_error=current_gain(config, gains),
        capacity=replace(state.capacity, stay=fresh.capacity.stay, anchor=fresh.capacity.anchor),
        groups=tuple(
            _group_after(group, new, moved_ns, away_s, unseen[group.racks], bled[group.racks])
            for group, new in zip(state.groups, fresh.groups, strict=True)
        ),
        findings=tuple(replace(f, first_raised_ns=f.first_raised_ns + moved_ns) for f in state.findings),
    )


def _group_after(
    group: CellGroup,
    fresh: CellGroup,
    moved_ns: int,
    away_s: float,
    unseen: NDArray[np.float64],
    bled: NDArray[np.float64],
) -> CellGroup:
    """Return a group after the absence; what a balancer may have done meanwhile is never compared over."""
    anomalies = group.anomalies
    hours, days = (Past(), Past()) if bled.max() > SOC_FLOOR else (anomalies.hours, anomalies.days)
    return replace(
        group,
        visited_ns=fresh.visited_ns,
        seen_ns=fresh.seen_ns,
        cells=with_absence(group.cells, away_s, unseen, bled),
        anomalies=replace(
            anomalies,
            hours=_moved(hours, moved_ns),
            days=_moved(days, moved_ns),
            looked_ns=anomalies.looked_ns + moved_ns,
            found=tuple(replace(f, first_raised_ns=f.first_raised_ns + moved_ns) for f in anomalies.found),
        ),
    )


def _moved(past: Past, by_ns: int) -> Past:
    return replace(past, at_ns=tuple(at_ns + by_ns for at_ns in past.at_ns))
