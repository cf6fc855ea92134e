"""Celery with gevent and with threads: the application of the other scenarios, with these tasks. Two
worker nodes, since either pool is one process.
"""

from __future__ import annotations

from benches.apps.celery_app import app
from benches.rivals import blocking

tasks = {
    "nap": app.task(name="bench.nap")(blocking.nap),
    "page": app.task(name="bench.page")(blocking.page),
}


def publish(task: str, argument: object, count: int) -> None:
    """``delay`` in a loop; the harness asks for one, and copies it."""
    for _ in range(count):
        tasks[task].delay(argument)
