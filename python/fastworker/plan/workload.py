"""What a fleet has to do in one hour: classes of tasks that share its slots."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from fastworker.plan import arrivals
from fastworker.plan.distributions import Distribution, Mixture, Scaled
from fastworker.plan.keyed import KeyedLimit, permits
from fastworker.plan.layout import Layout
from fastworker.plan.simulation import Jobs
from fastworker.plan.utilisation import utilisation
from fastworker.plan.wait_formula import Stream


@dataclass(frozen=True)
class Class:
    """Tasks of one kind.

    Attributes:
        name: The task.
        rate: Arrivals a second in this hour.
        arrival_scv: Of the times between them.
        service: How long one runs while nothing else is in its way.
        cpu_share: What part of it is computing.
        limit: A limit for each key, if there is one.
    """

    name: str
    rate: float
    arrival_scv: float
    service: Distribution
    cpu_share: float = 0.0
    limit: KeyedLimit | None = None

    @property
    def cpu_s(self) -> float:
        """Mean processor time of a task."""
        return self.service.mean_s * self.cpu_share

    def slower(self, factor: float) -> Class:
        """The same with all that is not computing ``factor`` times as long."""
        longer = self.cpu_share + (1 - self.cpu_share) * factor
        if longer == 1:
            return self
        return replace(
            self, service=Scaled(self.service, longer), cpu_share=self.cpu_share / longer
        )


@dataclass(frozen=True)
class Overhead:
    """What the worker itself adds.

    Attributes:
        start_s: From publishing to the start of a task on an idle fleet: part of every wait.
        slot_s: For which a slot is taken beyond a task's own time.
        cpu_s: Processor time for each task outside of it: the parent's, and the broker's if it is on the node.
    """

    start_s: float = 0.0
    slot_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Workload:
    """Classes that share a fleet, first come, first served.

    Attributes:
        classes: At least one.
        overhead: Of every task.
    """

    classes: tuple[Class, ...]
    overhead: Overhead = Overhead()

    @property
    def rate(self) -> float:
        """Arrivals a second of all classes."""
        return sum(each.rate for each in self.classes)

    @property
    def cpu_load(self) -> float:
        """Cores that computing keeps busy, the worker's own included."""
        return (
            sum(each.rate * each.cpu_s for each in self.classes) + self.rate * self.overhead.cpu_s
        )

    @property
    def slot_load(self) -> float:
        """Slots that are taken on average while nothing is in a task's way."""
        return sum(
            each.rate * (each.service.mean_s + self.overhead.slot_s) for each in self.classes
        )

    def utilisation(self, layout: Layout) -> float:
        """The share of what a fleet can do that this asks for; from 1 on it is too much."""
        nodes = layout.nodes
        return utilisation(
            self.slot_load / nodes, self.cpu_load / nodes, layout.slots, layout.cores
        )

    def times(self, factor: float) -> Workload:
        """The same with ``factor`` times the arrivals."""
        more = tuple(replace(each, rate=each.rate * factor) for each in self.classes)
        return replace(self, classes=more)

    def slower(self, factor: float) -> Workload:
        """The same with slower dependencies: what is not computing takes ``factor`` times as long."""
        return replace(self, classes=tuple(each.slower(factor) for each in self.classes))

    def stream(self) -> Stream:
        """As the formula sees it: one stream of all classes.

        What has waited for its permit arrives at the slots as regularly as Poisson arrivals, or more so.
        """
        running = [each for each in self.classes if each.rate > 0]
        if not running:
            return Stream(0.0, 1.0, 0.0, 1.0, 6.0)
        rates = [each.limit.throughput(each.rate) if each.limit else each.rate for each in running]
        total = sum(rates)
        mixed = Mixture([(rate, each.service) for rate, each in zip(rates, running, strict=True)])
        service_s = mixed.mean_s + self.overhead.slot_s
        shorter = mixed.mean_s / service_s
        scv = mixed.scv * shorter**2
        # Third moment of a time plus a constant, by its central moments.
        skew = (mixed.third - 3 * (mixed.scv + 1) + 2) * shorter**3
        scvs = [min(1.0, each.arrival_scv) if each.limit else each.arrival_scv for each in running]
        return Stream(
            total,
            arrivals.superposed_scv(list(zip(rates, scvs, strict=True))),
            service_s,
            scv,
            skew + 3 * (scv + 1) - 2,
            sum(rate * each.cpu_s for rate, each in zip(rates, running, strict=True)) / total,
        )

    def layout_for(self, layout: Layout) -> Layout:
        """A fleet with the cores that the worker itself leaves to tasks."""
        own = self.rate * self.overhead.cpu_s / layout.nodes
        return replace(layout, cores=max(1e-6, layout.cores - own))

    def draw(self, span_s: float, rng: random.Random) -> Jobs:
        """Tasks that arrive within ``span_s``, in the order in which they may start."""
        rows: list[tuple[float, float, float, float]] = []
        for each in self.classes:
            if each.rate > 0:
                rows.extend(self._draw_class(each, span_s, rng))
        rows.sort()
        ready, waited, cpu, idle = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Jobs(ready, waited, cpu, idle)

    def _draw_class(
        self, each: Class, span_s: float, rng: random.Random
    ) -> list[tuple[float, float, float, float]]:
        gap = arrivals.gaps(each.rate, each.arrival_scv, rng)
        moments: list[float] = []
        # A stationary stream is seen from the middle of a gap, not from an arrival.
        now = gap() * rng.random()
        while now < span_s:
            moments.append(now)
            now += gap()
        sample, share, slot_s = each.service.sample, each.cpu_share, self.overhead.slot_s
        pairs = permits(each.limit, moments, rng) if each.limit else ((at, 0.0) for at in moments)
        rows = []
        for at, waited in pairs:
            time_s = sample(rng)
            rows.append((at, waited, time_s * share, time_s * (1 - share) + slot_s))
        return rows
