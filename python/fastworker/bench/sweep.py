"""``fastworker bench sweep``: the same closed loop at each place of a grid, in interleaved rounds.

A machine drifts. So every round visits all places, in an order of its own; a figure is the median of the rounds. Each
visit has workers that were just started, warms them up and measures once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker.bench import machine
from fastworker.bench.axes import Axis, Point, points
from fastworker.bench.phase import Phase, Progress
from fastworker.bench.run import addressed, broker_facts, own_queue, staged
from fastworker.bench.settings import BenchSettings
from fastworker.bench.sweep_report import document
from fastworker.bench.usl import need_scipy

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@dataclass(frozen=True)
class SweepSettings:
    """One run of ``fastworker bench sweep``.

    Attributes:
        base: What all places have in common; a closed loop.
        axes: One or two.
    """

    base: BenchSettings
    axes: Sequence[Axis]


def sweep(app: FastWorker, settings: SweepSettings, progress: Progress) -> dict[str, Any]:
    """Measure.

    Args:
        app: The application whose tasks are called.
        settings: How, and what is varied.
        progress: Told of each visit before it begins.

    Returns:
        The content of a sweep's file.

    Raises:
        BenchError: It could not be measured, or an axis does not go with the rest.
        OperationalError, ImproperlyConfigured: The broker or the application cannot be used.
    """
    base = settings.base
    if any(axis.kind.is_scale for axis in settings.axes):
        need_scipy()
    places = list(points(settings.axes))
    each = {point: point.settings(base) for point in places}
    facts = machine.fingerprint()
    visits: dict[Point, list[Phase]] = {point: [] for point in places}
    broker: dict[str, Any] = {}
    queue = own_queue()
    order, rng = random.Random(base.seed), random.Random(base.seed)
    with addressed(app, base, queue) as place:
        for number in range(base.repeats):
            for point in order.sample(places, len(places)):
                with staged(app, each[point], queue, place) as stage:
                    done = sum(map(len, visits.values()))
                    all_visits = len(places) * base.repeats
                    where = f"round {number + 1} of {base.repeats}, {point}"
                    stage.watch = progress(f"{where} ({done + 1} of {all_visits})")
                    visits[point].append(
                        stage.closed("measure", number, base.duration_s, rng, base.warm_up_s)
                    )
                    broker = broker or broker_facts(stage, place)
    return document(base, settings.axes, visits, facts, broker)
