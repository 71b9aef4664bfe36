"""A row of `bess bench`: a figure of this machine, its goal, and what was measured beside it in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Result = dict[str, Any]


def at_most(name: str, value: float, unit: str, limit: float | None, beside: Mapping[str, float]) -> Result:
    """Return a row whose value should not exceed its goal, `limit`; without one it is met."""
    met = limit is None or value <= limit
    return {"name": name, "value": value, "unit": unit, "goal": limit, "met": met, "beside": dict(beside)}
