"""Worker processes started as a user starts them: by the command line, in a session of their own,
logs collected.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support import processes
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def command(name: str) -> str:
    """Path of an installed command (``fastworker``, ``celery``) of the interpreter that runs the
    tests.
    """
    return str(Path(sys.executable).parent / name)


class WorkerProcess:
    """One worker node; a context manager that stops it warmly, and by force when it does not.

    Args:
        arguments: The whole command line.
        environment: Added to ours.
        cwd: Where it starts; the repository's root unless given.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.arguments = list(arguments)
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._is_open = True
        full = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{cwd}:{ROOT}",
            **(environment or {}),
        }
        # Plain text in logs, whatever the terminal of the person who runs the tests is.
        full.update(NO_COLOR="1", TERM="dumb")
        self._process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=full,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def _is_celery(self) -> bool:
        return Path(self.arguments[0]).name == "celery"

    @property
    def pid(self) -> int:
        """The supervisor's pid; also its session's."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it printed so far."""
        with self._changed:
            return "".join(self._lines)

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def wait_for_line(self, pattern: str, timeout_s: float = 20.0, count: int = 1) -> re.Match[str]:
        """Wait until ``count`` places of the log match; returns the last match.

        Raises:
            TimeoutError: Not in time, or it ended; the text has the log.
        """
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            found[:] = re.finditer(pattern, "".join(self._lines), re.MULTILINE)
            return len(found) >= count or not self._is_open

        with self._changed:
            self._changed.wait_for(is_there, timeout_s)
        if len(found) < count:
            raise TimeoutError(
                f"no log line like {pattern!r} ({count}x) in {timeout_s} s; the log:\n{self.log}"
            )
        return found[-1]

    def wait_ready(self, timeout_s: float = 30.0) -> WorkerProcess:
        """Wait for ``ready.``, which both frameworks print once they consume."""
        self.wait_for_line(r"ready\.", timeout_s)
        return self

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor alone."""
        processes.kill(self.pid, number)

    def wait_ended(self, timeout_s: float = 30.0) -> int:
        """Wait for the end of the supervisor; its exit status (negative: the signal)."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(
                f"worker runs on after {timeout_s} s; the log:\n{self.log}"
            ) from error
        self._reader.join(5)
        return status

    def stop(self, timeout_s: float = 30.0) -> int:
        """Warm shutdown (SIGTERM) and wait for the end."""
        self.signal(signal.SIGTERM)
        return self.wait_ended(timeout_s)

    def kill(self) -> None:
        """SIGKILL to the supervisor alone: what the kernel's memory killer does."""
        self._process.kill()
        self._process.wait()

    def kill_node(self) -> None:
        """SIGKILL to every process of the node: what a power cut does."""
        processes.kill_all(processes.in_session(self.pid))
        self._process.wait()

    def members(self) -> list[processes.Process]:
        """Live processes of the node, the supervisor and orphans of it included."""
        return processes.in_session(self.pid)

    def wait_no_members(self, timeout_s: float = 15.0) -> None:
        """Wait until no process of the node is left."""
        wait_until(lambda: not self.members(), "the node's processes to end", timeout_s)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Celery's worker does not always come to the end of a warm shutdown, which is not ours to show.
            if self.returncode is None and kind is None and not self._is_celery:
                self.stop()
        finally:
            processes.kill_all(self.members())
            self._process.wait()
            self._reader.join(5)
            assert self._process.stdout is not None
            self._process.stdout.close()
            # Shown with a test that fails, whose exception never gets here.
            print(f"--- log of {' '.join(self.arguments)}\n{self.log}")
