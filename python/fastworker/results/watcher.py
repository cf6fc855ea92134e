"""Awaiting results: one thread and one connection for a result store, whatever the number of awaits.

The thread watches all awaited tasks at once (``ResultStore.watch`` and ``news``): on Redis that is one subscription a
task, and results come by push; on SQLite one look at the file after each bell. It looks up from waiting every few
milliseconds to see what else is to be watched, so a new await begins to be watched that much later at worst, which
costs time only to a result that was there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from fastworker.errors import OperationalError
from fastworker.on_demand import BlockedWaiter, Inbox, OnDemandThread, Waiter, finish

#: Longest wait for news before looking for new awaits, in seconds.
_SLICE_S = 0.005
#: How long a store may be away before those who wait are told, in seconds, and the pause between two tries.
_PATIENCE_S = 5.0
_PAUSE_S = 0.1


class Store(Protocol):
    """What is needed of ``_core.ResultStore``."""

    def get_many(self, task_ids: list[str], /) -> list[bytes | None]:
        """Documents in the order asked."""

    def watch(self, task_ids: list[str], /) -> None:
        """Watch these too."""

    def unwatch(self, task_ids: list[str], /) -> None:
        """Watch these no longer."""

    def news(self, timeout_s: float, /) -> list[tuple[str, bytes]]:
        """What was stored."""

    def close(self) -> None:
        """End the connection; the next call opens another."""


class ResultWatcher:
    """The awaits of one result store.

    Args:
        open_store: Makes the connection that the thread uses alone.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._failing_since: float | None = None
        self._forget()
        self._thread = OnDemandThread(
            "fastworker-results", self._has_work, self._turn, self._forget
        )

    async def change(self, task_id: str, seen: bytes | None) -> bytes:
        """Wait for a document of ``task_id`` that differs from ``seen``.

        Raises:
            OperationalError: The store has not answered for some seconds.
        """
        waiter = Waiter()
        self._enter(task_id, seen, waiter)
        try:
            document: bytes = await waiter.future
            return document
        finally:
            self._leave(task_id, waiter)

    def wait(self, task_id: str, seen: bytes | None, timeout_s: float) -> bytes | None:
        """``change`` for a greenlet; None when the time is over."""
        waiter = BlockedWaiter()
        self._enter(task_id, seen, waiter)
        try:
            document: bytes | None = waiter.wait(timeout_s)
            return document
        finally:
            self._leave(task_id, waiter)

    async def get_many(self, task_ids: list[str]) -> list[bytes | None]:
        """The documents as they are, in the order asked.

        Raises:
            OperationalError: The store has not answered for some seconds.
        """
        waiter = Waiter()
        with self._thread.changed:
            self._asked.append((task_ids, waiter))
            self._thread.wake()
        found: list[bytes | None] = await waiter.future
        return found

    @contextmanager
    def of(self, task_ids: Sequence[str]) -> Iterator[Callable[[float], list[tuple[str, bytes]]]]:
        """Watch these tasks for a block of a greenlet, which gets ``news(timeout_s)``: ``(id, document)`` of what was
        stored, at once if there is something.

        ``news`` raises what ``wait`` does.
        """
        inbox = Inbox()
        waiters = [(task_id, inbox.waiter(task_id)) for task_id in task_ids]
        try:
            for task_id, waiter in waiters:
                self._enter(task_id, None, waiter)
            yield inbox.news
        finally:
            for task_id, waiter in waiters:
                self._leave(task_id, waiter)

    def close(self) -> None:
        """Close the connection, unless somebody awaits something."""
        with self._thread.changed:
            if not self._has_work() and self._store is not None:
                self._store.close()

    def _enter(self, task_id: str, seen: bytes | None, waiter: Waiter | BlockedWaiter) -> None:
        with self._thread.changed:
            others = self._waiting.setdefault(task_id, {})
            (self._joined if others else self._fresh).append(task_id)
            others[waiter] = seen
            self._thread.wake()

    def _leave(self, task_id: str, waiter: Waiter | BlockedWaiter) -> None:
        with self._thread.changed:
            waiters = self._waiting.get(task_id)
            if waiters is None:  # a fork has forgotten all of them
                return
            waiters.pop(waiter, None)
            if not waiters:
                del self._waiting[task_id]
                self._gone.append(task_id)

    def _forget(self) -> None:
        #: Who waits for what, and what they have seen.
        self._waiting: dict[str, dict[Waiter | BlockedWaiter, bytes | None]] = {}
        #: To be watched, no longer to be watched, and to be looked at: watched already, and somebody joined.
        self._fresh: list[str] = []
        self._gone: list[str] = []
        self._joined: list[str] = []
        #: To be looked at once.
        self._asked: list[tuple[list[str], Waiter]] = []
        self._store = None

    # ---------------------------------------------------------------------------------------------- on the thread

    def _has_work(self) -> bool:
        return bool(self._waiting or self._gone or self._asked)

    def _turn(self) -> None:
        with self._thread.changed:
            fresh = [task_id for task_id in self._fresh if task_id in self._waiting]
            gone, joined, asked = self._gone, self._joined, self._asked
            self._fresh, self._gone, self._joined, self._asked = [], [], [], []
        try:
            if self._store is None:
                self._store = self._open_store()
            self._store.unwatch(gone)
            self._store.watch(fresh)
            found = self._store.get_many(joined) if joined else []
            for task_id, document in zip(joined, found, strict=True):
                if document is not None:
                    self._tell(task_id, document)
            while asked:
                task_ids, waiter = asked[0]
                finish([(waiter, self._store.get_many(task_ids))])
                del asked[0]
            for task_id, document in self._store.news(_SLICE_S):
                self._tell(task_id, document)
            self._failing_since = None
        except OperationalError as exc:
            with self._thread.changed:
                self._joined += joined
                self._asked += asked
            self._suffer(exc)
        except Exception as exc:  # whatever it is, those who wait must hear of it
            finish([(waiter, exc) for _, waiter in asked])
            self._tell_all(exc)

    def _tell(self, task_id: str, document: bytes) -> None:
        with self._thread.changed:
            waiters = self._waiting.get(task_id, {})
            told = [(waiter, document) for waiter, seen in waiters.items() if seen != document]
            # Not again: one looks first and hears of it besides.
            waiters.update(told)
        finish(told)

    def _suffer(self, exc: OperationalError) -> None:
        """The store does not answer: try again for a while, then say so. It looks at all that is watched again."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > _PATIENCE_S:
            self._tell_all(exc)
        time.sleep(_PAUSE_S)

    def _tell_all(self, exc: Exception) -> None:
        with self._thread.changed:
            told = [(waiter, exc) for waiters in self._waiting.values() for waiter in waiters]
            told += [(waiter, exc) for _, waiter in self._asked]
            self._asked = []
        finish(told)
