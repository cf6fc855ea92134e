"""arq. Results off (``keep_result=0``), no log line per result, uvloop, ``poll_delay`` 0.05 s instead
of 0.5 s, ``conn_timeout`` 10 s instead of 1 s, since it opens hundreds of connections at once. One
process per worker, as it is made; two are started.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import uvloop
from arq.connections import RedisSettings, create_pool
from arq.worker import func

from benches.apps import options
from benches.rivals import AT_ONCE, coroutines

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

REDIS = replace(RedisSettings.from_dsn(options.BROKER), conn_timeout=10)


async def nap(ctx: dict[str, Any], seconds: float) -> None:
    """``coroutines.nap``, with arq's context."""
    await coroutines.nap(seconds)


async def page(ctx: dict[str, Any], url: str) -> None:
    """``coroutines.page``, with arq's context."""
    await coroutines.page(url)


class WorkerSettings:
    """What ``arq benches.rivals.arq_app.WorkerSettings`` runs."""

    functions = (func(nap, name="nap"), func(page, name="page"))
    redis_settings = REDIS
    queue_name = options.QUEUE
    max_jobs = options.CONCURRENCY
    poll_delay = 0.05
    keep_result = 0
    log_results = False


async def publish(task: str, argument: object, count: int) -> None:
    """``enqueue_job``, many at once: it has no bulk call."""
    pool = await create_pool(REDIS)
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(
            *(
                pool.enqueue_job(task, argument, _queue_name=options.QUEUE)
                for _ in range(min(AT_ONCE, count - start))
            )
        )
    await pool.aclose()
