"""Medians, intervals and significance."""

from __future__ import annotations

import random

import pytest

from fastworker.bench.statistics import estimate, p_value


def test_a_median_of_few_samples_has_their_range() -> None:
    found = estimate([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high, found.samples) == (2.0, 1.0, 3.0, (3.0, 1.0, 2.0))


def test_nineteen_of_twenty_intervals_hold_the_true_median() -> None:
    rng = random.Random(5)
    held = 0
    for _ in range(200):
        found = estimate([rng.gauss(10, 1) for _ in range(15)])
        held += found.low <= 10 <= found.high
    # Bootstrap intervals of medians are a little short: 90 to 97 of 100.
    assert 0.88 <= held / 200 <= 0.99


def test_all_divisions_are_counted() -> None:
    # Of the 20 ways to divide, the one seen and its mirror are the most extreme.
    assert p_value([1, 2, 3], [10, 11, 12]) == pytest.approx(2 / 20)
    assert p_value([1, 2, 3, 4], [10, 11, 12, 13]) == pytest.approx(2 / 70)


def test_the_same_samples_are_not_different() -> None:
    assert p_value([5, 5, 5], [5, 5, 5]) == 1.0


def test_many_samples_are_drawn_from() -> None:
    rng = random.Random(1)
    one = [rng.gauss(10, 1) for _ in range(15)]
    assert p_value(one, [value + 5 for value in one]) < 0.001


def test_one_in_twenty_pairs_of_the_same_source_seems_different() -> None:
    rng = random.Random(2)
    pairs = [[[rng.gauss(10, 1) for _ in range(5)] for _ in range(2)] for _ in range(400)]
    seeming = sum(p_value(one, other) <= 0.05 for one, other in pairs)
    assert 0.02 <= seeming / 400 <= 0.08


def test_nothing_is_no_sample() -> None:
    with pytest.raises(ValueError, match="no samples"):
        estimate([])
