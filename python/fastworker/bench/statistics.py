"""Few samples, honestly: a median with its confidence interval, and whether two sets of samples differ."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

#: Of intervals, and of what counts as significant.
LEVEL = 0.95
_RESAMPLES = 4000
#: The exact test looks at every division of the samples: beyond this it draws some.
_MOST_DIVISIONS = 20_000


@dataclass(frozen=True)
class Estimate:
    """A median.

    Attributes:
        median: Of the samples.
        low, high: Bootstrap interval of the median (percentiles, 95 %). With fewer than five samples it is their range,
            whatever level that is.
        samples: In order.
    """

    median: float
    low: float
    high: float
    samples: tuple[float, ...]


def estimate(samples: Sequence[float]) -> Estimate:
    """The median and its interval; the same samples give the same interval.

    Raises:
        ValueError: No samples.
    """
    if not samples:
        raise ValueError("estimate: no samples; expected at least one")
    median = statistics.median(samples)
    if len(samples) < 5:
        return Estimate(median, min(samples), max(samples), tuple(samples))
    rng, count = random.Random(len(samples)), len(samples)
    drawn = (sorted(rng.choices(samples, k=count)) for _ in range(_RESAMPLES))
    medians = sorted((draw[(count - 1) // 2] + draw[count // 2]) / 2 for draw in drawn)
    tail = (1 - LEVEL) / 2
    low, high = medians[int(tail * _RESAMPLES)], medians[int((1 - tail) * _RESAMPLES) - 1]
    return Estimate(median, low, high, tuple(samples))


def p_value(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely means at least so different are if both came from the same source: a permutation test, two-sided.

    Exact while there are at most 20,000 ways to divide the samples, else of so many drawn at random. With 3 and 3
    samples it is never below 0.1, with 4 and 4 never below 0.029: three repeats cannot show anything at the 5 % level.

    Raises:
        ValueError: One of them is empty.
    """
    if not one or not other:
        raise ValueError("p_value: no samples; expected at least one of each")
    pool = [*one, *other]
    total, size = math.fsum(pool), len(one)

    def gap(part: float) -> float:
        return abs(part / size - (total - part) / len(other))

    seen = gap(math.fsum(one)) * (1 - 1e-12)
    if math.comb(len(pool), size) <= _MOST_DIVISIONS:
        gaps = [gap(math.fsum(part)) for part in combinations(pool, size)]
        return sum(one_gap >= seen for one_gap in gaps) / len(gaps)
    rng = random.Random(len(pool))
    gaps = [gap(math.fsum(rng.sample(pool, size))) for _ in range(_MOST_DIVISIONS)]
    # What was seen is one of the divisions.
    return (1 + sum(one_gap >= seen for one_gap in gaps)) / (1 + len(gaps))
