"""Calling a function again and again, on a thread. Source: kombu's ``Timer``, as far as cameras use it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("fastworker.events.timer")


class Entry:
    """A call that is repeated; called itself, it does it once more at once.

    Args:
        secs: Seconds between two beginnings.
        call: What is called.
    """

    def __init__(self, secs: float, call: Callable[[], object]) -> None:
        self.secs = secs
        self.due = time.monotonic() + secs
        self.cancelled = False
        self._call = call

    def __call__(self) -> object:
        return self._call()

    def cancel(self) -> None:
        """Call it no more. One call that has begun goes on."""
        self.cancelled = True


class Timer:
    """Repeats calls on one daemon thread, which is there from the first of them to ``stop``.

    What a call raises is logged, and it is repeated all the same. A call that takes longer than the time between two
    of them is repeated at once, and what was due meanwhile is left out.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call_repeatedly(
        self, secs: float, fun: Callable[..., object], args: Any = (), kwargs: Any = None
    ) -> Entry:
        """Call ``fun(*args, **kwargs)`` every ``secs`` seconds, the first time after that."""
        entry = Entry(secs, lambda: fun(*args, **(kwargs or {})))
        with self._changed:
            self._entries.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return entry

    def stop(self) -> None:
        """End all calls; one that has begun is waited for."""
        with self._changed:
            self._entries.clear()
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            try:
                entry()
            except Exception:
                logger.exception("a repeated call has failed: %r", entry._call)
            entry.due = max(entry.due + entry.secs, time.monotonic())

    def _next(self) -> Entry | None:
        """The next one that is due, once it is; None: it was stopped."""
        with self._changed:
            while True:
                self._entries = [entry for entry in self._entries if not entry.cancelled]
                if self._thread is not threading.current_thread():
                    return None
                first = min(self._entries, key=lambda entry: entry.due, default=None)
                left = None if first is None else first.due - time.monotonic()
                if first is not None and left is not None and left <= 0:
                    return first
                self._changed.wait(left)
