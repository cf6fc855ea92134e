"""PgQueuer on PostgreSQL through asyncpg. Unlogged tables (``--durability volatile``, as Redis has its
persistence off), large batches, jobs without a limit (its default, and quicker than one: at its limit it
looks again after 0.1 s), uvloop as under its command line; ``pgqueuer.run`` does the same. One process per
worker; two are started.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from json import dumps, loads
from typing import Any

import asyncpg
import pgqueuer
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from rival_apps import options
from rival_apps.loads import COROUTINES

_queries: Queries | None = None


def from_job(run: Callable[..., Awaitable[Any]]) -> Callable[[Job], Coroutine[Any, Any, None]]:
    """The task as an entry point."""

    async def entrypoint(job: Job) -> None:
        await run(*loads(job.payload or b"[]"))

    return entrypoint


@asynccontextmanager
async def manager() -> AsyncIterator[PgQueuer]:
    """What ``pgq run`` would be given."""
    connection = await asyncpg.connect(options.BROKER)
    pgq = PgQueuer(AsyncpgDriver(connection))
    for name, run in COROUTINES.items():
        pgq.entrypoint(name)(from_job(run))
    try:
        yield pgq
    finally:
        await connection.close()


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """A connection."""
    global _queries
    connection = await asyncpg.connect(options.BROKER)
    _queries = Queries(AsyncpgDriver(connection))
    yield
    await connection.close()


async def send(task: str, call: Sequence[Any]) -> None:
    """``enqueue``."""
    assert _queries is not None  # within client()
    await _queries.enqueue(task, dumps(call).encode())


async def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``enqueue`` with lists, its bulk call."""
    assert _queries is not None  # within client()
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        payloads: list[bytes | None] = [dumps(call).encode() for call in some]
        await _queries.enqueue([task] * len(some), payloads, [0] * len(some))


if __name__ == "__main__":
    uvloop.run(pgqueuer.run(manager, batch_size=options.CONCURRENCY))
