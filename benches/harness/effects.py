"""Reads the counters that tasks keep (``benches.apps.work``): how many tasks really ran."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

SIZE = 16
"""Two integers: tasks that ran, tasks that started."""


class Effects:
    """The counters of one worker, one file per process in ``folder``, mapped so that reading costs
    no system call.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._counters: dict[str, memoryview] = {}

    def total(self) -> int:
        """Tasks that ran in all processes so far."""
        return sum(counter[0] for counter in self._mapped())

    def in_flight(self) -> int:
        """Tasks that have started and not ended, of those that say when they start."""
        return sum(counter[1] - counter[0] for counter in self._mapped())

    def _mapped(self) -> Iterable[memoryview]:
        for path in self.folder.iterdir():
            if path.name not in self._counters and path.stat().st_size == SIZE:
                with path.open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
                self._counters[path.name] = memoryview(mapped).cast("Q")
        return self._counters.values()

    def pids(self) -> set[int]:
        """Processes that have run a task."""
        return {int(path.name) for path in self.folder.iterdir()}
