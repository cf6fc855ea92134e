"""PgQueuer on PostgreSQL through asyncpg. Unlogged tables (``--durability volatile``, as Redis has its
persistence off), large batches, jobs without a limit (its default, and quicker than one: at its limit it
looks again after 0.1 s), uvloop as under its command line, which does not start with the typer of the
lock file; ``pgqueuer.run`` does the same. One process per worker; two are started.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from json import dumps, loads

import asyncpg
import pgqueuer
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benches.apps import options
from benches.rivals import CHUNK, coroutines


@asynccontextmanager
async def manager() -> AsyncIterator[PgQueuer]:
    """What ``pgq run`` would be given."""
    connection = await asyncpg.connect(options.BROKER)
    pgq = PgQueuer(AsyncpgDriver(connection))

    @pgq.entrypoint("nap")
    async def nap(job: Job) -> None:
        await coroutines.nap(loads(job.payload or b""))

    @pgq.entrypoint("page")
    async def page(job: Job) -> None:
        await coroutines.page(loads(job.payload or b""))

    try:
        yield pgq
    finally:
        await connection.close()


async def publish(task: str, argument: object, count: int) -> None:
    """``enqueue`` with lists, its bulk call."""
    connection = await asyncpg.connect(options.BROKER)
    queries = Queries(AsyncpgDriver(connection))
    payload = dumps(argument).encode()
    for start in range(0, count, CHUNK):
        amount = min(CHUNK, count - start)
        await queries.enqueue([task] * amount, [payload] * amount, [0] * amount)
    await connection.close()


if __name__ == "__main__":
    uvloop.run(pgqueuer.run(manager, batch_size=options.CONCURRENCY))
