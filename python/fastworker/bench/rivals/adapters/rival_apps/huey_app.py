"""huey on a Redis list, results off, quiet: two worker processes (``-k process``) or, for tasks that wait, greenlets
(``-k greenlet``) in two consumers, since that is one process; then what blocks is patched, as its documents
say. No periodic tasks.
"""

from __future__ import annotations

import os

if os.environ.get("RIVALS_GREENLETS") == "1":
    from gevent import monkey

    monkey.patch_all()

from collections.abc import Sequence
from typing import Any

from huey import RedisHuey
from redis import ConnectionPool

from rival_apps import options
from rival_apps.loads import BLOCKING

# redis-py keeps to 100 connections; each greenlet that waits for a task has one.
pool = ConnectionPool.from_url(options.BROKER, max_connections=2 * options.CONCURRENCY + 100)
huey = RedisHuey(options.QUEUE, connection_pool=pool, results=False)

tasks = {name: huey.task(name=name)(run) for name, run in BLOCKING.items()}


def send(task: str, call: Sequence[Any]) -> None:
    """A call of the task. It has no bulk call."""
    tasks[task](*call)
