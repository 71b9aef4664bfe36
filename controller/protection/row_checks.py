"""What a protection row can't be: found when the table is compiled, named by row and place."""

from __future__ import annotations

from controller.plant.protection_rows import Action, ProtectionRow, Qualifier, Reduction
from controller.plant.signals import SIGNALS, Owner, SignalForm

_OF_ARRAYS = frozenset({Reduction.HIGHEST, Reduction.LOWEST, Reduction.SPREAD, Reduction.RATE, Reduction.AGE})
_OF_SCALARS = frozenset(Reduction) - {Reduction.HIGHEST, Reduction.LOWEST, Reduction.SPREAD}
_BY_CURRENT = frozenset({Qualifier.CHARGING, Qualifier.DISCHARGING, Qualifier.AT_REST})


class ProtectionError(ValueError):
    """A row that can't work: names the row and where it stands, what is wrong, what is expected."""


def check_row(row: ProtectionRow) -> None:
    """Raise ProtectionError if the row can't be judged, or would open a contactor for want of data."""
    for signal_name, reduction in ((row.signal, row.reduction), *row.also):
        _check_signal(row, signal_name, reduction)
    _check_state(row)
    rests_on_silence = row.reduction is Reduction.AGE or row.owner is Owner.INTERLOCK
    if rests_on_silence and any(g.action is Action.DISCONNECT_RACK for g in row.levels):
        raise _error(row, "lost data alone never opens a contactor; expected zero_bus or a stop")


def _error(row: ProtectionRow, message: str) -> ProtectionError:
    place = f"{row.file}:{row.line}: " if row.file else ""
    return ProtectionError(f"{place}{row.name}: {message}")


def _check_signal(row: ProtectionRow, signal_name: str, reduction: Reduction) -> None:
    signal = SIGNALS[signal_name]
    array = signal.owner in {Owner.CELL, Owner.SENSOR}
    if reduction not in (_OF_ARRAYS if array else _OF_SCALARS):
        raise _error(row, f"'{reduction}' can't be taken of {signal_name}")
    if reduction not in {Reduction.NONE, Reduction.AGE} and signal.form is not SignalForm.QUANTITY:
        raise _error(row, f"'{reduction}' needs a quantity, {signal_name} is none")
    if reduction is Reduction.BEYOND_COMMAND and signal_name != "pcs.active_power":
        raise _error(row, f"'{reduction}' needs pcs.active_power, not {signal_name}")
    if (Owner.RACK if array else signal.owner) is not row.owner:
        raise _error(row, f"{signal_name} does not belong to a {row.owner}")


def _check_state(row: ProtectionRow) -> None:
    if row.qualifier is not Qualifier.ALWAYS and row.owner is Owner.INTERLOCK:
        raise _error(row, f"an interlock has no state '{row.qualifier}' to look at")
    if row.qualifier in _BY_CURRENT and row.owner not in {Owner.RACK, Owner.PCS}:
        raise _error(row, f"a {row.owner} measures no current that tells '{row.qualifier}'")
