"""Simulating the same hour again and again: what to expect, and how far one run may lie from it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.plan.drift import drifted
from fastworker.plan.layout import Layout
from fastworker.plan.resampling import resampled
from fastworker.plan.simulation import play
from fastworker.plan.utilisation import utilisation
from fastworker.plan.workload import Workload

#: Runs of a plan: their spread is judged by ranks.
REPLICAS = 20
#: Tasks that a run has at most; the window that is simulated is shortened to that.
MOST_TASKS = 20_000
#: The window that is asked for, in seconds: the peak hour.
HOUR_S = 3600.0
#: The queue has forgotten how it began after so many times the time that a disturbance lives.
_FORGOTTEN = 6.0
#: A run is warmed up for at most so many times its own length.
_MOST_WARMING = 2.0


@dataclass(frozen=True)
class Spread:
    """A figure over all runs.

    Attributes:
        median: Of the runs.
        low, high: Nine in ten runs lie between them.
    """

    median: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies within the spread."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Simulated:
    """What runs of one length show.

    Attributes:
        p50_s, p95_s, p99_s, mean_s: Waits.
        slots: Share of the time that slots were taken.
        cores: Share of the time that cores were busy with tasks.
        tasks: Mean number of tasks in a run, warm-up excluded.
        span_s: A run's length.
        replicas: How many runs.
    """

    p50_s: Spread
    p95_s: Spread
    p99_s: Spread
    mean_s: Spread
    slots: Spread
    cores: Spread
    tasks: float
    span_s: float
    replicas: int

    def quantile(self, share: float) -> Spread:
        """The wait at one of the shares that are kept: 0.5, 0.95 or 0.99."""
        return {0.5: self.p50_s, 0.95: self.p95_s, 0.99: self.p99_s}[share]


def simulate(
    workload: Workload,
    layout: Layout,
    *,
    span_s: float | None = None,
    warm_up_s: float | None = None,
    replicas: int = REPLICAS,
    most_tasks: int | None = None,
    seed: int = 1,
    coverage: float = 0.9,
) -> Simulated:
    """Simulate runs of a length.

    Args:
        workload: What arrives.
        layout: The fleet.
        span_s: Length of a run, warm-up excluded. None: an hour, or what brings ``most_tasks``.
        warm_up_s: What is played before. None: until the queue has forgotten that it began empty.
        replicas: How many runs.
        most_tasks: See ``span_s``. None: ``MOST_TASKS``.
        seed: The same seed gives the same figures.
        coverage: The share of runs that lie in a spread.
    """
    if span_s is None:
        span_s = min(HOUR_S, (most_tasks or MOST_TASKS) / max(workload.rate, 1e-9))
    if warm_up_s is None:
        relaxed_s = relaxation_s(workload, workload.layout_for(layout))
        warm_up_s = min(_MOST_WARMING * span_s, _FORGOTTEN * relaxed_s)
    runs = []
    for number in range(replicas):
        rng = random.Random(seed * 1_000_003 + number)
        like_it = drifted(resampled(workload, rng), layout.drift, rng)
        runs.append(_run(like_it, like_it.layout_for(layout), warm_up_s, span_s, rng))
    columns = list(zip(*runs, strict=True))
    p50, p95, p99, mean, slots, cores = (_spread(column, coverage) for column in columns[:6])
    tasks = math.fsum(columns[6]) / replicas
    return Simulated(p50, p95, p99, mean, slots, cores, tasks, span_s, replicas)


def relaxation_s(workload: Workload, layout: Layout) -> float:
    """How long a disturbance lives: the service time, divided by the square of what is left free."""
    stream = workload.stream()
    per_node = stream.rate / layout.nodes
    rho = utilisation(
        per_node * stream.service_s, per_node * stream.cpu_s, layout.slots, layout.cores
    )
    free = max(0.02, 1 - rho)
    computing = stream.cpu_s / stream.service_s if stream.service_s > 0 else 0.0
    servers = layout.nodes * min(layout.slots, max(1.0, layout.cores / max(computing, 1e-9)))
    spread = (stream.arrival_scv + stream.service_scv) / 2
    queue_s = stream.service_s * max(1.0, spread) / servers / free**2
    return max(stream.service_s, queue_s)


def _run(
    workload: Workload, layout: Layout, warm_up_s: float, span_s: float, rng: random.Random
) -> tuple[float, ...]:
    jobs = workload.draw(warm_up_s + span_s, rng)
    played = play(jobs, layout, rng, warm_up_s)
    start_s = workload.overhead.start_s
    waits = sorted(
        wait + start_s
        for wait, ready, waited in zip(played.waits_s, jobs.ready_s, jobs.wait_s, strict=True)
        if ready - waited >= warm_up_s
    )
    if not waits:
        return (0.0,) * 7
    slots = played.busy_slots_s / max(1e-9, played.span_s * layout.nodes * layout.slots)
    cores = played.busy_cores_s / max(1e-9, played.span_s * layout.nodes * layout.cores)
    return (
        *(quantile(waits, share) for share in (0.5, 0.95, 0.99)),
        math.fsum(waits) / len(waits),
        slots,
        cores,
        float(len(waits)),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _spread(values: Sequence[float], coverage: float) -> Spread:
    ordered = sorted(values)
    outside = (1 - coverage) / 2
    return Spread(
        quantile(ordered, 0.5), quantile(ordered, outside), quantile(ordered, 1 - outside)
    )
