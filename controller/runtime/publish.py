"""Step 6 of the scan: every computed quantity into the image, which then is the snapshot."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.alarms.life_cycle import AlarmCounts
from controller.alarms.life_cycle import published as published_by_alarms
from controller.control.report.result import PLANT_QUANTITIES, ControlResult, plant_quality
from controller.control.report.result import published as published_by_control
from controller.estimation import Estimate, Warranty
from controller.image.image import Image
from controller.image.matrix import Matrix, matrix_of
from controller.image.quality import Quality
from controller.image.quantities import POWER_HORIZONS, QUANTITIES
from controller.protection.protect import published as published_by_protection
from controller.protection.result import ProtectionResult

Floats = NDArray[np.float64]
Published = Iterable[tuple[str, Any, Any]]

PACE_QUANTITIES = frozenset(
    {
        "plant.scan_overruns",
        "plant.scan_lateness_p50",
        "plant.scan_lateness_p99",
        "plant.scan_lateness_p999",
        "plant.scan_lateness_max",
        "plant.time_quality",
    }
)
"""What the process says of its own pace and clock: the only computed quantities that no scan's inputs decide."""


_GOOD, _UNCERTAIN, _NEVER_READ = (np.uint8(q) for q in (Quality.GOOD, Quality.UNCERTAIN, Quality.NEVER_READ))


class Publisher:
    """Copies what every room has to say into one image; where two speak of the same, control has the last word.

    What follows from the same objects as in the scan before is not copied again: results never change once given.
    """

    def __init__(self, image: Image) -> None:
        """Nothing published yet."""
        self._image = image
        self._last: dict[str, tuple[Any, Any]] = {}
        self._grounds: dict[Callable[..., Published], tuple[Any, ...]] = {}
        self._quality = np.zeros(0, np.uint8)
        self._plant = tuple(_runs(image, PLANT_QUANTITIES))

    def publish(
        self,
        protection: ProtectionResult,
        estimate: Estimate,
        control: ControlResult,
        alarms: AlarmCounts,
        scan_count: int,
        map_version: int,
        now_ns: int,
    ) -> None:
        """Copy the results of a scan."""
        self._image.computed_time_ns[:] = now_ns
        self._copy_news(published_by_protection, protection)
        self._copy_estimate(estimate)
        self._copy(published_by_control(control))
        self._copy_news(published_by_alarms, alarms)
        self._copy(
            (
                ("plant.scan_count", scan_count & 0xFFFFFFFF, Quality.GOOD),
                ("plant.heartbeat", scan_count & 0xFFFF, Quality.GOOD),
                ("plant.map_version", map_version, Quality.GOOD),
            )
        )
        self._copy_plant(control)

    def _copy_estimate(self, estimate: Estimate) -> None:
        """Copy the rack quantities that estimation computes: what each sample moves, and what is learned slowly."""
        if estimate.quality.tobytes() != self._quality.tobytes():
            self._quality = estimate.quality
        quality = self._quality
        self._copy(_by_sample(estimate, quality))
        self._copy_news(_powers, estimate.power_discharge_w, estimate.power_charge_w, quality)
        self._copy_news(_remaining_life, estimate.remaining_days_low, estimate.remaining_days_high, quality)
        gain = estimate.gain_error_ratio, estimate.gain_error_low_ratio, estimate.gain_error_high_ratio
        self._copy_news(_current_gain, *gain, quality)
        self._copy_news(_counters, estimate.warranty)

    def _copy_news(self, published: Callable[..., Published], *grounds: object) -> None:
        """Copy what follows from these grounds alone, unless they are those of the scan before."""
        before = self._grounds.get(published)
        if before is None or any(map(operator.is_not, grounds, before)):
            self._grounds[published] = grounds
            self._copy(published(*grounds))

    def _copy(self, published: Published) -> None:
        image, last = self._image, self._last
        for name, value, quality in published:
            value_before, quality_before = last.get(name, _NOTHING)
            if value is not value_before:
                image[name].value[:] = value
            if quality is not quality_before:
                image[name].quality[:] = quality
            last[name] = value, quality

    def _copy_plant(self, control: ControlResult) -> None:
        numbers = np.array(control.plant, np.float64)
        quality = plant_quality(control, numbers)
        for run in self._plant:
            run.value[:], run.quality[:] = numbers[run.fields], quality[run.fields]


_NOTHING = (None, None)


class _Run(NamedTuple):
    """Neighbours in the image: which fields of the plant's result, and their live views."""

    fields: slice
    value: NDArray[Any]
    quality: NDArray[np.uint8]


