"""Times that tasks take."""

from __future__ import annotations

import statistics

import pytest

from fastworker.bench.distribution import NAMES, samples
from fastworker.bench.errors import BenchError


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_what_was_asked_for(name: str) -> None:
    assert statistics.fmean(samples(name, 0.02)) == pytest.approx(0.02, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "scv"), [("constant", 0.0), ("exponential", 1.0), ("lognormal", 1.718)]
)
def test_the_variance_is_the_distributions(name: str, scv: float) -> None:
    times_s = samples(name, 1.0)
    # What lies beyond the last of 2,048 quantiles is missing.
    assert statistics.pvariance(times_s) == pytest.approx(scv, rel=0.06, abs=1e-12)


def test_half_of_exponential_times_are_below_ln_2() -> None:
    assert statistics.median(samples("exponential", 1.0)) == pytest.approx(0.6931, rel=0.01)


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(
        BenchError, match="expected one of constant, exponential, lognormal, pareto"
    ):
        samples("gamma", 1.0)
