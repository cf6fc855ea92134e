"""How far the speed of a machine wanders between one measurement and another.

Clock rates change, a hypervisor gives cores to others, a dependency has better and worse minutes. What repeated
measurements of the same work differ by, beyond what so many random times differ by anyway, is taken for that.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

from fastworker.plan.distributions import Scaled
from fastworker.plan.workload import Workload


def drift_of(repeats: Sequence[tuple[float, float]], scv: float) -> float | None:
    """The standard deviation of the speed in another run, relative to the mean of the repeats.

    Args:
        repeats: Mean time of a task in each, and of how many tasks.
        scv: Of the times of single tasks.

    Returns:
        None: one repeat says nothing. 0: they differ by no more than chance.
    """
    counted = [(mean, count) for mean, count in repeats if mean > 0 and count > 0]
    if len(counted) < 2:
        return None
    means = [mean for mean, _ in counted]
    by_chance = statistics.fmean(scv / count for _, count in counted)
    seen = statistics.variance(means) / statistics.fmean(means) ** 2
    # The mean of a few repeats wanders too.
    return math.sqrt(max(0.0, seen - by_chance) * (1 + 1 / len(counted)))


def drifted(workload: Workload, drift: float, rng: random.Random) -> Workload:
    """The same at the speed of another moment: every time longer or shorter by the same factor."""
    if drift <= 0:
        return workload
    factor = math.exp(rng.gauss(0.0, drift))
    overhead = workload.overhead
    return replace(
        workload,
        classes=tuple(
            replace(each, service=Scaled(each.service, factor)) for each in workload.classes
        ),
        overhead=replace(
            overhead,
            start_s=overhead.start_s * factor,
            slot_s=overhead.slot_s * factor,
            cpu_s=overhead.cpu_s * factor,
        ),
    )
