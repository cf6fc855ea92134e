"""A worker as a group of processes: started in a session of its own, measured as a tree, stopped
completely.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from benches.harness import processes
from benches.harness.effects import Effects
from benches.harness.machine import REPOSITORY

STOP_WITHIN_S = 15.0


class Startable(Protocol):
    """A system as far as a worker needs to know it."""

    @property
    def name(self) -> str:
        """As messages show it."""

    def worker_command(self, concurrency: int) -> list[str]:
        """The command line."""


class Worker:
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
        self._command = system.worker_command(concurrency)
        self._folder = folder
        self.effects = Effects(folder / "effects")
        self._env = {**env, "BENCH_EFFECTS": str(self.effects.folder)}
        self._log = folder / "worker.log"

    def __enter__(self) -> Worker:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environment(self._env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            print(
                f"  {self.system.name}: did not stop within {STOP_WITHIN_S:g} s of SIGTERM; killed",
                flush=True,
            )
        for pid in processes.session(self.pid):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        """The root of the tree: Celery's main process, fastworker's supervisor."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time of the tree so far."""
        return processes.tree_cpu_s(self.pid)

    def await_effects(self, total: int, timeout_s: float, poll_s: float = 0.005) -> float:
        """Wait until ``total`` tasks have run since the start; returns ``time.monotonic()`` of when
        that was seen.

        Raises:
            SystemExit: The worker died, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while (done := self.effects.total()) < total:
            if self._process.poll() is not None:
                raise SystemExit(self._complaint(f"exited with status {self._process.returncode}"))
            if time.monotonic() > deadline:
                raise SystemExit(self._complaint(f"ran {done} of {total} tasks in {timeout_s:g} s"))
            time.sleep(poll_s)
        return time.monotonic()

    def _complaint(self, what: str) -> str:
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return f"{self.system.name} worker: {what}; its log ends with:\n{tail}"


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with the repository importable (in any interpreter) and ``extra`` set."""
    folders = [
        str(REPOSITORY),
        str(REPOSITORY / "python"),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    path = os.pathsep.join(folders)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}
