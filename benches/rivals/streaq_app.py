"""streaQ. Results off (``ttl=0``), no log line per task (``silent``), uvloop, prefetch as much as runs
(its default). One process per worker; two are started.
"""

from __future__ import annotations

from streaq import Worker

from benches.apps import options
from benches.rivals import CHUNK, coroutines

worker = Worker(
    redis_url=options.BROKER,
    queue_name=options.QUEUE,
    concurrency=options.CONCURRENCY or 16,
    anyio_kwargs={"use_uvloop": True},
)

tasks = {
    "nap": worker.task(name="nap", ttl=0, silent=True)(coroutines.nap),
    "page": worker.task(name="page", ttl=0, silent=True)(coroutines.page),
}


async def publish(task: str, argument: object, count: int) -> None:
    """``enqueue_many``, its bulk call."""
    async with worker:
        for start in range(0, count, CHUNK):
            amount = min(CHUNK, count - start)
            await worker.enqueue_many([tasks[task].enqueue(argument) for _ in range(amount)])
