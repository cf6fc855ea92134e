"""Waiting for many results at once: what is there already in a few round trips, the rest by push.

One subscription for all that are missing, where asking for each by itself would cost a round trip and a subscription
each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastworker.errors import TimeoutError
from fastworker.greenlets import at_work
from fastworker.results.async_result import AsyncResult

if TYPE_CHECKING:
    from fastworker.results.backend import Backend

#: Documents asked for at once: a few hundred kilobytes of small results, one round trip.
_BATCH = 1000
#: Longest wait in one call; a store's own bound is shorter.
_SLICE_S = 1.0


def leaves(results: Iterable[Any]) -> Iterator[AsyncResult[Any]]:
    """The results of single tasks among ``results``, sets opened."""
    for result in results:
        if isinstance(result, AsyncResult):
            yield result
        else:
            yield from leaves(result.results)


def look(results: Iterable[AsyncResult[Any]]) -> Iterator[AsyncResult[Any]]:
    """Ask for the documents of all that are not known to be ready, and yield each once it has been asked for: a ready
    one keeps its document.
    """
    batch: list[AsyncResult[Any]] = []
    for result in results:
        batch.append(result)
        if len(batch) == _BATCH:
            yield from _looked(batch)
            batch = []
    yield from _looked(batch)


def _looked(batch: list[AsyncResult[Any]]) -> list[AsyncResult[Any]]:
    for backend, unknown in _by_backend(batch):
        documents = backend.store.get_many([result.id for result in unknown])
        for result, doc in zip(unknown, documents, strict=True):
            result._keep(backend.decode(result.id, doc))
    return batch


def states_of(results: Iterable[Any]) -> Iterator[str]:
    """The state of each single task among ``results``, in few round trips, and no further than is asked for."""
    for result in look(leaves(results)):
        yield result._seen_state()


def as_they_come(
    results: Sequence[AsyncResult[Any]],
    timeout: float | None,
    interval: float = 0.5,
    on_interval: Callable[[], object] | None = None,
    on_message: Callable[[dict[str, Any]], object] | None = None,
) -> Iterator[AsyncResult[Any]]:
    """Each result once it is ready: those that are there first, then as they come.

    Args:
        results: Of single tasks.
        timeout: Seconds for all together; None waits for ever.
        interval: Seconds between two calls of ``on_interval``.
        on_interval: Called while it waits.
        on_message: Called with every document that comes.

    Raises:
        TimeoutError: Not all were ready in time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    missing: dict[int, list[AsyncResult[Any]]] = {}
    backends: dict[int, Backend] = {}
    for result in look(results):
        if result._is_settled():
            if on_message is not None and result._cache is not None:
                on_message(result._cache)
            yield result
        else:
            backend = result.backend
            backends[id(backend)] = backend
            missing.setdefault(id(backend), []).append(result)
    for key, backend in backends.items():
        wait = _Wait(backend, deadline, interval, on_interval, on_message)
        yield from wait.each_of(missing[key])


class _Wait:
    """A wait for results of one store."""

    def __init__(
        self,
        backend: Backend,
        deadline: float | None,
        interval: float,
        on_interval: Callable[[], object] | None,
        on_message: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        self._backend = backend
        self._deadline = deadline
        self._interval_s = interval if on_interval is not None else _SLICE_S
        self._on_interval = on_interval
        self._on_message = on_message

    def each_of(self, results: list[AsyncResult[Any]]) -> Iterator[AsyncResult[Any]]:
        """Each result as it comes."""
        missing: dict[str, list[AsyncResult[Any]]] = {}
        for result in results:
            missing.setdefault(result.id, []).append(result)
        news = self._by_turns(missing) if at_work() is not None else self._by_push(missing)
        for task_id, doc in news:
            if task_id not in missing:
                continue  # an older document of one that is ready
            meta = self._backend.decode(task_id, doc)
            if self._on_message is not None:
                self._on_message(meta)
            if not missing[task_id][0]._keep(meta):
                continue
            for result in missing.pop(task_id):
                result._keep(meta)
                yield result
            if not missing:
                return

    def _by_push(self, missing: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        store = self._backend.store
        ids = list(missing)
        store.watch(ids)
        try:
            while True:
                news = store.news(self._slice_s())
                yield from news
                if not news:
                    self._idle(len(missing))
        finally:
            store.unwatch(ids)

    def _by_turns(self, missing: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Greenlets wait through the watcher, for one after the other."""
        seen: dict[str, bytes] = {}
        while True:
            task_id = next(iter(missing))
            doc = self._backend.watcher.wait(task_id, seen.get(task_id), self._slice_s())
            if doc is None:
                self._idle(len(missing))
            else:
                seen[task_id] = doc
                yield task_id, doc

    def _slice_s(self) -> float:
        if self._deadline is None:
            return self._interval_s
        return max(0.0, min(self._interval_s, self._deadline - time.monotonic()))

    def _idle(self, missing: int) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimeoutError(f"The operation timed out: {missing} results are missing.")
        if self._on_interval is not None:
            self._on_interval()


def _by_backend(
    batch: list[AsyncResult[Any]],
) -> list[tuple[Backend, list[AsyncResult[Any]]]]:
    found: dict[int, tuple[Backend, list[AsyncResult[Any]]]] = {}
    for result in batch:
        if not result._is_settled():
            backend = result.backend
            found.setdefault(id(backend), (backend, []))[1].append(result)
    return list(found.values())
