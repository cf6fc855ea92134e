"""How many nodes: by formula first, then looked at by simulation, then with room for what fails."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fastworker.errors import ImproperlyConfigured
from fastworker.plan.fleet_wait import wait_for_slots
from fastworker.plan.inputs import ClassInput, Inputs
from fastworker.plan.layout import Layout
from fastworker.plan.replicas import simulate
from fastworker.plan.target import DrainTarget, WaitTarget
from fastworker.plan.utilisation import utilisation
from fastworker.plan.workload import Workload

MOST_NODES = 10_000
#: The simulation is asked about so many fleets at most, with shorter runs than those of the plan.
_LOOKS = 8
_LOOK_TASKS = 4_000
_LOOK_REPLICAS = 8
#: Slots and cores are never all busy while a backlog is drained.
DRAIN_USE = 0.95


@dataclass(frozen=True)
class Size:
    """Nodes that a target needs.

    Attributes:
        target: Which, in words.
        by_formula: Nodes by formula.
        by_simulation: Nodes by simulation; None: it was not asked.
        note: What else there is to say.
    """

    target: str
    by_formula: int
    by_simulation: int | None
    note: str = ""

    @property
    def nodes(self) -> int:
        """What is planned with."""
        return self.by_formula if self.by_simulation is None else self.by_simulation


def for_wait(workload: Workload, layout: Layout, target: WaitTarget, seed: int = 1) -> Size:
    """The fewest nodes with which most tasks start in time.

    Args:
        workload: What comes at the peak.
        layout: One node.
        target: The wait. It is that for a slot: more nodes do not make permits come sooner.
        seed: Of the simulation.
    """
    by_formula = nodes_by_formula(workload, layout, target)
    free = _without_limits(workload)

    def holds(nodes: int) -> bool:
        found = simulate(
            free,
            layout.with_nodes(nodes),
            most_tasks=_LOOK_TASKS,
            replicas=_LOOK_REPLICAS,
            seed=seed,
        )
        return found.quantile(target.share).median <= target.within_s

    least = _least(workload, layout)
    nodes, is_enough = by_formula, holds(by_formula)
    for _ in range(_LOOKS):
        if is_enough and (nodes <= least or not holds(nodes - 1)):
            break
        nodes += -1 if is_enough else 1
        is_enough = is_enough or holds(nodes)
    return Size(str(target), by_formula, nodes)


def nodes_by_formula(workload: Workload, layout: Layout, target: WaitTarget) -> int:
    """The same by formula alone.

    Raises:
        ImproperlyConfigured: No number of nodes would do.
    """
    if target.within_s <= workload.overhead.start_s:
        raise ImproperlyConfigured(
            f"target {str(target)!r}: a start on an idle fleet takes {workload.overhead.start_s:g} s already "
            "(overhead.start)"
        )

    def holds(nodes: int) -> bool:
        law = wait_for_slots(workload, layout.with_nodes(nodes))
        return law.quantile(target.share) <= target.within_s

    low, high = _least(workload, layout) - 1, max(1, _least(workload, layout))
    while not holds(high):
        low, high = high, high * 2
        if high > MOST_NODES:
            raise ImproperlyConfigured(
                f"target {str(target)!r}: more than {MOST_NODES:,} nodes: expected fewer tasks, shorter ones, or "
                "larger nodes"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def for_drain(inputs: Inputs, target: DrainTarget) -> Size:
    """The fewest nodes that get through a backlog in time, beside what arrives on an average day.

    Raises:
        ImproperlyConfigured: The target's class is not among those of the plan.
    """
    each = drained_class(inputs, target)
    per_s = target.tasks / target.within_s
    overhead = inputs.overhead
    times = each.service.times
    slots = cores = 0.0
    for one in inputs.classes:
        rate = one.arrivals.rate + (per_s if one is each else 0.0)
        slots += rate * (one.service.times.mean_s + overhead.slot_s)
        cores += rate * (one.service.times.mean_s * one.cpu_share + overhead.cpu_s)
    whole = utilisation(slots, cores, inputs.node.slots, inputs.node.cores)
    nodes = math.ceil(whole / DRAIN_USE - 1e-9)
    note = ""
    if each.limit is not None:
        least_s = each.limit.drain_s(target.tasks)
        note = f"the largest key alone takes {least_s / 3600:,.1f} h"
        if least_s > target.within_s:
            note += ": no number of workers makes it"
    return Size(str(target), max(1, nodes), None, note or f"{per_s:,.0f}/s of {times.mean_s:g} s")


def drained_class(inputs: Inputs, target: DrainTarget) -> ClassInput:
    """The class that a target speaks of.

    Raises:
        ImproperlyConfigured: There is none of that name.
    """
    if target.task is None:
        return inputs.classes[0]
    for each in inputs.classes:
        if each.task == target.task:
            return each
    raise ImproperlyConfigured(
        f"target {str(target)!r}: no class {target.task!r}; expected one of "
        f"{', '.join(each.task for each in inputs.classes)}"
    )


def with_headroom(inputs: Inputs, workload: Workload, nodes: int, within_s: float) -> int:
    """Nodes so that what fails, and a deploy, do not matter.

    A deploy takes slots away for a time. If too few are left, a backlog grows; it may become as long as the target.
    """
    room = inputs.headroom
    total = nodes + room.nodes_lost
    while _deploy_wait_s(inputs, workload, total) > within_s:
        total += 1
    return total


def _deploy_wait_s(inputs: Inputs, workload: Workload, nodes: int) -> float:
    room, node = inputs.headroom, inputs.node
    left = nodes * (1 - room.deploy_share)
    one = utilisation(workload.slot_load, workload.cpu_load, node.slots, node.cores)
    return max(0.0, one / left - 1) * room.deploy_s


def _least(workload: Workload, layout: Layout) -> int:
    """Fewer nodes would never get through."""
    stream = workload.stream()
    slots = stream.rate * stream.service_s
    cores = stream.rate * stream.cpu_s + workload.rate * workload.overhead.cpu_s
    return max(1, math.floor(utilisation(slots, cores, layout.slots, layout.cores)) + 1)


def _without_limits(workload: Workload) -> Workload:
    """What comes to the slots: those of a limited class that have a permit, evenly enough for Poisson."""
    return replace(
        workload,
        classes=tuple(
            each
            if each.limit is None
            else replace(
                each,
                rate=each.limit.throughput(each.rate),
                arrival_scv=min(1.0, each.arrival_scv),
                limit=None,
            )
            for each in workload.classes
        ),
    )
