"""Reads the counters that tasks keep (``benches.apps.work``): how many tasks really ran."""

from __future__ import annotations

import mmap
from pathlib import Path


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
        for path in self.folder.iterdir():
            if path.name not in self._counters and path.stat().st_size == 8:
                with path.open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
                self._counters[path.name] = memoryview(mapped).cast("Q")
        return sum(counter[0] for counter in self._counters.values())

    def pids(self) -> set[int]:
        """Processes that have run a task."""
        return {int(path.name) for path in self.folder.iterdir()}
