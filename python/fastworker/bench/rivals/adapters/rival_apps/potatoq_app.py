"""potatoq on Redis, where results are off by default: two processes, or two with threads (``-t``) for tasks that
wait. No processes are replaced (``worker_max_tasks_per_child``, by default after 1,000 tasks), as in the other
systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from potatoq import Potatoq, group

from rival_apps import options
from rival_apps.loads import BLOCKING

app = Potatoq("rivals", broker=options.BROKER)
app.conf.update(task_default_queue=options.QUEUE, worker_max_tasks_per_child=None)

tasks = {name: app.task(name=f"bench.{name}")(run) for name, run in BLOCKING.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``delay``."""
    tasks[task].delay(*call)


def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """A ``group``, which is published at once."""
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        group(tasks[task].s(*call) for call in some).apply_async()
