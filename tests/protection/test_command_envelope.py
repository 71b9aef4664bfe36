"""What explains a converter's power: its commands of the last moments, no more and no less."""

from __future__ import annotations

import numpy as np
import pytest

from controller.protection.command_envelope import CommandEnvelope

RATED_W, NAN = np.array([1e6]), float("nan")


def _followed(*steps: tuple[float, float], ramp_w_per_s: float = 1e7) -> CommandEnvelope:
    """Return an envelope after one second each of (command, measured power), in W."""
    envelope = CommandEnvelope(RATED_W, np.array([ramp_w_per_s]))
    for command_w, measured_w in ((0.0, 0.0), *steps):
        envelope.follow(np.array([command_w]), np.array([measured_w]), 1.0)
    return envelope


@pytest.mark.parametrize(
    ("command_w", "measured_w", "beyond_w"),
    [(5e5, 4e5, 0.0), (5e5, 6e5, 1e5), (5e5, -1e5, 1e5), (-5e5, -6e5, 1e5), (-5e5, 2e5, 2e5), (0.0, 3e5, 3e5)],
)
def test_more_power_the_wrong_sign_and_power_at_zero_lie_beyond(command_w, measured_w, beyond_w):
    assert max(float(_followed((command_w, 0.0)).beyond_w(np.array([measured_w]))[0]), 0.0) == beyond_w


def test_a_command_explains_power_for_a_moment_after_it_fell():
    power_w = np.array([1e6])
    assert _followed((1e6, 0.0)).beyond_w(power_w)[0] == 0.0
    assert _followed((1e6, 0.0), (0.0, 1e6)).beyond_w(power_w)[0] == 5e5
    assert _followed((1e6, 0.0), (0.0, 1e6), (0.0, 1e6)).beyond_w(power_w)[0] == 1e6


def test_a_slow_converter_is_given_its_ramp():
    assert _followed((1e6, 0.0), (0.0, 1e6), (0.0, 9e5), ramp_w_per_s=1e5).beyond_w(np.array([8e5]))[0] == 0.0


def test_a_converter_found_giving_power_was_told_to_by_somebody():
    envelope = CommandEnvelope(RATED_W, np.array([1e5]))
    envelope.follow(np.array([0.0]), np.array([NAN]), 1.0)
    envelope.follow(np.array([0.0]), np.array([-8e5]), 1.0)
    assert envelope.beyond_w(np.array([-7e5]))[0] == 0.0
    for _ in range(8):
        envelope.follow(np.array([0.0]), np.array([-8e5]), 1.0)
    assert envelope.beyond_w(np.array([-8e5]))[0] == 8e5


def test_an_unknown_command_holds_what_was_known():
    assert _followed((1e6, 0.0), (NAN, 1e6)).highest_w[0] == 5e5
    assert not CommandEnvelope(RATED_W[:0], RATED_W[:0]).highest_w.size
