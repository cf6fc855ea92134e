"""arq. Results off (``keep_result=0``), no log line per result, uvloop, ``poll_delay`` 0.05 s instead
of 0.5 s, ``conn_timeout`` 10 s instead of 1 s, since it opens hundreds of connections at once. One
process per worker, as it is made; two are started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvloop
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import func

from rival_apps import options
from rival_apps.loads import COROUTINES

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

REDIS = replace(RedisSettings.from_dsn(options.BROKER), conn_timeout=10)

_pool: ArqRedis | None = None


def with_context(run: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The same with arq's context, which it does not use."""

    async def task(_ctx: dict[str, Any], *call: Any) -> Any:
        return await run(*call)

    return task


class WorkerSettings:
    """What ``arq rival_apps.arq_app.WorkerSettings`` runs."""

    functions = tuple(func(with_context(run), name=name) for name, run in COROUTINES.items())
    redis_settings = REDIS
    queue_name = options.QUEUE
    max_jobs = options.CONCURRENCY
    poll_delay = 0.05
    keep_result = 0
    log_results = False


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """A pool of connections."""
    global _pool
    _pool = await create_pool(REDIS)
    yield
    await _pool.aclose()


async def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue_job``. It has no bulk call."""
    assert _pool is not None  # within client()
    await _pool.enqueue_job(task, *call, _queue_name=options.QUEUE)
