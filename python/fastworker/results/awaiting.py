"""``await result.aget()``: the waiting half of ``AsyncResult`` for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.errors import TimeoutError

if TYPE_CHECKING:
    from fastworker.results.async_result import AsyncResult


async def await_ready(
    result: AsyncResult[Any], timeout: float | None, ancestors: list[AsyncResult[Any]]
) -> None:
    """Wait until ``result`` has its final document.

    Args:
        result: It keeps the document.
        timeout: Seconds; None waits for ever.
        ancestors: Results of earlier tasks of its chain; when one of them failed, its exception is raised.

    Raises:
        TimeoutError: The time is over.
    """
    own = asyncio.ensure_future(_final(result))
    earlier = {asyncio.ensure_future(_final(ancestor)): ancestor for ancestor in ancestors}
    loop = asyncio.get_running_loop()
    ends_at = None if timeout is None else loop.time() + timeout
    try:
        while not own.done():
            left_s = None if ends_at is None else max(0.0, ends_at - loop.time())
            done, _ = await asyncio.wait(
                {own, *earlier}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise TimeoutError("The operation timed out.")
            for finished in done - {own}:
                finished.result()
                earlier.pop(finished).maybe_throw()
        own.result()
    finally:
        left = [future for future in (own, *earlier) if not future.done()]
        for future in left:
            future.cancel()
        if left:
            await asyncio.wait(left)


async def await_each(
    results: list[AsyncResult[Any]], timeout: float | None
) -> AsyncIterator[AsyncResult[Any]]:
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
            left_s = None if ends_at is None else max(0.0, ends_at - loop.time())
            try:
                finished = await asyncio.wait_for(came.get(), left_s)
            except asyncio.TimeoutError:
                missing = len(waits)
                raise TimeoutError(
                    f"The operation timed out: {missing} results are missing."
                ) from None
            result = waits.pop(finished)
            finished.result()
            yield result
    finally:
        for future in waits:
            future.cancel()
        if waits:
            await asyncio.wait(waits)


async def _final(result: AsyncResult[Any]) -> None:
    backend = result.backend
    seen: bytes | None = None
    while result._cache is None:
        seen = await backend.watcher.change(result.id, seen)
        meta = backend.decode(result.id, seen)
        if meta["status"] in states.READY_STATES:
            result._keep_if_ready(meta)
