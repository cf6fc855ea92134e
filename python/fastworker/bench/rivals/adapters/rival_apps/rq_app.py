"""RQ with a pool of two workers (``rq worker-pool``), results off (``result_ttl=0``), quiet. ``rq`` is its default
worker, which forks a process for each job; ``rq-simple`` is its ``SimpleWorker``, which does not, and so gives up
what the fork protects from. Neither runs more than one task at once in a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue

from rival_apps import options
from rival_apps.loads import BLOCKING

queue = Queue(options.QUEUE, connection=Redis.from_url(options.BROKER))


def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue``."""
    queue.enqueue(BLOCKING[task], args=tuple(call), result_ttl=0)


def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``enqueue_many``, its bulk call."""
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        queue.enqueue_many(
            [Queue.prepare_data(BLOCKING[task], args=tuple(call), result_ttl=0) for call in some]
        )
