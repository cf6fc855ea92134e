"""A worker as a group of processes: started in a session of its own, measured as a tree, stopped completely."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import process_tree

STOP_WITHIN_S = 15.0
_CALM_WINDOW_S = 0.1
#: A worker whose tree uses less of one core than this is idle; some poll.
_CALM_SHARE = 0.3
_LOG_LINES = 15


class WorkerProcess:
    """One system's worker.

    Args:
        name: As messages show it.
        command: The command line.
        folder: For its log; also the working directory.
        environment: All of its environment.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._log = folder / "worker.log"
        #: Whether it had to be killed at the end.
        self.was_killed = False

    def __enter__(self) -> WorkerProcess:
        with self._log.open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as exc:
                raise BenchError(f"the worker cannot be started: {exc}") from exc
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
            self.was_killed = True
        for pid in process_tree.session(self.pid):
            _signal(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        """The root of the tree: Celery's main process, fastworker's supervisor."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time of the tree so far."""
        return process_tree.tree_cpu_s(self.pid)

    def memory_bytes(self) -> int:
        """Proportional set size of the tree."""
        return process_tree.tree_pss_bytes(self.pid)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still (SIGSTOP)."""
        tree = process_tree.tree(self.pid)
        for pid in tree:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(tree):
                _signal(pid, signal.SIGCONT)

    def await_calm(self, timeout_s: float) -> None:
        """Wait until it is idle: what it does after the last task (acknowledging) is over.

        Raises:
            BenchError: It is busy all that time, or has ended.
        """
        deadline = time.monotonic() + timeout_s
        before = self.cpu_s()
        while True:
            time.sleep(_CALM_WINDOW_S)  # the window that is measured
            now = self.cpu_s()
            self.check()
            if now - before < _CALM_SHARE * _CALM_WINDOW_S:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"all tasks ran, but the worker was busy for {timeout_s:g} s more")
            before = now

    def check(self) -> None:
        """See that it lives.

        Raises:
            BenchError: It has ended; the text has the end of its log.
        """
        if self._process.poll() is not None:
            raise BenchError(
                f"the worker exited with status {self._process.returncode}{self.last_words()}"
            )

    def last_words(self) -> str:
        """The end of its log, for a message."""
        tail = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "; the end of its log:\n" + "\n".join(tail) if tail else "; its log is empty"


def _signal(pid: int, number: int) -> None:
    """To a process that may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
