"""Procrastinate on PostgreSQL through psycopg's C implementation. Jobs are deleted when they are done
(``--delete-jobs always``): the table stays small, as in the other systems. It wakes by LISTEN. The pool has as many
connections as by psycopg's default; 20 of them were no quicker. One process per worker; two are started.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import procrastinate

from rival_apps import options
from rival_apps.loads import COROUTINES

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=options.BROKER))


def with_keywords(run: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The same with keyword arguments, which are all there are."""

    async def task(call: Sequence[Any]) -> None:
        await run(*call)

    return task


tasks = {
    name: app.task(name=name, queue=options.QUEUE)(with_keywords(run))
    for name, run in COROUTINES.items()
}


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    """The pool, opened."""
    async with app.open_async():
        yield


async def send(task: str, call: Sequence[Any]) -> None:
    """``defer_async``."""
    await tasks[task].defer_async(call=list(call))


async def send_many(task: str, calls: Sequence[Sequence[Any]]) -> None:
    """``batch_defer_async``, its bulk call."""
    for start in range(0, len(calls), options.CHUNK):
        some = calls[start : start + options.CHUNK]
        await tasks[task].batch_defer_async(*({"call": list(call)} for call in some))
