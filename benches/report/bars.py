"""The bars: what fastworker promises to reach against Celery, and whether the data says so.

A bar compares two metrics round by round and takes the median of the ratios. Where Celery was
measured with early and with late acknowledgement, the better of the two (by median) is the peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benches.harness.stats import Summary, pairwise_ratios, summarise
from fastworker.bench.rivals import catalogue
from fastworker.bench.rivals.catalogue import CELERY_GEVENT, CELERY_THREADS

CELERY = ("celery-late", "celery-early")
CELERY_WAITING = (CELERY_GEVENT.name, CELERY_THREADS.name)
RIVALS = tuple(one.name for one in catalogue.RIVALS)
POOLS = ("prefork", "threads", "solo", "asyncio", "gevent", "eventlet")


@dataclass(frozen=True)
class Bar:
    """One promise.

    Attributes:
        title: As a table shows it.
        scenario: Where its samples are.
        metric: Of fastworker.
        need: What the ratio (or the value itself, without a peer) must reach.
        is_rate: More is better: the ratio is ours over theirs, else theirs over ours. Without a
            peer: whether ``need`` is the least or the most.
        system: fastworker's name in this scenario.
        peers: Systems to compare with; empty: the value itself is compared with ``need``.
        peer_metric: When it is another one than ``metric``.
        unit: Of ``metric``.
        case: Of the scenario, when it has several.
    """

    title: str
    scenario: str
    metric: str
    need: float
    is_rate: bool = True
    system: str = "fastworker"
    peers: tuple[str, ...] = CELERY
    peer_metric: str = ""
    unit: str = ""
    case: str = ""


BARS = (
    Bar("Drain of no-op tasks, results ignored", "drain_noop", "tasks_per_s", 25, unit="tasks/s"),
    Bar("… worker CPU per task", "drain_noop", "worker_cpu_us", 28, False, unit="µs"),
    Bar("… broker CPU per task", "drain_noop", "broker_cpu_us", 8, False, unit="µs"),
    *(
        bar
        for when in ("late", "early")
        for bar in (
            Bar(
                f"Drain of no-op tasks, an unchanged Celery application, acks {when}",
                "hosted",
                "tasks_per_s",
                8,
                system=f"hosted-{when}",
                unit="tasks/s",
            ),
            Bar(
                "… worker CPU per task",
                "hosted",
                "worker_cpu_us",
                10,
                False,
                system=f"hosted-{when}",
                unit="µs",
            ),
        )
    ),
    *(
        bar
        for system, what in (
            ("fastworker", ""),
            ("hosted-late", ", an unchanged Celery application"),
        )
        for bar in (
            Bar(
                f"Drain of no-op tasks on RabbitMQ{what}",
                "rabbitmq",
                "tasks_per_s",
                8,
                system=system,
                unit="tasks/s",
            ),
            Bar(
                "… against a bare lapin consumer that acknowledges",
                "rabbitmq",
                "tasks_per_s",
                0.70,
                system=system,
                peers=("lapin",),
                unit="tasks/s",
            ),
            Bar(
                "… worker CPU per task",
                "rabbitmq",
                "worker_cpu_us",
                8,
                False,
                system=system,
                unit="µs",
            ),
        )
    ),
    Bar(
        "Publish on RabbitMQ, `.delay()` loop, both confirmed",
        "rabbitmq_publish",
        "delay_per_s",
        1,
        peers=("celery-confirmed",),
        unit="calls/s",
    ),
    Bar(
        "Publish on RabbitMQ in bulk, against Celery's loop without confirmations",
        "rabbitmq_publish",
        "bulk_per_s",
        1,
        peers=("celery",),
        peer_metric="delay_per_s",
        unit="calls/s",
    ),
    Bar("Drain, every result fetched", "drain_results", "tasks_per_s", 15, unit="tasks/s"),
    Bar(
        "Chord of 100,000 members, release to the body's result",
        "chords",
        "members_per_s",
        10,
        peers=("celery-late",),
        unit="members/s",
    ),
    Bar("A group, built and published", "canvas", "group_per_s", 20, unit="members/s"),
    Bar("`GroupResult.get()` of 10,000", "canvas", "results_per_s", 10, unit="results/s"),
    Bar("Publish, `.delay()` loop", "publish", "delay_per_s", 6, unit="calls/s"),
    Bar(
        "… against a raw LPUSH loop (plain socket)",
        "publish",
        "delay_per_s",
        0.70,
        peers=("fastworker",),
        peer_metric="raw_socket_per_s",
        unit="calls/s",
    ),
    Bar(
        "Publish in bulk, against Celery's loop",
        "publish",
        "bulk_per_s",
        60,
        peer_metric="delay_per_s",
        unit="calls/s",
    ),
    *(
        Bar(
            f"A Celery client, accelerated: {what}",
            "accelerate",
            metric,
            bar,
            system="accelerated",
            unit=unit,
            peers=("celery-client",),
        )
        for what, metric, bar, unit in (
            ("`.delay()` loop", "delay_per_s", 5, "calls/s"),
            ("`.delay()` loop, results ignored", "ignored_delay_per_s", 5, "calls/s"),
            ("group of 10,000", "group_per_s", 2, "calls/s"),
            ("`GroupResult.get()` of 10,000", "results_per_s", 2, "results/s"),
        )
    ),
    *(
        Bar(
            f"Client's memory for 10,000,000 calls streamed by {way}",
            "streams",
            "peak_mb",
            100,
            False,
            peers=(),
            unit="MB",
            case=case,
        )
        for case, way in (
            ("group", "`group(generator)`"),
            ("chord", "`chord(generator, body)`"),
            ("map", "`map_async`"),
        )
    ),
    Bar("Idle round trip, p50", "roundtrip", "p50_ms", 4, False, unit="ms"),
    Bar("Idle round trip, p99", "roundtrip", "p99_ms", 4, False, unit="ms"),
    Bar("Memory, 2 processes", "memory", "pss_mb_2p_0mb", 1, False, unit="MB"),
    Bar("Memory, 8 processes", "memory", "pss_mb_8p_0mb", 1, False, unit="MB"),
    Bar("Memory, 2 processes, 200 MB app", "memory", "pss_mb_2p_200mb", 1, False, unit="MB"),
    Bar("Memory, 8 processes, 200 MB app", "memory", "pss_mb_8p_200mb", 1, False, unit="MB"),
    Bar(
        "Memory, 2 processes and 500 coroutines in one worker, against two workers",
        "lanes",
        "pss_mb",
        1,
        False,
        system="fastworker-lanes",
        peers=("celery-workers",),
        unit="MB",
    ),
    Bar("Idle CPU, of one core", "memory", "idle_cpu_percent", 0.5, False, peers=(), unit="%"),
    Bar(
        "Drain on SQLite, against Celery on Redis",
        "sqlite",
        "tasks_per_s",
        12,
        system="fastworker-sqlite",
        unit="tasks/s",
    ),
    Bar(
        "20,000 tasks that wait 100 ms for a web server, against the quickest peer",
        "waiting",
        "tasks_per_s",
        1,
        peers=RIVALS,
        unit="tasks/s",
        case="page",
    ),
    Bar(
        "20,000 tasks that sleep 100 ms, against Celery's best pool",
        "waiting",
        "tasks_per_s",
        5,
        peers=CELERY_WAITING,
        unit="tasks/s",
        case="nap",
    ),
    Bar(
        "Start delay beside 10,000 coroutines, p99",
        "start_delay",
        "p99_ms",
        100,
        False,
        peers=(),
        unit="ms",
    ),
    Bar(
        "Growth of memory beside 10,000 coroutines",
        "start_delay",
        "growth_percent",
        2,
        False,
        peers=(),
        unit="%",
    ),
    *(
        Bar(
            f"No-op tasks, pool {pool}",
            "pools_noop",
            "tasks_per_s",
            10,
            unit="tasks/s",
            case=pool,
        )
        for pool in POOLS
    ),
    Bar(
        "Throughput that is left while a worker tells of its tasks, nobody listening",
        "events",
        "tasks_per_s",
        0.95,
        system="fastworker-events",
        peers=("fastworker",),
        unit="tasks/s",
    ),
    Bar(
        "Drain of no-op tasks while Flower listens, on the same cores",
        "events",
        "tasks_per_s",
        25,
        system="fastworker-flower",
        peers=("celery-late-flower",),
        unit="tasks/s",
    ),
    Bar(
        "Throughput that is left while a bench records",
        "recording",
        "tasks_per_s",
        0.99,
        system="fastworker-recording",
        peers=("fastworker",),
        unit="tasks/s",
    ),
    Bar(
        "A bench's generator on one core, 20,000 calls/s: late, p99",
        "generator",
        "late_p99_us",
        1000,
        False,
        peers=(),
        unit="µs",
        case="20,000/s",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What the data says about one bar. ``peer`` is None when the bar has none."""

    bar: Bar
    ours: Summary
    peer: Summary | None
    peer_name: str
    reached: Summary

    @property
    def is_passed(self) -> bool:
        """The median reaches what is needed."""
        if self.peer is None and not self.bar.is_rate:
            return self.reached.median <= self.bar.need
        return self.reached.median >= self.bar.need


