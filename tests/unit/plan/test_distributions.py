"""Moments, tails and samples of every distribution agree with each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastworker.plan.distributions import (
    BoundedPareto,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Mixture,
    Scaled,
    Uniform,
    quantile,
)

ALL: list[Distribution] = [
    Constant(0.2),
    Exponential(0.2),
    Uniform(0.1, 0.4),
    LogNormal(0.2, 0.5),
    BoundedPareto(0.1, 10.0, 2.5),
    Empirical([(0.1, 5), (0.3, 4), (0.2, 3)]),
    Mixture([(9, Constant(0.01)), (1, Exponential(0.5))]),
    Scaled(LogNormal(0.1, 0.5), 2.0),
]


@pytest.mark.parametrize("each", ALL, ids=lambda each: type(each).__name__)
def test_samples_have_the_moments_and_the_tail(each: Distribution) -> None:
    rng = random.Random(7)
    values = sorted(each.sample(rng) for _ in range(20_000))
    mean = sum(values) / len(values)
    assert mean == pytest.approx(each.mean_s, rel=0.05)
    assert sum(v * v for v in values) / len(values) / mean**2 - 1 == pytest.approx(
        each.scv, rel=0.3, abs=0.01
    )
    assert sum(v**3 for v in values) / len(values) / mean**3 == pytest.approx(each.third, rel=0.6)
    for share in (0.25, 0.5, 0.9, 0.99):
        at = quantile(each, share) * (1 + 1e-9)
        longer = sum(value > at for value in values) / len(values)
        assert longer <= 1 - share + 0.01


@settings(max_examples=20)
@given(share=st.floats(0.01, 0.99), more=st.floats(0.0, 0.009))
def test_quantiles_rise(share: float, more: float) -> None:
    for each in ALL:
        assert quantile(each, share) <= quantile(each, share + more) * (1 + 1e-9)


def test_median_of_what_was_measured_is_one_of_the_values() -> None:
    assert quantile(Empirical([(0.1, 5), (0.3, 4), (0.2, 3)]), 0.5) == pytest.approx(0.2)


def test_pareto_whose_exponent_is_a_moments_order() -> None:
    """The general formula divides by zero there."""
    at, near = BoundedPareto(0.1, 10.0, 2.0), BoundedPareto(0.1, 10.0, 2.0001)
    assert at.scv == pytest.approx(near.scv, rel=1e-3)


@pytest.mark.parametrize("values", [[], [(0.0, 3.0)]])
def test_nothing_measured_is_refused(values: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="values"):
        Empirical(values)
