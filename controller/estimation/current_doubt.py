"""Whether a rack's current can be believed: its voltage says so, block by block.

A current that is frozen, of the wrong sign or scaled by ten still looks like a measurement; only the voltage tells.
Two things contradict it. A voltage beyond the filter's gate: sound sensors stay far inside. And the change of the
voltage from block to block, held against the change that the current explains: where the current is frozen the voltage
moves alone, where its sign is wrong the change doubles instead of cancelling. A change that does fit confirms the
current: nothing but a sound sensor does that over and over.

A voltage that contradicts the current once or twice, while changes before and after do fit, has jumped: charge flowed
in a gap that the times hide, or the voltage's sensor is another than before. Both are left open.

While a current is in doubt it is unknown to what would explain the voltage, ever since it was last confirmed; and the
voltage, which holds the same unknown current, teaches the less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLEAR_SIGMA = 2.0
"""From where on a change of the voltage speaks at all, in sigmas of what model and sensor leave open."""
JUMP_SIGMA = 3.0
"""From where on a change that stays alone is a jump."""
JUMP_STRIKES = 2
"""More contradictions than these before the current is confirmed again are a current that was wrong."""
CONFIRMS_SHARE = 0.5
"""A misfit below this share of the change that the current explains confirms it: beyond any error of a resistance."""
RESISTANCE_SHARE = 0.15
SLOPE_SHARE = 0.5
"""1-sigma of what the model says of a change: of its resistive part, and of what the SOC's move adds (knees bend)."""
DIGIT_V = 0.001
STRIKES = 2
CONFIRMATIONS = 3
"""So many in a row, none of the other kind between: to doubt, and to believe again."""
STRIKE_LASTS_S = 3600.0
"""So long after, a lone contradiction is forgotten: two knees hours apart are no frozen current."""
DOUBT_LASTS_S = 6.0 * 3600.0
"""A current that nothing contradicts or confirms for so long is believed again."""
VOLTAGE_LASTS_S = 1800.0
"""An unknown current shifts the voltage alike for so long: its repetition teaches nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changed from the last block to this one [rack], V: `misfit_v` is what current and SOC do not explain.

    `resistive_v` and `open_circuit_v` are what they do explain; `error_v` is the 1-sigma of model and sensor, `bend_v`
    by how much a knee anywhere inside the bounds may have moved it. Racks where `use` is false have nothing to compare.
    """

    misfit_v: Floats
    resistive_v: Floats
    open_circuit_v: Floats
    error_v: Floats
    bend_v: Floats
    use: Mask


@dataclass(frozen=True, slots=True)
class CurrentDoubt:
    """What speaks for and against each rack's current [rack].

    `residual_v` is what the mean cell lay off the filter's expectation at the last block, `resistive_v` and
    `open_circuit_v` that expectation's parts (NaN: none yet). `strikes` and `confirmed` count contradictions and
    confirmations in a row. `wrong_s`: for how long the current may have been wrong, since it was last confirmed;
    `quiet_s`: since it was last contradicted. `unknown_a`: 1-sigma of the current while it is `doubted`, `counted_as`
    what of it the filter has been told, in A s. `against` counts the contradictions since the current was last
    believed, `jump_v` is the size of the largest; `jumped_v` that of a jump that has just turned out to be one, else 0.
    """

    residual_v: Floats
    resistive_v: Floats
    open_circuit_v: Floats
    strikes: Floats
    confirmed: Floats
    wrong_s: Floats
    quiet_s: Floats
    unknown_a: Floats
    counted_as: Floats
    against: Floats
    jump_v: Floats
    jumped_v: Floats
    doubted: Mask

    @property
    def suspected(self) -> Mask:
        """Which racks' currents are in doubt or were contradicted once and not confirmed since."""
        return np.asarray(self.doubted | (self.strikes > 0.0))


def initial_doubt(racks: int) -> CurrentDoubt:
    """Return a state in which nothing speaks for or against any current."""
    nan, zeros = np.full(racks, np.nan), np.zeros(racks)
    no = np.zeros(racks, dtype=bool)
    return CurrentDoubt(nan, nan, nan, zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros, no)


