"""What a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass

from fastworker.plan.arrivals import HOURS, Arrivals
from fastworker.plan.figure import Figure
from fastworker.plan.keyed import KeyedLimit
from fastworker.plan.layout import Layout
from fastworker.plan.service_times import ServiceTimes
from fastworker.plan.target import Target
from fastworker.plan.workload import Class, Overhead, Workload


@dataclass(frozen=True)
class ClassInput:
    """Tasks of one kind, over a day.

    Attributes:
        task: Its name.
        arrivals: How they come.
        service: How long one runs.
        cpu_share: What part of that is computing, from 0 to 1.
        limit: A limit for each key.
        message_bytes: What a waiting message takes up in the broker.
        result_bytes: What a stored result takes up; 0: none is stored.
        results_kept_s: How long it is kept.
        seen_bytes: What is remembered for ever of each task (a crawl's seen addresses); 0: nothing.
    """

    task: str
    arrivals: Arrivals
    service: ServiceTimes
    cpu_share: float
    limit: KeyedLimit | None
    message_bytes: float
    result_bytes: float
    results_kept_s: float
    seen_bytes: float

    def at(self, hour: int) -> Class:
        """As it is in an hour of the day."""
        return Class(
            self.task,
            self.arrivals.rate_at(hour),
            self.arrivals.scv,
            self.service.times,
            self.cpu_share,
            self.limit,
        )


@dataclass(frozen=True)
class Node:
    """A worker node.

    Attributes:
        slots: Tasks that it runs at once.
        cores: Processor cores.
        memory_bytes: What it has.
        base_bytes: What a worker takes up without slots.
        slot_bytes: What each slot adds.
        price: Of an hour, in any currency; 0: not said.
        pool: What runs tasks; None: not said.
        drift: By how much its speed wanders between one hour and another, relative standard deviation.
    """

    slots: int
    cores: float
    memory_bytes: float
    base_bytes: float
    slot_bytes: float
    price: float
    pool: str | None = None
    drift: float = 0.0


@dataclass(frozen=True)
class Broker:
    """A broker.

    Attributes:
        kind: ``redis`` or ``rabbitmq``.
        tasks_per_s: What one shard carries when it does nothing else.
        memory_bytes: What one has.
        most_use: The share of either that is planned with.
        price: Of an hour of a shard; 0: not said.
        commands, task_bytes: That each task asks of it, and sends to and from it; 0: not known.
    """

    kind: str
    tasks_per_s: float
    memory_bytes: float
    most_use: float
    price: float
    commands: float = 0.0
    task_bytes: float = 0.0


@dataclass(frozen=True)
class Headroom:
    """What must not matter.

    Attributes:
        nodes_lost: So many nodes fail at the peak, and the target holds.
        deploy_share: The share of slots that a deploy takes away…
        deploy_s: …for so long.
        outage_s: No worker runs for so long, and the backlog fits into the broker.
    """

    nodes_lost: int
    deploy_share: float
    deploy_s: float
    outage_s: float


@dataclass(frozen=True)
class Inputs:
    """Everything, and where each number comes from.

    Attributes:
        figures: Every number.
        warnings: What to know of where they come from.
    """

    classes: tuple[ClassInput, ...]
    targets: tuple[Target, ...]
    node: Node
    broker: Broker
    headroom: Headroom
    overhead: Overhead
    figures: tuple[Figure, ...]
    warnings: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        """One node."""
        return Layout(1, self.node.slots, self.node.cores, drift=self.node.drift)

    def workload(self, hour: int) -> Workload:
        """What there is to do in an hour of the day."""
        return Workload(tuple(each.at(hour) for each in self.classes), self.overhead)

    @property
    def peak_hour(self) -> int:
        """The hour with the most work, in slots."""
        return max(range(HOURS), key=lambda hour: self.workload(hour).slot_load)
