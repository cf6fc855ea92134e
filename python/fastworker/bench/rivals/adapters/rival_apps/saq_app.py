"""SAQ on Redis. Results off (``ttl=-1``), uvloop. One process per worker; two are started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from saq import Queue

from rival_apps import options
from rival_apps.loads import COROUTINES

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

queue = Queue.from_url(options.BROKER, name=options.QUEUE)


def with_context(run: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The same with SAQ's context and keyword arguments."""

    async def task(_ctx: dict[str, Any], *, call: Sequence[Any]) -> Any:
        return await run(*call)

    return task


settings = {
    "queue": queue,
    "functions": [(name, with_context(run)) for name, run in COROUTINES.items()],
    "concurrency": options.CONCURRENCY,
}


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """The queue, connected."""
    await queue.connect()
    yield
    await queue.disconnect()


async def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue``; a job may take as long as it takes. Its ``map`` awaits many of these at once."""
    await queue.enqueue(task, call=list(call), ttl=-1, timeout=0)
