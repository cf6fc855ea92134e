"""``result_cache_max``: documents of tasks that succeeded, in the client's memory. Source: celery/backends/base.py."""

from __future__ import annotations

import threading
from collections import OrderedDict

from fastworker import states
from fastworker.results.document import Meta

#: Celery's words for "no cache" and "without a bound".
_NONE, _UNBOUNDED = -1, 0


class ResultCache:
    """The documents that were asked for last. Threads share it.

    Args:
        most: How many; -1: none, 0: without a bound.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[str, Meta] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, task_id: str) -> Meta | None:
        """The document of a task, if it is here."""
        if self._most == _NONE:
            return None
        with self._lock:
            found = self._found.get(task_id)
            if found is not None:
                self._found.move_to_end(task_id)
            # Who gets it makes results of its children.
            return None if found is None else dict(found)

    def keep(self, task_id: str, meta: Meta) -> None:
        """Keep a document, if its task succeeded: all others may change."""
        if self._most == _NONE or meta["status"] != states.SUCCESS:
            return
        with self._lock:
            self._found[task_id] = dict(meta)
            self._found.move_to_end(task_id)
            while self._most != _UNBOUNDED and len(self._found) > self._most:
                self._found.popitem(last=False)

    def forget(self, task_id: str) -> None:
        """It is not here any more."""
        with self._lock:
            self._found.pop(task_id, None)
