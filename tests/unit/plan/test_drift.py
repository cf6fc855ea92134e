"""How far the speed of a machine wanders, from repeats, and what that makes of an interval."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from fastworker.plan.distributions import Constant
from fastworker.plan.drift import drift_of, drifted
from fastworker.plan.layout import Layout
from fastworker.plan.replicas import simulate
from fastworker.plan.workload import Class, Overhead, Workload

WORKLOAD = Workload((Class("t", 85.0, 1.0, Constant(0.01)),), Overhead(0.001, 0.0004, 0.0002))


def test_one_repeat_says_nothing() -> None:
    assert drift_of([(0.01, 500)], 1.0) is None
    assert drift_of([(0.01, 500), (0.0, 0)], 1.0) is None


def test_constant_times_that_differ_are_the_machine() -> None:
    """Relative variance of 9 and 11 around 10: 0.02; and half as much for the mean of both."""
    assert drift_of([(0.009, 500), (0.011, 500)], 0.0) == pytest.approx(math.sqrt(0.02 * 1.5))


def test_random_times_differ_by_chance() -> None:
    """Means of 500 exponential times scatter by 4.5 %."""
    assert drift_of([(0.0098, 500), (0.0102, 500)], 1.0) == 0.0


def test_repeats_of_random_times_on_a_steady_machine_hardly_drift() -> None:
    rng = random.Random(2)
    found = []
    for _ in range(200):
        means = [statistics.fmean(rng.expovariate(100) for _ in range(400)) for _ in range(4)]
        found.append(drift_of([(mean, 400) for mean in means], 1.0))
    assert statistics.median(drift for drift in found if drift is not None) < 0.03


def test_every_time_of_a_run_is_longer_by_the_same_factor() -> None:
    run = drifted(WORKLOAD, 0.2, random.Random(5))
    factor = run.classes[0].service.mean_s / 0.01
    assert factor != pytest.approx(1.0)
    overhead = run.overhead
    assert (overhead.start_s, overhead.slot_s, overhead.cpu_s) == pytest.approx(
        (0.001 * factor, 0.0004 * factor, 0.0002 * factor)
    )
    assert drifted(WORKLOAD, 0.0, random.Random(5)) is WORKLOAD


def test_an_interval_is_wider_where_the_speed_wanders() -> None:
    def width(drift: float) -> float:
        found = simulate(
            WORKLOAD, Layout(1, 1, 1, drift=drift), span_s=30.0, warm_up_s=5.0, replicas=30
        )
        return found.p95_s.high - found.p95_s.low

    assert width(0.05) > 1.5 * width(0.0)
