"""Celery. From its optimizing guide: a large prefetch multiplier for short tasks, no gossip, mingle and heartbeat
(all on the command line), no rate limits, no events, results ignored, JSON. Acknowledgement as by default, before the
run. Tasks that wait run in its gevent and threads pools; either is one process, so there are two nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery

from rival_apps import options
from rival_apps.loads import BLOCKING

app = Celery("rivals", broker=options.BROKER)
app.conf.update(
    task_default_queue=options.QUEUE,
    task_acks_late=options.ACKS_LATE,
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
)

tasks = {name: app.task(name=f"bench.{name}")(run) for name, run in BLOCKING.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """``delay``. It has no bulk call: a group publishes its members one by one."""
    tasks[task].delay(*call)
