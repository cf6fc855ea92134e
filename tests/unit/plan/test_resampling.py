"""Other samples that might have been measured."""

from __future__ import annotations

import random
import statistics

import pytest

from fastworker.plan.distributions import Constant, Distribution, Empirical, Scaled
from fastworker.plan.resampling import poisson, resampled
from fastworker.plan.workload import Class, Workload


def again(times: Distribution, seed: int) -> Distribution:
    workload = Workload((Class("t", 1.0, 1.0, times),))
    return resampled(workload, random.Random(seed)).classes[0].service


@pytest.mark.parametrize("mean", [0.3, 1.0, 12.0, 400.0])
def test_poisson_numbers_have_their_mean_as_their_variance(mean: float) -> None:
    rng = random.Random(4)
    numbers = [poisson(mean, rng) for _ in range(20_000)]
    assert statistics.fmean(numbers) == pytest.approx(mean, rel=0.03)
    assert statistics.pvariance(numbers) == pytest.approx(mean, rel=0.05)


def test_means_of_other_samples_scatter_as_the_standard_error_says() -> None:
    """100 values of a deviation of 1: the mean is off by a tenth."""
    times = Empirical([(1.0, 50), (3.0, 50)])
    means = [again(times, seed).mean_s for seed in range(1000)]
    assert statistics.fmean(means) == pytest.approx(2.0, rel=0.01)
    assert statistics.pstdev(means) == pytest.approx(0.1, rel=0.1)


def test_many_values_leave_no_doubt() -> None:
    times = Empirical([(1.0, 5e6), (3.0, 5e6)])
    assert again(times, 1).mean_s == pytest.approx(2.0, rel=0.002)


def test_times_that_are_given_stay_as_they_are() -> None:
    assert again(Constant(2.0), 1) == Constant(2.0)


def test_slower_times_are_drawn_anew_too() -> None:
    times = Scaled(Empirical([(1.0, 50), (3.0, 50)]), 2.0)
    means = [again(times, seed).mean_s for seed in range(500)]
    assert statistics.fmean(means) == pytest.approx(4.0, rel=0.02)
    assert statistics.pstdev(means) == pytest.approx(0.2, rel=0.15)


def test_a_single_value_never_gets_lost() -> None:
    for seed in range(20):
        assert again(Empirical([(2.0, 1)]), seed).mean_s == 2.0
