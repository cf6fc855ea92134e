"""A worker with two lanes, and what tests ask of it."""

from __future__ import annotations

from typing import Any

from tests.support import processes
from tests.support.rig import Rig
from tests.support.workers import WorkerProcess

TIMEOUT_S = 30
CPU = ("--lane", "cpu=parse,processes,2")
IO = ("--lane", "io=crawl,asyncio,50")


def start(rig: Rig, *options: str, **environment: str) -> WorkerProcess:
    """A worker with the lanes cpu and io."""
    return rig.worker(*CPU, *IO, *options, concurrency=None, **environment)


def call(rig: Rig, queue: str, name: str, *args: Any) -> Any:
    """Publish a task to a queue."""
    return rig.app.tasks[name].apply_async(args, queue=queue)


def ask(rig: Rig, method: str, **arguments: Any) -> Any:
    """The one node's answer."""
    replies = rig.app.control.broadcast(method, arguments, reply=True, timeout=TIMEOUT_S, limit=1)
    [[reply]] = [list(each.values()) for each in replies]
    return reply


def pids_of(rig: Rig, lane: str) -> list[int]:
    """A lane's children."""
    found: list[int] = ask(rig, "stats")["lanes"][lane]["pool"]["processes"]
    return found


def zygote_of(child: int) -> int:
    """What has made a child, as long as it lives."""
    row = processes.read(child)
    assert row is not None
    return row.parent


def depth(rig: Rig, queue: str) -> int:
    """How many messages wait in a queue."""
    return int(rig.app.publishing.publisher.depth(queue))