def _runs(image: Image, names: tuple[str, ...]) -> Iterator[_Run]:
    """Yield the plant's quantities by what lies side by side and is stored as one type."""
    catalogue = list(QUANTITIES)
    placed = [(catalogue.index(name) - field, QUANTITIES[name].dtype) for field, name in enumerate(names)]
    for _, members in groupby(range(len(names)), key=lambda field: placed[field]):
        fields = list(members)
        run = slice(fields[0], fields[-1] + 1)
        matrix: Matrix = matrix_of(image, names[run])
        yield _Run(run, matrix.value[:, 0], matrix.quality[:, 0])


def _by_sample(estimate: Estimate, quality: NDArray[np.uint8]) -> Published:
    """Yield what moves with the samples or with a correction, each with the estimate's quality."""
    yield "rack.soc_estimate", estimate.soc_used_ratio, quality
    yield "rack.soc_estimator", estimate.soc_ratio, quality
    yield "rack.soc_low", estimate.soc_low_ratio, quality
    yield "rack.soc_high", estimate.soc_high_ratio, quality
    yield "rack.soh_estimate", estimate.soh_ratio, quality
    yield "rack.soh_low", estimate.soh_low_ratio, quality
    yield "rack.soh_high", estimate.soh_high_ratio, quality
    yield "rack.capacity", estimate.capacity_ah, quality
    yield "rack.resistance", estimate.resistance_ohm, quality
    yield "rack.energy_to_empty", estimate.energy_to_empty_wh, quality
    yield "rack.energy_to_full", estimate.energy_to_full_wh, quality
    yield "rack.core_temperature", estimate.core_degc, quality
    measured = np.maximum(quality, np.where(estimate.resistance_measured, _GOOD, _UNCERTAIN))
    yield "rack.resistance_at_25", estimate.resistance_at_25_ohm, measured
    yield "rack.soh_resistance", estimate.soh_resistance_ratio, measured
    yield "rack.soh_resistance_low", estimate.soh_resistance_low_ratio, measured
    yield "rack.soh_resistance_high", estimate.soh_resistance_high_ratio, measured
    known = np.isfinite(estimate.anchor_age_s)
    age_quality = np.where(known, quality, _NEVER_READ)
    yield "rack.anchor_age", np.where(known, estimate.anchor_age_s, np.nan), age_quality


def _powers(discharge_w: Floats, charge_w: Floats, quality: NDArray[np.uint8]) -> Published:
    """Yield the power [rack, horizon] of every horizon, both ways."""
    for k, horizon in enumerate(POWER_HORIZONS):
        yield f"rack.discharge_power_{horizon}", discharge_w[:, k], quality
        yield f"rack.charge_power_{horizon}", charge_w[:, k], quality


def _remaining_life(low_days: Floats, high_days: Floats, quality: NDArray[np.uint8]) -> Published:
    """Yield the days to the end of life."""
    life_quality = _learned(low_days, quality)
    yield "rack.remaining_life_low", low_days, life_quality
    yield "rack.remaining_life_high", high_days, life_quality


def _current_gain(error: Floats, low: Floats, high: Floats, quality: NDArray[np.uint8]) -> Published:
    """Yield the error of the current's gain, a ratio with its bounds."""
    gain_quality = _learned(error, quality)
    yield "rack.current_gain_error", error, gain_quality
    yield "rack.current_gain_error_low", low, gain_quality
    yield "rack.current_gain_error_high", high, gain_quality


def _learned(value: Floats, quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the quality of what takes long to be known: until then it has no value and waits for its first data.

    What was learned stays good while the SOC is uncertain: its own bounds say how well it is known.
    """
    return np.where(np.isfinite(value), np.where(quality > _UNCERTAIN, quality, _GOOD), _NEVER_READ)


def _counters(warranty: Warranty) -> Published:
    """Yield the warranty counters, good whatever the data are now: what was counted was counted."""
    for name, value in (
        ("charge_out", warranty.out_ah),
        ("charge_in", warranty.in_ah),
        ("energy_out", warranty.out_wh),
        ("energy_in", warranty.in_wh),
        ("full_cycles", warranty.cycles),
        ("full_cycles_bms", warranty.bms_cycles),
        ("uncounted_time", warranty.uncounted_s),
    ):
        yield f"rack.{name}", value, Quality.GOOD
    for name, bins in (
        ("soc", warranty.soc_s),
        ("soc_bms", warranty.bms_soc_s),
        ("temperature", warranty.temperature_s),
    ):
        for k, seconds in enumerate(bins):
            yield f"rack.time_at_{name}_{k}", seconds, Quality.GOOD
