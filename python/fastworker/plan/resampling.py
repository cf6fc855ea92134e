"""What else might have been measured: other samples of the same size, so that an interval knows of how many it is.

A bootstrap by Poisson's law: each value is there as often as a Poisson number with the mean that it was seen.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

from fastworker.plan.distributions import Distribution, Empirical, Scaled
from fastworker.plan.workload import Workload

#: From here on a Poisson number is taken for a normal one.
_MANY = 30.0


def resampled(workload: Workload, rng: random.Random) -> Workload:
    """The same with service times as another sample might have had them; those that are given stay as they are."""
    classes = (replace(each, service=_of(each.service, rng)) for each in workload.classes)
    return replace(workload, classes=tuple(classes))


def _of(times: Distribution, rng: random.Random) -> Distribution:
    if isinstance(times, Scaled):
        return Scaled(_of(times.of, rng), times.factor)
    if not isinstance(times, Empirical):
        return times
    drawn = [(value, float(poisson(count, rng))) for value, count in times.rows()]
    # Of a handful of values none may be left, or only zeros.
    return Empirical(drawn) if any(value * count > 0 for value, count in drawn) else times


def poisson(mean: float, rng: random.Random) -> int:
    """A Poisson number."""
    if mean > _MANY:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    number, left, share = 0, rng.random(), math.exp(-mean)
    while left > share and share > 0:
        left -= share
        number += 1
        share *= mean / number
    return number