def judge(
    was: CurrentDoubt, change: Change, far: Floats, residual_v: Floats, ohm: Floats, took_s: Floats
) -> CurrentDoubt:
    """Return the state after a block that took `took_s`.

    `far` [rack] is the square of the voltage's residual over the filter's gate, for the SOC that explains it best;
    `residual_v` that residual; `ohm` the series resistance that turns volts into the amperes that would explain them.
    """
    variance = (
        change.error_v**2
        + (RESISTANCE_SHARE * change.resistive_v) ** 2
        + (SLOPE_SHARE * change.open_circuit_v) ** 2
        + DIGIT_V**2
    )
    misfit_v2, explained_v2 = change.misfit_v**2, change.resistive_v**2
    clear_v2 = CLEAR_SIGMA**2 * variance
    bent_v2 = CLEAR_SIGMA**2 * (np.sqrt(variance) + change.bend_v) ** 2
    jumps_v2 = JUMP_SIGMA**2 * (np.sqrt(variance) + change.bend_v) ** 2
    beyond = (far > 1.0) & (np.abs(residual_v) > CLEAR_SIGMA * change.bend_v)
    against = change.use & (misfit_v2 > bent_v2) & (misfit_v2 > explained_v2)
    confirms = change.use & (explained_v2 > clear_v2) & (misfit_v2 < CONFIRMS_SHARE**2 * explained_v2) & ~beyond
    speaks_against = against | beyond
    forgiven = confirms | (was.quiet_s > STRIKE_LASTS_S)
    strikes = np.where(confirms, 0.0, np.where(forgiven, 0.0, was.strikes) + against)
    confirmed = np.where(speaks_against, 0.0, was.confirmed + confirms)
    doubted = beyond | (strikes >= STRIKES) | was.doubted
    quiet_s = np.where(speaks_against, 0.0, was.quiet_s + took_s)
    believed = (confirmed >= CONFIRMATIONS) | (quiet_s > DOUBT_LASTS_S)
    doubted = doubted & ~believed
    unknown_a = was.unknown_a
    if speaks_against.any():
        error_v = np.maximum(np.where(against, np.abs(change.misfit_v), 0.0), np.where(beyond, np.abs(residual_v), 0.0))
        unknown_a = np.maximum(unknown_a, error_v / ohm)
    times, jump_v, jumped_v = _jump(was, change, against & (misfit_v2 > jumps_v2), against, confirms & ~doubted)
    return replace(
        was,
        against=times,
        jump_v=jump_v,
        jumped_v=jumped_v,
        strikes=np.where(believed, 0.0, strikes),
        confirmed=confirmed,
        wrong_s=np.where(confirms & ~doubted, 0.0, was.wrong_s + took_s),
        quiet_s=quiet_s,
        unknown_a=np.where(doubted | (strikes > 0.0), unknown_a, 0.0),
        doubted=doubted,
    )


def _jump(
    was: CurrentDoubt, change: Change, large: Mask, against: Mask, believed: Mask
) -> tuple[Floats, Floats, Floats]:
    """Return how often the current was contradicted, by how much at most, and what has turned out to be a jump."""
    times = was.against + against
    jump_v = np.maximum(was.jump_v, np.where(large, np.abs(change.misfit_v), 0.0))
    jumped_v = np.where(believed & (times <= JUMP_STRIKES), jump_v, 0.0)
    return np.where(believed, 0.0, times), np.where(believed, 0.0, jump_v), jumped_v


def counted(was: CurrentDoubt, capacity_ah: Floats) -> tuple[CurrentDoubt, Floats]:
    """Return the state with its unknown charge counted in, and the 1-sigma of SOC [rack] that this block adds.

    An error of a current that lasts adds up in line, not as noise does.
    """
    unknown_as = np.where(was.doubted, was.unknown_a * was.wrong_s, 0.0)
    more_as2 = np.maximum(unknown_as**2 - was.counted_as**2, 0.0)
    return replace(was, counted_as=unknown_as), np.sqrt(more_as2) / (3600.0 * capacity_ah)


def doubtful_voltage(now: CurrentDoubt, ohm: Floats, duration_s: Floats) -> Floats:
    """Return the variance, V^2 [rack], that an unknown current adds to a block's voltage; the same for a long time."""
    return np.where(now.doubted, (now.unknown_a * ohm) ** 2 * VOLTAGE_LASTS_S / duration_s, 0.0)
