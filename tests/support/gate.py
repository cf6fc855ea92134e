"""A task that a test holds: it says when it has started, and ends when the test lets it."""

from __future__ import annotations

import contextlib
import io
import os
import select
from pathlib import Path
from types import TracebackType

from tests.support.waiting import wait_until


class Gate:
    """A named pipe and a log of starts; ``hold(gate.path)`` in a task waits for one ``release()``.

    A context manager: at the end every waiting task is let go.
    """

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self.path = str(directory / name)
        os.mkfifo(self.path)
        # Open for both, so that neither end ever waits for the other to open, and released bytes
        # are kept.
        self._file = os.open(self.path, os.O_RDWR)

    @property
    def starts(self) -> list[int]:
        """Pids of the processes that entered, in order; a redelivered task appears again."""
        return [int(line) for line in read_lines(self.path + ".starts")]

    def wait_started(self, count: int = 1, timeout_s: float = 15.0) -> list[int]:
        """Wait until ``count`` tasks have entered; their pids."""
        wait_until(lambda: len(self.starts) >= count, f"{count} started task(s)", timeout_s)
        return self.starts

    def release(self, count: int = 1) -> None:
        """Let ``count`` tasks end, now or when they come."""
        os.write(self._file, b"." * count)

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release(1000)
        os.close(self._file)


def hold(path: str) -> None:
    """The task's side: note the start, wait for a byte."""
    append_line(path + ".starts", str(os.getpid()))
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # Every pool has a way to interrupt this, and to run others meanwhile.
        while not _took_one(pipe):
            select.select([pipe], [], [], 0.05)
    finally:
        os.close(pipe)


def _took_one(pipe: int) -> bool:
    # Another task may have been faster.
    with contextlib.suppress(BlockingIOError):
        return os.read(pipe, 1) != b""
    return False


def hold_in_place(path: str) -> None:
    """As ``hold``, with nothing but the kernel: whatever makes greenlets wait for each other may be closed."""
    append_line(path + ".starts", str(os.getpid()))
    with io.FileIO(path) as pipe:
        pipe.read(1)


def append_line(path: str, line: str) -> None:
    """Append in one write, so that lines of several processes never mix, and a kill loses none that
    returned.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode() + b"\n")
    finally:
        os.close(file)


def read_lines(path: str) -> list[str]:
    """The lines of a file that may not exist yet."""
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []
