"""Limits for each key: which keys are over it, and what that costs."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from fastworker.plan.keyed import KeyedLimit, permits

HOSTS = KeyedLimit(keys=1000, zipf=1.0, rate=2.0)


def test_keys_over_their_limit_are_the_most_frequent_ones() -> None:
    rate = 100.0
    over = HOSTS.over(rate)
    assert rate * HOSTS.share(over) > 2.0 >= rate * HOSTS.share(over + 1)
    assert math.isinf(HOSTS.wait(rate).quantile(0.99))
    assert HOSTS.wait(rate).quantile(0.1) < 1.0
    assert HOSTS.throughput(rate) == pytest.approx(
        sum(min(2.0, rate * HOSTS.share(rank)) for rank in range(1, 1001))
    )


def test_the_largest_key_says_how_much_can_come() -> None:
    assert HOSTS.over(HOSTS.most() * 0.999) == 0
    assert HOSTS.over(HOSTS.most() * 1.001) == 1


def test_draining_takes_as_long_as_the_largest_key() -> None:
    assert HOSTS.drain_s(1_000_000) == pytest.approx(1_000_000 * HOSTS.share(1) / 2.0)


def test_keys_are_drawn_as_often_as_their_share_says() -> None:
    rng = random.Random(5)
    drawn = Counter(HOSTS.draw(rng) for _ in range(50_000))
    assert drawn[0] / 50_000 == pytest.approx(HOSTS.share(1), rel=0.05)
    assert drawn[9] / 50_000 == pytest.approx(HOSTS.share(10), rel=0.2)


def test_wait_of_groups_of_keys_is_that_of_all_of_them() -> None:
    rate = HOSTS.most() * 0.8
    each = sum(
        HOSTS.share(rank) * HOSTS._key_wait(rate * HOSTS.share(rank)).mean_s
        for rank in range(1, 1001)
    )
    assert HOSTS.wait(rate).mean_s == pytest.approx(each, rel=0.02)


def test_permits_of_one_key_keep_their_distance_and_their_order() -> None:
    rows = permits(KeyedLimit(1, 1.0, 2.0), [0.0, 0.1, 0.2, 5.0], random.Random(1))
    assert [at for at, _ in rows] == pytest.approx([0.0, 0.5, 1.0, 5.0])
    assert [waited for _, waited in rows] == pytest.approx([0.0, 0.4, 0.8, 0.0])
