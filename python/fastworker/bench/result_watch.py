"""How long a client waits for a result that is there: from the moment when the worker wrote it until a client that
waits for it has it. Of some calls only, since each that is waited for is work for the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fastworker import _core, states
from fastworker.bench.errors import BenchError

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Calls of a phase whose results are waited for.
MOST = 200
_NEWS_S = 0.2
_START_S = 10.0
#: How long the last results are waited for, once all tasks have ended.
_PATIENCE_S = 1.0


def sample(count: int) -> range:
    """Which of so many calls are watched: evenly spread, ``MOST`` or a few more at most."""
    return range(0, count, max(1, count // MOST))


@contextmanager
def watched(app: FastWorker, task_ids: Sequence[str]) -> Iterator[_core.Histogram]:
    """Wait for the results of these calls while the block runs; what is measured is complete after it.

    Args:
        app: Whose result store. Without one, or with one that answers only to who published, nothing is measured.
        task_ids: Calls that have not been published.

    Raises:
        BenchError: The store cannot be asked.
    """
    measured = _core.Histogram()
    if not task_ids or not app.backend.persistent:
        yield measured
        return
    watch = _Watch(app, task_ids, measured)
    thread = threading.Thread(target=watch.run, daemon=True, name="bench-results")
    thread.start()
    try:
        if not watch.is_listening.wait(_START_S):
            raise BenchError(f"the result store does not answer within {_START_S:g} s")
        yield measured
    finally:
        watch.is_over.set()
        thread.join()
    if watch.failure is not None:
        raise BenchError(f"results cannot be measured: {watch.failure}") from watch.failure


class _Watch:
    def __init__(self, app: FastWorker, task_ids: Sequence[str], measured: _core.Histogram) -> None:
        self._backend = app.backend
        self._task_ids = task_ids
        self._measured = measured
        self.is_listening = threading.Event()
        self.is_over = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """On its thread, which has a connection of its own."""
        try:
            self._listen()
        except Exception as exc:
            self.failure = exc
        finally:
            self.is_listening.set()

    def _listen(self) -> None:
        missing = set(self._task_ids)
        deadline: float | None = None
        with self._backend.shared_news.of(self._task_ids) as news:
            while missing and (deadline is None or time.monotonic() < deadline):
                came, now = news(_NEWS_S if self.is_listening.is_set() else 0.0), time.time()
                self.is_listening.set()
                for task_id, doc in came:
                    meta = self._backend.decode(task_id, doc)
                    if meta["status"] in states.READY_STATES and task_id in missing:
                        missing.remove(task_id)
                        self._measured.record(
                            max(0, round((now - _written(meta["date_done"])) * 1e6))
                        )
                if deadline is None and self.is_over.is_set():
                    deadline = time.monotonic() + _PATIENCE_S


def _written(date_done: str | datetime) -> float:
    """Unix time."""
    moment = datetime.fromisoformat(date_done) if isinstance(date_done, str) else date_done
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
