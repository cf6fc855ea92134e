"""streaQ. Results off (``ttl=0``), no log line per task (``silent``), uvloop, prefetch as much as runs
(its default). One process per worker; two are started.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from rival_apps import options
from rival_apps.loads import COROUTINES

worker = Worker(
    redis_url=options.BROKER,
    queue_name=options.QUEUE,
    concurrency=options.CONCURRENCY,
    anyio_kwargs={"use_uvloop": True},
)

tasks = {name: worker.task(name=name, ttl=0, silent=True)(run) for name, run in COROUTINES.items()}


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """The worker's connections."""
    async with worker:
        yield


async def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue``."""
    await tasks[task].enqueue(*call)


async def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``enqueue_many``, its bulk call."""
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        await worker.enqueue_many([tasks[task].enqueue(*call) for call in some])
