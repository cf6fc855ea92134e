"""taskiq on a Redis list (``taskiq-redis``). Its broker on a stream, which acknowledges, takes twice the
processor time here, so the list is the peer. No result backend, prefetch as much as runs, ``--no-parse``.
Its command line uses uvloop when it is there.
"""

from __future__ import annotations

import asyncio

from taskiq_redis import ListQueueBroker

from benches.apps import options
from benches.rivals import AT_ONCE, coroutines

broker = ListQueueBroker(options.BROKER, queue_name=options.QUEUE)

tasks = {
    "nap": broker.task(task_name="nap")(coroutines.nap),
    "page": broker.task(task_name="page")(coroutines.page),
}


async def publish(task: str, argument: object, count: int) -> None:
    """``kiq``, many at once: it has no bulk call."""
    await broker.startup()
    for start in range(0, count, AT_ONCE):
        amount = min(AT_ONCE, count - start)
        await asyncio.gather(*(tasks[task].kiq(argument) for _ in range(amount)))
    await broker.shutdown()