def judge(bar: Bar, document: dict[str, Any]) -> Verdict | None:
    """Compare one bar with one run's samples; None when the run lacks them."""
    ours = values(document, bar.system, bar.metric, bar.case)
    if not ours:
        return None
    if not bar.peers:
        return Verdict(bar, summarise(ours), None, "", summarise(ours))
    metric = bar.peer_metric or bar.metric
    measured = {name: values(document, name, metric, bar.case) for name in bar.peers}
    found = {name: samples for name, samples in measured.items() if len(samples) == len(ours)}
    if not found:
        return None
    choose = max if bar.is_rate else min
    name = choose(found, key=lambda one: summarise(found[one]).median)
    theirs = found[name]
    ratios = pairwise_ratios(ours, theirs) if bar.is_rate else pairwise_ratios(theirs, ours)
    return Verdict(bar, summarise(ours), summarise(theirs), name, summarise(ratios))


def values(document: dict[str, Any], system: str, metric: str, case: str = "") -> list[float]:
    """One metric of one system, in the order of the rounds."""
    chosen = [
        sample
        for sample in document["samples"]
        if sample["system"] == system and sample["case"] == case and metric in sample["metrics"]
    ]
    return [sample["metrics"][metric] for sample in sorted(chosen, key=lambda one: one["round"])]
