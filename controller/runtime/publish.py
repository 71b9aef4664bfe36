"""Step 6 of the scan: every computed quantity into the image, which then is the snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from controller.alarms.life_cycle import AlarmCounts
from controller.alarms.life_cycle import published as published_by_alarms
from controller.control.result import ControlResult
from controller.control.result import published as published_by_control
from controller.estimation import Estimate
from controller.image.image import Image
from controller.image.quality import Quality
from controller.protection.protect import published as published_by_protection
from controller.protection.result import ProtectionResult

Published = Iterable[tuple[str, Any, Any]]


def publish(
    image: Image,
    protection: ProtectionResult,
    estimate: Estimate,
    control: ControlResult,
    alarms: AlarmCounts,
    scan_count: int,
    map_version: int,
    now_ns: int,
) -> None:
    """Copy what every room has to say; where two speak of the same, control has the last word."""
    image.computed_time_ns[:] = now_ns
    _copy(image, published_by_protection(protection))
    _copy(image, published_by_estimation(estimate))
    _copy(image, published_by_control(control))
    _copy(image, published_by_alarms(alarms))
    own = (
        ("plant.scan_count", scan_count & 0xFFFFFFFF, Quality.GOOD),
        ("plant.heartbeat", scan_count & 0xFFFF, Quality.GOOD),
        ("plant.map_version", map_version, Quality.GOOD),
    )
    _copy(image, own)


def published_by_estimation(estimate: Estimate) -> Published:
    """Yield the rack quantities that estimation computes, each with the estimate's quality."""
    quality = estimate.quality
    yield "rack.soc_estimate", estimate.soc_used_ratio, quality
    yield "rack.soc_low", estimate.soc_low_ratio, quality
    yield "rack.soc_high", estimate.soc_high_ratio, quality
    yield "rack.soh_estimate", estimate.soh_ratio, quality
    yield "rack.capacity", estimate.capacity_ah, quality
    yield "rack.resistance", estimate.resistance_ohm, quality
    yield "rack.energy_to_empty", estimate.energy_to_empty_wh, quality
    yield "rack.energy_to_full", estimate.energy_to_full_wh, quality
    known = np.isfinite(estimate.anchor_age_s)
    age_quality = np.where(known, quality, np.uint8(Quality.NEVER_READ))
    yield "rack.anchor_age", np.where(known, estimate.anchor_age_s, np.nan), age_quality


def _copy(image: Image, published: Published) -> None:
    for name, value, quality in published:
        place = image[name]
        place.value[:] = value
        place.quality[:] = quality
