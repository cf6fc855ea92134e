"""Waiting for many results at once: what is there already in a few round trips, the rest by push.

One subscription for all that are missing, where asking for each by itself would cost a round trip and a subscription
each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
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
    for batch in _batches(results):
        yield from _looked(batch)


def throw_settled(results: Iterable[AsyncResult[Any]], deadline: float | None) -> None:
    """Look at the results, and raise the exception of the first that failed.

    Args:
        results: A round trip for every thousand that are not known to be ready.
        deadline: Of ``time.monotonic``, after which no more of them are asked for; None: all are.
    """
    for batch in _batches(results):
        for result in _looked(batch):
            if result._is_settled() and not result.ignored:
                result.maybe_throw()
        if deadline is not None and time.monotonic() >= deadline:
            return


def _batches(results: Iterable[AsyncResult[Any]]) -> Iterator[list[AsyncResult[Any]]]:
    rest = iter(results)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _looked(batch: list[AsyncResult[Any]]) -> list[AsyncResult[Any]]:
    for backend, unknown in by_backend(batch):
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
) -> Generator[AsyncResult[Any], None, None]:
    """Each result once it is ready: those that are there first, then as they come.

    To be closed when not all are taken: the rest is watched until then.

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


def as_they_are_stored(
    backend: Backend,
    results: list[AsyncResult[Any]],
    deadline: float | None,
    interval: float,
    on_interval: Callable[[], object] | None,
    on_message: Callable[[dict[str, Any]], object] | None,
) -> Generator[AsyncResult[Any], None, None]:
    """``as_they_come`` of results of one store that were looked at already; ``deadline`` of ``time.monotonic``."""
    yield from _Wait(backend, deadline, interval, on_interval, on_message).each_of(results)


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
        self._next_tick = time.monotonic() + self._interval_s
        self._on_interval = on_interval
        self._on_message = on_message

    def each_of(self, results: list[AsyncResult[Any]]) -> Iterator[AsyncResult[Any]]:
        """Each result as it comes."""
        missing: dict[str, list[AsyncResult[Any]]] = {}
        for result in results:
            missing.setdefault(result.id, []).append(result)
        backend = self._backend
        # Greenlets share a thread, and with it a connection: they wait through the watcher.
        watching = backend.shared_news if at_work() is None else backend.watcher
        with watching.of(list(missing)) as news:
            while missing:
                has_come = False
                for task_id, doc in news(self._slice_s()):
                    for result in self._came(missing, task_id, doc):
                        has_come = True
                        yield result
                if missing:
                    self._look_at_the_clock(len(missing), has_come)

    def _came(
        self, missing: dict[str, list[AsyncResult[Any]]], task_id: str, doc: bytes
    ) -> list[AsyncResult[Any]]:
        """The results that a document makes ready."""
        if task_id not in missing:
            return []  # an older document of one that is ready
        meta = self._backend.decode(task_id, doc)
        if self._on_message is not None:
            self._on_message(meta)
        if not missing[task_id][0]._keep(meta):
            return []
        ready = missing.pop(task_id)
        for result in ready:
            result._keep(meta)
        return ready

    def _slice_s(self) -> float:
        until = self._next_tick if self._deadline is None else min(self._next_tick, self._deadline)
        return max(0.0, until - time.monotonic())

    def _look_at_the_clock(self, missing: int, has_come: bool) -> None:
        now = time.monotonic()
        # What has come already is taken, however late.
        if self._deadline is not None and now >= self._deadline and not has_come:
            raise TimeoutError(f"The operation timed out: {missing} results are missing.")
        if now < self._next_tick:
            return
        if self._on_interval is not None:
            self._on_interval()
        self._next_tick = time.monotonic() + self._interval_s


def by_backend(
    batch: Iterable[AsyncResult[Any]],
) -> list[tuple[Backend, list[AsyncResult[Any]]]]:
    """Those that are not known to be ready, with whom to ask."""
    found: dict[int, tuple[Backend, list[AsyncResult[Any]]]] = {}
    for result in batch:
        if not result._is_settled():
            backend = result.backend
            found.setdefault(id(backend), (backend, []))[1].append(result)
    return list(found.values())
