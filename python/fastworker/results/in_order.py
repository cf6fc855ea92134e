"""Waiting for many results in their order, with the memory of one batch."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.errors import TimeoutError
from fastworker.results.remote_error import with_remote_traceback

if TYPE_CHECKING:
    from fastworker.results.backend import Backend
    from fastworker.results.document import Meta

#: Documents asked for at once: a few hundred kilobytes of small results, one round trip.
BATCH = 1000
#: Longest wait for one document before all missing ones are asked for again, seconds: the one that
#: blocks is pushed, but it may have come between the question and the wait.
_SLICE_S = 1.0


def value_of(meta: Meta, propagate: bool) -> Any:
    """What a ready document has: the value, or the exception, which is raised with ``propagate``."""
    value = meta["result"]
    if propagate and meta["status"] in states.PROPAGATE_STATES:
        exc = value if isinstance(value, BaseException) else Exception(value)
        raise with_remote_traceback(exc, meta.get("traceback"))
    return value


def metas_in_order(backend: Backend, ids: list[str], deadline: float | None) -> Iterator[Meta]:
    """Ready documents of one batch, each as soon as it and those before it are there.

    Args:
        backend: Where they are.
        ids: At most ``BATCH``.
        deadline: Of ``time.monotonic``; None waits for ever.

    Raises:
        TimeoutError: Not all were there in time.
    """
    done: dict[str, Meta] = {}
    missing = ids
    position = 0
    while True:
        documents = backend.store.get_many(missing) if missing else []
        seen: bytes | None = None
        unready: list[str] = []
        for task_id, doc in zip(missing, documents, strict=True):
            meta = backend.decode(task_id, doc)
            if meta["status"] in states.READY_STATES:
                done[task_id] = meta
            else:
                seen = doc if not unready else seen
                unready.append(task_id)
        missing = unready
        while position < len(ids) and ids[position] in done:
            yield done.pop(ids[position])
            position += 1
        if position == len(ids):
            return
        left_s = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
        if left_s <= 0:
            raise TimeoutError(
                f"join operation timed out: {len(missing)} results or more are missing"
            )
        # The first missing one is the one that blocks; when it comes, others have come too.
        backend.wait_for_change(missing[0], seen, left_s)


async def ametas_in_order(results: list[Any], deadline: float | None) -> AsyncGenerator[Meta, None]:
    """The same for a coroutine, of the results of single tasks.

    Raises:
        TimeoutError: Not all were there in time.
    """
    from fastworker.results.awaiting import await_each

    left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
    position = 0
    async with aclosing(await_each(results, left_s)) as came:
        async for _ in came:
            while position < len(results) and results[position]._is_settled():
                yield results[position]._get_task_meta()
                position += 1
