"""fastworker with its defaults, results ignored: processes, or coroutines in its asyncio pool for tasks that wait."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastworker.app.app import FastWorker
from rival_apps import options
from rival_apps.loads import BLOCKING, COROUTINES

app = FastWorker("rivals", broker=options.BROKER)
app.conf.update(
    task_default_queue=options.QUEUE,
    task_acks_late=options.ACKS_LATE,
    task_ignore_result=True,
)

_functions = COROUTINES if os.environ.get("RIVALS_COROUTINES") == "1" else BLOCKING
tasks = {name: app.task(name=f"bench.{name}")(run) for name, run in _functions.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``delay``."""
    tasks[task].delay(*call)


def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``starmap_async``, its bulk call."""
    tasks[task].starmap_async(calls)
