"""SAQ on Redis. Results off (``ttl=-1``), uvloop. One process per worker; two are started."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from saq import Queue

from benches.apps import options
from benches.rivals import AT_ONCE, coroutines

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

queue = Queue.from_url(options.BROKER, name=options.QUEUE)


async def nap(ctx: dict[str, Any], *, argument: float) -> None:
    """``coroutines.nap``, with SAQ's context."""
    await coroutines.nap(argument)


async def page(ctx: dict[str, Any], *, argument: str) -> None:
    """``coroutines.page``, with SAQ's context."""
    await coroutines.page(argument)


settings = {"queue": queue, "functions": [nap, page], "concurrency": options.CONCURRENCY}


async def publish(task: str, argument: object, count: int) -> None:
    """``enqueue``, many at once, as its ``map`` does; a job may take as long as it takes."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(
            *(
                queue.enqueue(task, argument=argument, ttl=-1, timeout=0)
                for _ in range(min(AT_ONCE, count - start))
            )
        )
    await queue.disconnect()
