"""Rate, shape and burstiness of what several workers counted, with known answers."""

from __future__ import annotations

import random

import pytest

from fastworker import _core
from fastworker.plan.counted_arrivals import Span, burstiness, by_hour, rate
from fastworker.plan.node_workload import Counts, TaskWorkload

#: A full hour of Unix time.
HOUR = 490_000
NOW = HOUR * 3600


def part(
    seconds: list[int] | None = None,
    hours: list[int] | None = None,
    first_hour: int = HOUR,
    arrivals: int = 0,
) -> TaskWorkload:
    """What a worker counted in its last seconds, and in its hours."""
    counted = seconds or []
    return TaskWorkload(
        arrivals or sum(counted),
        Counts(NOW - len(counted), tuple(counted)),
        Counts(first_hour, tuple(hours or [])),
        _core.Histogram(),
        _core.Histogram(),
        0,
        0,
    )


def span(length_s: float, until: float = NOW, *, is_even: bool = False) -> Span:
    return Span(until - length_s, until, is_even)


def test_counts_of_several_workers_add_up() -> None:
    assert rate([part([3] * 100), part([1] * 100)], span(100)) == 4.0


def test_only_the_time_that_all_of_them_ran_counts() -> None:
    """The younger one has taken half of the load for 50 s; before, the older one had all of it."""
    older, younger = part([4] * 550 + [2] * 50), part([2] * 50)
    assert rate([older, younger], span(50)) == 4.0


def test_a_rate_is_that_of_the_last_ten_minutes() -> None:
    assert rate([part([1] * 599, arrivals=10**6)], span(86400)) == 1.0


def test_workers_that_began_together_know_the_rate_of_all_the_time() -> None:
    assert rate([part([1] * 599, arrivals=72_000)], span(7200, is_even=True)) == 10.0


def test_a_second_in_which_nothing_came_is_a_second() -> None:
    assert rate([part([5])], span(100)) == pytest.approx(0.05)


def test_hours_are_known_that_all_workers_ran() -> None:
    """They ran since half past: the first full hour is the next."""
    counted = part(hours=[1800, 7200, 3600], first_hour=HOUR - 3)
    found = by_hour([counted], span(2.5 * 3600))
    first = (HOUR - 2) % 24
    assert found == {first: 2.0, (first + 1) % 24: 1.0}


def test_the_running_hour_is_known_after_ten_minutes() -> None:
    counted = part(hours=[3600, 900], first_hour=HOUR - 1)
    hour = HOUR % 24
    assert hour not in by_hour([counted], span(3600 + 599, NOW + 599))
    assert by_hour([counted], span(3600 + 900, NOW + 900))[hour] == 1.0


def test_days_are_averaged() -> None:
    counted = part(hours=[3600] + [0] * 23 + [10_800], first_hour=HOUR - 25)
    assert by_hour([counted], span(25 * 3600))[(HOUR - 1) % 24] == 2.0


def test_poisson_arrivals_have_a_dispersion_of_one() -> None:
    rng = random.Random(5)
    counts = [0] * 599
    now = 0.0
    while (now := now + rng.expovariate(20.0)) < 599:
        counts[int(now)] += 1
    assert burstiness([part(counts)], span(599)) == pytest.approx(1.0, abs=0.15)


def test_regular_arrivals_have_none() -> None:
    assert burstiness([part([7] * 300)], span(300)) == 0.0


def test_batches_have_the_dispersion_of_their_size() -> None:
    """A Poisson number of batches a second, ten calls in each."""
    rng = random.Random(6)
    counts = [10 * sum(rng.random() < 0.01 for _ in range(200)) for _ in range(599)]
    assert burstiness([part(counts)], span(599)) == pytest.approx(10.0, rel=0.15)


def test_bursts_of_ten_seconds_are_seen() -> None:
    """The rate is 10 or 50 a second for ten seconds each: most of the variance is between windows."""
    rng = random.Random(7)
    counts: list[int] = []
    for _ in range(59):
        mean = rng.choice((10, 50))
        counts += [sum(rng.random() < mean / 1000 for _ in range(1000)) for _ in range(10)]
    assert burstiness([part(counts)], span(590)) > 50


def test_few_arrivals_say_nothing_of_bursts() -> None:
    assert burstiness([part([19])], span(300)) == 1.0
    assert burstiness([part([100, 0, 100])], span(3)) == 1.0
