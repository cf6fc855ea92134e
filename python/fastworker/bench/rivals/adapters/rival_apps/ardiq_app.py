"""ArdiQ on Redis, two workers (``--workers``), coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ardiq import Ardiq

from rival_apps import options
from rival_apps.loads import COROUTINES

app = Ardiq(redis_url=options.BROKER, queue_name=options.QUEUE, concurrency=options.CONCURRENCY)

tasks = {name: app.task(name=name)(run) for name, run in COROUTINES.items()}


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """It connects by itself."""
    yield


async def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue``."""
    await tasks[task].enqueue(*call)


async def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``enqueue_many``, its bulk call."""
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        await app.enqueue_many([tasks[task].prepare(*call) for call in some])
