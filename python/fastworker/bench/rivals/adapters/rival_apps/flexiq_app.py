"""flexiq on Redis, quiet: two processes (``--pool prefork``) or, for tasks that wait, its threads in two workers.
Its native coroutines were left out: with them some tasks waited for good, on this version. The scheduler claims up to
100 jobs in a round (``scheduler_batch_size``, by default 8), which took a no-op's rate from 210 to 680 a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flexiq import Queue

from rival_apps import options
from rival_apps.loads import BLOCKING

queue = Queue(
    backend="redis",
    db_url=options.BROKER,
    workers=options.CONCURRENCY,
    scheduler_batch_size=100,
)

tasks = {name: queue.task(name=name, queue=options.QUEUE)(run) for name, run in BLOCKING.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``delay``."""
    tasks[task].delay(*call)


def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``enqueue_many``, its bulk call."""
    for start in range(0, len(calls), options.CHUNK):
        some = [tuple(call) for call in calls[start : start + options.CHUNK]]
        queue.enqueue_many(task, some, queue=options.QUEUE)
