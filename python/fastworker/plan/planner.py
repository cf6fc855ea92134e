"""The plan itself: inputs in, every number of the answer out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fastworker.plan import sizing
from fastworker.plan.autoscale import Alert, Autoscale, alerts, autoscale, keda_yaml
from fastworker.plan.broker_needs import BrokerNeeds, needs
from fastworker.plan.fleet_wait import wait_in_all
from fastworker.plan.inputs import Inputs
from fastworker.plan.layout import Layout
from fastworker.plan.limits import Limit, limits
from fastworker.plan.replicas import Simulated, simulate
from fastworker.plan.sizing import Size
from fastworker.plan.target import DrainTarget, WaitTarget
from fastworker.plan.workload import Workload

_MONTH_H = 730.0
#: A wait target that only says when an autoscaler acts, where a plan has none.
_ANY_WAIT = WaitTarget(0.95, 60.0)
SLOWER = 1.5
MORE = 1.2


@dataclass(frozen=True)
class Waits:
    """One situation, seen by formula and by simulation.

    Attributes:
        name: Which.
        nodes: Of the fleet.
        p50_s, p95_s, p99_s: By formula; infinite: it never ends.
        simulated: By simulation; None: it never ends.
        needed: Nodes that the first wait target needs there by formula; None: there is no such target.
    """

    name: str
    nodes: int
    p50_s: float
    p95_s: float
    p99_s: float
    simulated: Simulated | None
    needed: int | None

    def formula(self, share: float) -> float:
        """The wait by formula."""
        return {0.5: self.p50_s, 0.95: self.p95_s, 0.99: self.p99_s}[share]


@dataclass(frozen=True)
class Plan:
    """A plan.

    Attributes:
        inputs: What it was made from.
        peak_hour: The hour of the day that it is made for.
        workload: What there is to do then.
        sizes: Nodes for each target.
        nodes: With headroom.
        needed: Without.
        limits: The first to bind first.
        situations: As planned, and what may come.
        broker: What the broker needs.
        scale: Autoscaler settings.
        alerts: Thresholds.
        keda: YAML.
        price_per_month: Of nodes and brokers; 0: prices were not said.
        warnings: What to look at.
    """

    inputs: Inputs
    peak_hour: int
    workload: Workload
    sizes: tuple[Size, ...]
    nodes: int
    needed: int
    limits: tuple[Limit, ...]
    situations: tuple[Waits, ...]
    broker: BrokerNeeds
    scale: Autoscale
    alerts: tuple[Alert, ...]
    keda: str
    price_per_month: float
    warnings: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        """The planned fleet."""
        return self.inputs.layout.with_nodes(self.nodes)

    @property
    def slots_busy(self) -> float:
        """Share of the slots at the peak hour."""
        return self.workload.slot_load / (self.nodes * self.inputs.node.slots)

    @property
    def cores_busy(self) -> float:
        """Share of the cores at the peak hour."""
        return self.workload.cpu_load / (self.nodes * self.inputs.node.cores)


def make(inputs: Inputs, seed: int = 1, say: Callable[[str], None] = lambda _text: None) -> Plan:
    """Make a plan.

    Args:
        inputs: What is known.
        seed: Of the simulation: the same gives the same plan.
        say: Told what is being done; it takes some seconds.

    Raises:
        ImproperlyConfigured: A target that cannot be reached with any number of nodes.
    """
    hour = inputs.peak_hour
    peak = inputs.workload(hour)
    sizes = []
    for target in inputs.targets:
        say(f"sizing for {target}")
        if isinstance(target, DrainTarget):
            sizes.append(sizing.for_drain(inputs, target))
        else:
            sizes.append(sizing.for_wait(peak, inputs.layout, target, seed))
    needed = max(size.nodes for size in sizes)
    waits = [target for target in inputs.targets if isinstance(target, WaitTarget)]
    wait = min(waits, key=lambda each: each.within_s) if waits else None
    nodes = sizing.with_headroom(inputs, peak, needed, (wait or _ANY_WAIT).within_s)
    layout = inputs.layout.with_nodes(nodes)
    broker = needs(inputs)
    bound = limits(inputs, peak, layout, broker)
    bears = next((each.factor for each in bound if wait and each.name == str(wait)), 1.0)
    scale = autoscale(inputs, wait or _ANY_WAIT, nodes)
    price = nodes * inputs.node.price + broker.shards * inputs.broker.price
    return Plan(
        inputs,
        hour,
        peak,
        tuple(sizes),
        nodes,
        needed,
        tuple(bound),
        tuple(_situations(inputs, peak, nodes, wait, seed, say)),
        broker,
        scale,
        tuple(alerts(inputs, wait or _ANY_WAIT, nodes, bears)),
        keda_yaml(inputs, scale),
        price * _MONTH_H,
        tuple(_warnings(inputs)),
    )


def _situations(
    inputs: Inputs,
    peak: Workload,
    nodes: int,
    wait: WaitTarget | None,
    seed: int,
    say: Callable[[str], None],
) -> list[Waits]:
    lost = max(1, inputs.headroom.nodes_lost)
    cases = [
        ("as planned", peak, nodes),
        (f"{lost} node{'s' if lost > 1 else ''} lost", peak, nodes - lost),
        ("20 % more tasks", peak.times(MORE), nodes),
        (f"dependencies {SLOWER:g} times as slow", peak.slower(SLOWER), nodes),
    ]
    return [
        situation(inputs, name, workload, count, wait, seed, say)
        for name, workload, count in cases
        if count > 0
    ]


def situation(
    inputs: Inputs,
    name: str,
    workload: Workload,
    nodes: int,
    wait: WaitTarget | None,
    seed: int = 1,
    say: Callable[[str], None] = lambda _text: None,
) -> Waits:
    """Waits of a workload on so many nodes."""
    say(f"simulating: {name}")
    layout = inputs.layout.with_nodes(nodes)
    law = wait_in_all(workload, layout)
    is_too_much = workload.utilisation(layout) >= 1
    return Waits(
        name,
        nodes,
        law.quantile(0.5),
        law.quantile(0.95),
        law.quantile(0.99),
        None if is_too_much else simulate(workload, layout, seed=seed),
        sizing.nodes_by_formula(workload, inputs.layout, wait) if wait else None,
    )


def _warnings(inputs: Inputs) -> list[str]:
    found = list(inputs.warnings)
    node = inputs.node
    taken = node.base_bytes + node.slots * node.slot_bytes
    if taken > node.memory_bytes:
        found.append(
            f"{node.slots} slots of {node.slot_bytes / 1e6:,.0f} MB and the worker take up {taken / 1e9:,.1f} GB of "
            f"a node's {node.memory_bytes / 1e9:,.1f} GB: fewer slots, or larger nodes"
        )
    for each in inputs.classes:
        if each.service.times.scv > 20:
            found.append(
                f"{each.task}: service times vary so much (SCV {each.service.times.scv:,.0f}) that a few long tasks "
                "decide; a queue and nodes of their own keep them from the others"
            )
        count = getattr(each.service.times, "count", math.inf)
        if count < 200:
            found.append(f"{each.task}: {count:,.0f} service times say little about a p95")
    return found
