"""All waits of a thread on its one connection: each gets the news of what it waits for, whichever of them asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastworker.results.watcher import Store

News = list[tuple[str, bytes]]


class SharedNews:
    """The waits for many results of one thread.

    There may be several at a time: the body of a loop over ``iter_native`` may wait for something else, and
    ``ResultStore.news`` gives whoever calls it what any of them watches.

    Args:
        store: The thread's connection.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        #: Who waits for each task.
        self._waits: dict[str, list[deque[tuple[str, bytes]]]] = {}

    @contextmanager
    def of(self, task_ids: Sequence[str]) -> Iterator[Callable[[float], News]]:
        """Watch these tasks for a block, which gets ``news(timeout_s)``: ``(id, document)`` of what was stored, at
        once if there is something; the list may be empty before the time is over.
        """
        own: deque[tuple[str, bytes]] = deque()
        fresh = [task_id for task_id in task_ids if task_id not in self._waits]
        known = [task_id for task_id in task_ids if task_id in self._waits]
        for task_id in task_ids:
            self._waits.setdefault(task_id, []).append(own)
        try:
            self.store.watch(fresh)
            # What is watched already is not told again.
            found = self.store.get_many(known) if known else []
            own.extend((id, doc) for id, doc in zip(known, found, strict=True) if doc is not None)
            yield lambda timeout_s: self._next(own, timeout_s)
        finally:
            self._leave(own, task_ids)

    def _next(self, own: deque[tuple[str, bytes]], timeout_s: float) -> News:
        if not own:
            for task_id, doc in self.store.news(timeout_s):
                for wait in self._waits.get(task_id, ()):
                    wait.append((task_id, doc))
        came = list(own)
        own.clear()
        return came

    def _leave(self, own: deque[tuple[str, bytes]], task_ids: Sequence[str]) -> None:
        gone = []
        for task_id in task_ids:
            others = [wait for wait in self._waits[task_id] if wait is not own]
            if others:
                self._waits[task_id] = others
            else:
                del self._waits[task_id]
                gone.append(task_id)
        self.store.unwatch(gone)
