"""taskiq on a Redis list (``taskiq-redis``). Its broker on a stream, which acknowledges, takes twice the processor
time, so the list is the peer. No result backend, prefetch as much as runs, ``--no-parse``. No socket timeout: that of
redis-py 8, 5 s, ends its blocking pop, and a message that is popped at that moment is lost. Its command line uses
uvloop when it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from taskiq_redis import ListQueueBroker

from rival_apps import options
from rival_apps.loads import COROUTINES

broker = ListQueueBroker(options.BROKER, queue_name=options.QUEUE, socket_timeout=None)

tasks = {name: broker.task(task_name=name)(run) for name, run in COROUTINES.items()}


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """The broker, started."""
    await broker.startup()
    yield
    await broker.shutdown()


async def send(task: str, call: Sequence[Any]) -> None:
    """``kiq``. It has no bulk call."""
    await tasks[task].kiq(*call)
