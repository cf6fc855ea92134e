"""``await result.aget()``: the waiting half of ``AsyncResult`` for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.errors import TimeoutError
from fastworker.results.gathering import by_backend

if TYPE_CHECKING:
    from fastworker.results.async_result import AsyncResult

#: How long the last look may take after the time is over, seconds, where the store does not answer.
_LAST_LOOK_S = 1.0


async def await_ready(
    result: AsyncResult[Any], timeout: float | None, earlier: list[AsyncResult[Any]]
) -> None:
    """Wait until ``result`` has its final document.

    Args:
        result: It keeps the document.
        timeout: Seconds; None waits for ever.
        earlier: Results of earlier tasks of its workflow; when one of them failed, its exception is raised.

    Raises:
        TimeoutError: The time is over.
    """
    async with aclosing(await_each([*earlier, result], timeout)) as came:
        async for one in came:
            if one is result:
                return
            if one._is_settled() and not one.ignored:
                one.maybe_throw()


async def await_each(
    results: list[AsyncResult[Any]], timeout: float | None
) -> AsyncGenerator[AsyncResult[Any], None]:
    """Each result once it has its final document, as they come.

    Args:
        results: They keep their documents.
        timeout: Seconds for all together; None waits for ever.

    Raises:
        TimeoutError: The time is over.
    """
    came: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    waits: dict[asyncio.Future[None], AsyncResult[Any]] = {}
    settled = []
    for result in results:
        if result._is_settled():
            settled.append(result)
            continue
        wait = asyncio.ensure_future(_final(result))
        wait.add_done_callback(came.put_nowait)
        waits[wait] = result
    loop = asyncio.get_running_loop()
    ends_at = None if timeout is None else loop.time() + timeout
    try:
        for result in settled:
            yield result
        while waits:
            # What has come already is taken, however late.
            finished = came.get_nowait() if not came.empty() else await _next(came, ends_at)
            if finished is None:
                break
            result = waits.pop(finished)
            finished.result()
            yield result
        if not waits:
            return
        # A short time may be over before the watcher's thread has looked at all.
        await _look(waits.values())
        for result in list(waits.values()):
            if result._is_settled():
                yield result
        missing = sum(not result._is_settled() for result in waits.values())
        if missing:
            raise TimeoutError(f"The operation timed out: {missing} results are missing.")
    finally:
        for future in waits:
            future.cancel()
        if waits:
            await asyncio.wait(waits)


async def _next(
    came: asyncio.Queue[asyncio.Future[None]], ends_at: float | None
) -> asyncio.Future[None] | None:
    """The next that comes; None when the time is over."""
    left_s = None if ends_at is None else max(0.0, ends_at - asyncio.get_running_loop().time())
    try:
        return await asyncio.wait_for(came.get(), left_s)
    except asyncio.TimeoutError:
        return None


async def _look(results: Iterable[AsyncResult[Any]]) -> None:
    """Ask for their documents; ready ones keep theirs."""
    for backend, unknown in by_backend(results):
        asked = backend.watcher.get_many([result.id for result in unknown])
        try:
            documents = await asyncio.wait_for(asked, _LAST_LOOK_S)
        except asyncio.TimeoutError:
            return
        for result, doc in zip(unknown, documents, strict=True):
            result._keep(backend.decode(result.id, doc))


async def _final(result: AsyncResult[Any]) -> None:
    backend = result.backend
    seen: bytes | None = None
    while result._cache is None:
        seen = await backend.watcher.change(result.id, seen)
        meta = backend.decode(result.id, seen)
        if meta["status"] in states.READY_STATES:
            result._keep_if_ready(meta)
