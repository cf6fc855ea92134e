"""The worker as a child process: what a terminal with ``fastworker -A tasks worker`` would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

FOLDER = Path(__file__).parent
LOG = FOLDER / ".fastworker" / "worker.log"
STOP_WITHIN_S = 15.0


class WorkerStopped(Exception):
    """The worker cannot go on; the text says what is known."""


class Worker:
    """A running worker; leaving the ``with`` block lets it finish its tasks and stops it.

    Args:
        concurrency: Processes that run tasks.
    """

    def __init__(self, concurrency: int) -> None:
        self._command = [sys.executable, "-m", "fastworker", "-A", "tasks", "worker"]
        self._command += ["--concurrency", str(concurrency), "--loglevel", "INFO"]

    def __enter__(self) -> Worker:
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("wb") as log:
            # A session of its own: the terminal's Ctrl-C comes to us alone, and we stop the worker.
            self._process = subprocess.Popen(
                self._command, cwd=FOLDER, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """SIGTERM lets running tasks finish; what is still queued stays in the queue."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_WITHIN_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def pause(self, seconds: float) -> None:
        """Wait a moment, but not for a worker that is gone.

        Raises:
            WorkerStopped: It exited; with the end of its log.
        """
        try:
            status = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
        raise WorkerStopped(f"the worker exited with status {status}; its log ends with:\n{tail}")
