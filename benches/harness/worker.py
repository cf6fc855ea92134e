"""A worker of the benches: a process tree that counts the tasks that it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from benches.harness.effects import Effects
from benches.harness.machine import REPOSITORY
from fastworker.bench.errors import BenchError
from fastworker.bench.rivals.worker_process import WorkerProcess


class Startable(Protocol):
    """A system as far as a worker needs to know it."""

    @property
    def name(self) -> str:
        """As messages show it."""

    def worker_command(self, concurrency: int) -> list[str]:
        """The command line."""


class Worker(WorkerProcess):
    """One system's worker node; ready for a measurement once it has run its warm-up tasks.

    Args:
        system: Which.
        concurrency: Processes that run tasks.
        folder: Empty directory for log and counters; also the working directory.
        env: The application's options (``benches.apps.options``).
    """

    def __init__(
        self, system: Startable, concurrency: int, folder: Path, env: Mapping[str, str]
    ) -> None:
        self.system = system
        self.effects = Effects(folder / "effects")
        variables = environment({**env, "BENCH_EFFECTS": str(self.effects.folder)})
        super().__init__(system.name, system.worker_command(concurrency), folder, variables)

    def __enter__(self) -> Worker:
        super().__enter__()
        return self

    def await_effects(self, total: int, timeout_s: float, poll_s: float = 0.005) -> float:
        """Wait until ``total`` tasks have run since the start; returns ``time.monotonic()`` of when
        that was seen.

        Raises:
            BenchError: The worker died, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while (done := self.effects.total()) < total:
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.name} ran {done} of {total} tasks in {timeout_s:g} s{self.last_words()}"
                )
            time.sleep(poll_s)
        return time.monotonic()


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with the repository importable (in any interpreter) and ``extra`` set."""
    folders = [
        str(REPOSITORY),
        str(REPOSITORY / "python"),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    path = os.pathsep.join(folders)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}
