"""Nodes whose slots share cores."""

from __future__ import annotations

import random

import pytest

from fastworker.plan.distributions import Exponential
from fastworker.plan.layout import Layout
from fastworker.plan.simulation import Jobs, play
from fastworker.plan.utilisation import utilisation


def test_slots_with_a_core_each_are_busy_or_not() -> None:
    assert utilisation(3.0, 3.0, 4, 4) == 0.75
    assert utilisation(3.0, 0.0, 4, 1) == 0.75
    assert utilisation(1.0, 3.0, 4, 4) == 0.75, "what computes outside of slots, too"


def test_tasks_that_only_compute_are_limited_by_cores() -> None:
    assert utilisation(1.5, 1.5, 4, 2) == 0.75


def test_four_slots_that_compute_half_of_the_time_on_two_cores() -> None:
    """By hand: weights 1, 4, 6, 6, 3 of none to four that compute; the cores serve 34/20 at a time."""
    assert utilisation(2.0, 1.0, 4, 2) == pytest.approx(20 / 34)


def test_it_grows_with_the_load_and_knows_no_overflow() -> None:
    one = utilisation(0.8, 0.2, 8, 1.5)
    assert utilisation(1.6, 0.4, 8, 1.5) == pytest.approx(2 * one)
    assert 0.9 < utilisation(1_800.0, 3.6, 2_000, 4) < 0.92
    assert utilisation(1e-9, 0.9e-9, 5_000, 1) == pytest.approx(0.9e-9)


@pytest.mark.parametrize(("slots", "cores"), [(4, 2), (3, 2), (8, 2.5)])
def test_a_backlog_is_simulated_at_that_rate(slots: int, cores: float) -> None:
    rng, count = random.Random(4), 20_000
    part = Exponential(0.5)
    jobs = Jobs(
        *([0.0] * count, [0.0] * count),
        *([part.sample(rng) for _ in range(count)] for _ in range(2)),
    )
    ended = max(play(jobs, Layout(1, slots, cores), rng).ends_s)
    rate = count / ended
    assert utilisation(rate, rate / 2, slots, cores) == pytest.approx(1.0, rel=0.02)
