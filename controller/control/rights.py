"""Who may command what: one small table of roles.

Rule: a viewer commands nothing; all others run the plant. Which trips a role may reset is decided row by row in
protection (reset class remote, local or service), from the role that is handed on.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.control.commands import Action

RIGHTS: Mapping[str, frozenset[Action]] = {
    "viewer": frozenset(),
    "operator": frozenset(Action),
    "engineer": frozenset(Action),
    "service": frozenset(Action),
}


def may(role: str, action: Action) -> bool:
    """Whether the role has the right; an unknown role has none."""
    return action in RIGHTS.get(role, frozenset())
