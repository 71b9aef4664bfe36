"""Meters: what they measure over their averaging window, and the losses between converters and the POI.

Losses: a transformer's no-load loss always, its load loss by the square of its loading; the line to the POI
LINE_LOSS_RATIO of the plant's rating at full load. Auxiliaries draw half their stated power at rest, all of it when
the cells are warm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.plant.model import Auxiliary, Meter, Plant, Transformer
from controller.plant.signals import BreakerState

WINDOW_S = 0.2
"""Averaging window of a class 0.5 power meter: ten cycles of 50 Hz."""
LINE_LOSS_RATIO = 0.002
USED_WH = 1.0
"""What a new meter has counted already: in SunSpec an accumulator at 0 means "none"."""
AUXILIARY_REST_SHARE = 0.5
WARM_DEGC = (25.0, 35.0)


@dataclass(slots=True)
class MeterState:
    """A meter's readings: W, var, Hz, V, Wh."""

    rating: Meter
    active_power_w: float = 0.0
    reactive_power_var: float = 0.0
    frequency_hz: float = 0.0
    voltage_v: float = 0.0
    energy_out_wh: float = USED_WH
    energy_in_wh: float = USED_WH
    breaker: BreakerState = BreakerState.CLOSED
    _started: bool = False

    def sample(self, active_w: float, reactive_var: float, frequency_hz: float, voltage_pu: float, dt_s: float) -> None:
        """Take the last `dt_s` into the averaging window and the energy registers."""
        share = 1.0 - math.exp(-dt_s / WINDOW_S) if self._started else 1.0
        self._started = True
        self.active_power_w += share * (active_w - self.active_power_w)
        self.reactive_power_var += share * (reactive_var - self.reactive_power_var)
        self.frequency_hz, self.voltage_v = frequency_hz, voltage_pu * self.rating.voltage_v
        if active_w >= 0.0:
            self.energy_out_wh += active_w * dt_s / 3600.0
        else:
            self.energy_in_wh -= active_w * dt_s / 3600.0

    def readings(self) -> dict[str, float]:
        """Return what it shows, by signal: power factor signed as the active power, 1 at no load; three phases even."""
        apparent_va = math.hypot(self.active_power_w, self.reactive_power_var)
        return {
            "meter.active_power": self.active_power_w,
            "meter.reactive_power": self.reactive_power_var,
            "meter.apparent_power": apparent_va,
            "meter.power_factor": self.active_power_w / apparent_va if apparent_va > 1.0 else 1.0,
            "meter.frequency": self.frequency_hz,
            "meter.voltage": self.voltage_v,
            "meter.current": apparent_va / (math.sqrt(3.0) * self.voltage_v) if self.voltage_v > 1.0 else 0.0,
            "meter.energy_out": self.energy_out_wh,
            "meter.energy_in": self.energy_in_wh,
            "meter.breaker": self.breaker,
        }


def transformer_loss_w(transformer: Transformer, active_w: float, reactive_var: float) -> float:
    """Return a transformer's loss at a loading."""
    loading = math.hypot(active_w, reactive_var) / transformer.apparent_va
    return transformer.no_load_loss_w + transformer.load_loss_w * loading * loading


def line_loss_w(plant: Plant, active_w: float) -> float:
    """Return the loss of the line to the POI."""
    return LINE_LOSS_RATIO * active_w * active_w / plant.poi.power_w


def auxiliary_power_w(auxiliaries: Sequence[Auxiliary], hottest_degc: float) -> float:
    """Return what auxiliaries draw with the cells this warm."""
    warmth = min(max((hottest_degc - WARM_DEGC[0]) / (WARM_DEGC[1] - WARM_DEGC[0]), 0.0), 1.0)
    share = AUXILIARY_REST_SHARE + (1.0 - AUXILIARY_REST_SHARE) * warmth
    return share * sum(a.power_w for a in auxiliaries)
