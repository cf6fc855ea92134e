"""``app.clock``: a logical clock, as Celery's messages between nodes carry it."""

from __future__ import annotations

import threading


class LamportClock:
    """Counts events; of two that know of each other the later one has the larger number.

    Source: kombu.clocks.LamportClock.
    """

    def __init__(self, initial_value: int = 0) -> None:
        self.value = initial_value
        self._lock = threading.Lock()

    def adjust(self, other: int) -> int:
        """Take note of another node's time, which came with its message."""
        with self._lock:
            self.value = max(self.value, int(other)) + 1
            return self.value

    def forward(self) -> int:
        """The next number."""
        with self._lock:
            self.value += 1
            return self.value
