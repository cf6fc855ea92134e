"""What a worker says when it starts: what was chosen, and why."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.app.masking import mask_url


@dataclass(frozen=True)
class LaneFacts:
    """What the banner tells of one lane; fields as in ``Facts``. ``most``: processes, if their number is not fixed."""

    name: str
    pool: str
    concurrency: int
    slots: int
    most: int | None
    prefetch: int
    queues: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """What the banner tells. Each ``…_reason`` says in a few words why the value is what it is.

    Attributes:
        node: Node name.
        version: Of fastworker.
        app: The application's name.
        broker: URL; its password is masked here.
        broker_reason: Such as ``setting broker_url``.
        results: URL, or None when results are not stored.
        concurrency: Child processes.
        slots: Tasks that each of them runs at once.
        concurrency_reason: Such as ``2 cores: cgroup quota``.
        prefetch: Messages held at most.
        prefetch_reason: Such as ``automatic``.
        queues: Names.
        lease_s: Seconds after which a dead worker's messages are taken over.
        is_acked_late: The default for tasks.
        fails_when_lost: So does a late-acknowledged task whose process dies; not one whose worker dies.
        max_deliveries: Started attempts before a task goes to the dead letters.
        sends_events: Events about tasks are published.
        loglevel: As in ``logging``.
        tasks: Names of the registered tasks; empty: not listed.
        lanes: Each of them; empty: there is one pool for all queues. They have their own ``concurrency`` to
            ``prefetch`` and ``queues``, so that those of the node are left out.
    """

    node: str
    version: str
    app: str
    broker: str
    broker_reason: str
    results: str | None
    concurrency: int
    concurrency_reason: str
    prefetch: int
    prefetch_reason: str
    queues: Sequence[str]
    lease_s: float
    is_acked_late: bool
    fails_when_lost: bool
    max_deliveries: int
    sends_events: bool
    loglevel: int
    tasks: Sequence[str] = ()
    slots: int = 1
    lanes: Sequence[LaneFacts] = ()


def banner(facts: Facts) -> str:
    """The text, with a newline at its end. Plain: whoever prints it may colour it."""
    rows = [
        ("app", facts.app),
        ("broker", f"{mask_url(facts.broker)}  ({facts.broker_reason})"),
        ("results", mask_url(facts.results) if facts.results else "not stored"),
        *_size(facts),
        ("acks", _acks(facts)),
        ("lease", f"{facts.lease_s:g} s, kept alive while this worker lives"),
        ("events", "on" if facts.sends_events else "off"),
        ("log level", logging.getLevelName(facts.loglevel)),
    ]
    return "\n".join(
        [
            f"{facts.node}  fastworker {facts.version}",
            f"Python {platform.python_version()}, {platform.platform()}",
            *_section("config", [f"{name + ':':<13} {text}" for name, text in rows]),
            *_section("queues", () if facts.lanes else facts.queues),
            *_section("lanes", [_lane(lane) for lane in facts.lanes]),
            *_section("tasks", facts.tasks),
            "",
        ]
    )


def _size(facts: Facts) -> list[tuple[str, str]]:
    if facts.lanes:
        return []
    return [
        ("concurrency", f"{_processes(facts)}  ({facts.concurrency_reason})"),
        ("prefetch", f"{facts.prefetch} messages  ({facts.prefetch_reason})"),
    ]


def _processes(facts: Facts | LaneFacts) -> str:
    plural = "" if facts.concurrency == 1 else "es"
    tasks = "" if facts.slots == 1 else f", {facts.slots} tasks in each"
    return f"{facts.concurrency} process{plural}{tasks}"


def _lane(lane: LaneFacts) -> str:
    most = "" if lane.most is None else f", up to {lane.most}"
    size = f"{lane.pool}, {_processes(lane)}{most}, prefetch {lane.prefetch}"
    return f"{lane.name + ':':<13} {size}: {', '.join(lane.queues)}"


def _acks(facts: Facts) -> str:
    if not facts.is_acked_late:
        return "early: a task whose process dies is lost"
    lost = "process dies fails, and one whose worker" if facts.fails_when_lost else "process"
    return f"late: a task whose {lost} dies is started at most {facts.max_deliveries} times"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"[{title}]", *(f"  . {line}" for line in lines)] if lines else []
