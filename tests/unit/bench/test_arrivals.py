"""When calls are made."""

from __future__ import annotations

import random
import statistics
from itertools import pairwise

import pytest

from fastworker.bench import arrivals
from fastworker.bench.errors import BenchError


def _gaps(moments: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(moments)]


def test_constant_arrivals_have_equal_gaps() -> None:
    moments = arrivals.moments("constant", 200, 2.0, random.Random(1))
    assert len(moments) == 400
    assert set(_gaps(list(moments))) == {5000}


def test_poisson_gaps_are_exponential() -> None:
    moments = arrivals.moments("poisson", 1000, 50.0, random.Random(1))
    gaps = _gaps(list(moments))
    # Their standard deviation is their mean; with 50,000 of them within 2 %.
    assert statistics.mean(gaps) == pytest.approx(1000, rel=0.02)
    assert statistics.pstdev(gaps) == pytest.approx(1000, rel=0.03)


def test_bursts_come_fifty_at_once_at_the_same_rate() -> None:
    moments = arrivals.moments("bursts", 1000, 100.0, random.Random(1))
    assert len(moments) == pytest.approx(100_000, rel=0.1)
    assert all(list(moments).count(moment) % 50 == 0 for moment in set(moments[:500]))


def test_the_same_seed_draws_the_same_moments() -> None:
    one, other = (arrivals.moments("poisson", 100, 5.0, random.Random(7)) for _ in range(2))
    assert one == other != arrivals.moments("poisson", 100, 5.0, random.Random(8))


def test_recorded_arrivals_begin_at_the_first() -> None:
    assert list(arrivals.recorded([100.5, 100.0, 102.25])) == [0, 500_000, 2_250_000]


@pytest.mark.parametrize(
    ("kind", "rate", "duration_s", "text"),
    [
        ("constant", 0, 1, "above 0"),
        ("uniform", 1, 1, "expected one of constant, poisson, bursts"),
        ("constant", 0.1, 1, "nothing comes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    kind: str, rate: float, duration_s: float, text: str
) -> None:
    with pytest.raises(BenchError, match=text):
        arrivals.moments(kind, rate, duration_s, random.Random(1))
