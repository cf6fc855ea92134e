"""Which limit binds first: how many times today's peak each of them bears."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fastworker.plan.broker_needs import BrokerNeeds
from fastworker.plan.fleet_wait import wait_for_slots
from fastworker.plan.inputs import Inputs
from fastworker.plan.layout import Layout
from fastworker.plan.sizing import DRAIN_USE, drained_class
from fastworker.plan.target import DrainTarget, WaitTarget
from fastworker.plan.workload import Workload

_MOST = 100.0
_HALVINGS = 30
#: Slots and cores count together where they bind so much sooner than each alone.
_APART = 0.98


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        name: What binds.
        factor: At so many times the peak hour's arrivals; below 1: it binds now.
        note: What that means.
    """

    name: str
    factor: float
    note: str


def limits(inputs: Inputs, workload: Workload, layout: Layout, broker: BrokerNeeds) -> list[Limit]:
    """All limits of a fleet, the first to bind first."""
    nodes = layout.nodes
    found = [
        Limit(
            "slots",
            nodes * layout.slots / workload.slot_load if workload.slot_load else math.inf,
            f"{nodes * layout.slots} slots are all busy",
        ),
        Limit(
            "broker throughput",
            broker.shards * inputs.broker.tasks_per_s / broker.tasks_per_s,
            f"{broker.shards} x {inputs.broker.tasks_per_s:,.0f} tasks/s",
        ),
        Limit(
            "broker memory",
            broker.shards * inputs.broker.memory_bytes / broker.bytes if broker.bytes else math.inf,
            "an outage, and all that is kept, fill it",
        ),
    ]
    if workload.cpu_load > 0:
        cores = nodes * layout.cores
        found.append(Limit("cores", cores / workload.cpu_load, f"{cores:g} cores are all busy"))
        both = 1 / workload.utilisation(layout)
        if both < _APART * min(each.factor for each in found if each.name in ("slots", "cores")):
            note = "tasks that compute at once are in each other's way, and others leave cores idle"
            found.append(Limit("slots that share cores", both, note))
    for target in inputs.targets:
        found.append(
            _wait(workload, layout, target)
            if isinstance(target, WaitTarget)
            else _drain(inputs, target)
        )
    for each in workload.classes:
        if each.limit is not None and each.rate > 0:
            over = each.limit.over(each.rate)
            share = sum(each.limit.share(rank) for rank in range(1, over + 1))
            found.append(
                Limit(
                    f"limit for each key of {each.name}",
                    each.limit.most() / each.rate,
                    f"{over:,} keys with {share:.0%} of the tasks are over it now; "
                    f"{each.limit.throughput(each.rate):,.1f} of {each.rate:,.1f}/s get a permit"
                    if over
                    else "the largest key is at its limit",
                )
            )
    return sorted(found, key=lambda each: each.factor)


def _wait(workload: Workload, layout: Layout, target: WaitTarget) -> Limit:
    def holds(factor: float) -> bool:
        law = wait_for_slots(workload.times(factor), layout)
        return law.quantile(target.share) <= target.within_s

    return Limit(str(target), largest(holds), "by formula, with all nodes")


def _drain(inputs: Inputs, target: DrainTarget) -> Limit:
    limit = drained_class(inputs, target).limit
    if limit is None:
        return Limit(str(target), 1 / DRAIN_USE, "as many slots as it needs")
    takes_s = limit.drain_s(target.tasks)
    note = f"the largest key, with {limit.share(1):.1%} of the tasks, takes {takes_s / 3600:,.1f} h"
    return Limit(f"limit for each key: {target}", target.within_s / takes_s, note)


def largest(holds: Callable[[float], bool]) -> float:
    """The largest factor that holds; 0 when none does."""
    if holds(_MOST):
        return _MOST
    low, high = 0.0, _MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
