"""What the broker has to carry and to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastworker.plan.arrivals import HOURS
from fastworker.plan.inputs import Inputs
from fastworker.plan.sizing import drained_class
from fastworker.plan.target import DrainTarget

_DAY_S = 86400.0
#: What is remembered for ever is counted for so long.
SEEN_DAYS = 30


@dataclass(frozen=True)
class BrokerNeeds:
    """Bytes and tasks a second.

    Attributes:
        tasks_per_s: At the peak hour, or while a backlog is drained.
        outage_bytes: Messages of an outage at the peak, or of the backlog that is drained, if that is more.
        results_bytes: Results that are kept.
        seen_bytes: What is remembered for ever, after 30 days or of what is drained.
        commands_per_s, bytes_per_s: What it is asked for, and what goes to and from it, at that; 0: not known.
        shards: Brokers.
        by: What decides their number: ``throughput`` or ``memory``.
    """

    tasks_per_s: float
    outage_bytes: float
    results_bytes: float
    seen_bytes: float
    commands_per_s: float
    bytes_per_s: float
    shards: int
    by: str

    @property
    def bytes(self) -> float:
        """All of it."""
        return self.outage_bytes + self.results_bytes + self.seen_bytes


def needs(inputs: Inputs) -> BrokerNeeds:
    """Work it out."""
    peak = max(inputs.workload(hour).rate for hour in range(HOURS))
    classes = inputs.classes
    outage = sum(
        max(map(each.arrivals.rate_at, range(HOURS)))
        * inputs.headroom.outage_s
        * each.message_bytes
        for each in classes
    )
    results = sum(each.arrivals.rate * each.results_kept_s * each.result_bytes for each in classes)
    seen = sum(each.arrivals.rate * _DAY_S * SEEN_DAYS * each.seen_bytes for each in classes)
    for target in inputs.targets:
        if isinstance(target, DrainTarget):
            each = drained_class(inputs, target)
            peak = max(peak, peak + target.tasks / target.within_s)
            outage = max(outage, target.tasks * each.message_bytes)
            results += (
                target.tasks * each.result_bytes * min(1.0, each.results_kept_s / target.within_s)
            )
            seen += target.tasks * each.seen_bytes
    broker = inputs.broker
    by_rate = math.ceil(peak / (broker.tasks_per_s * broker.most_use) - 1e-9)
    by_memory = math.ceil(
        (outage + results + seen) / (broker.memory_bytes * broker.most_use) - 1e-9
    )
    return BrokerNeeds(
        peak,
        outage,
        results,
        seen,
        peak * broker.commands,
        peak * broker.task_bytes,
        max(1, by_rate, by_memory),
        "memory" if by_memory > by_rate else "throughput",
    )
