"""A program in a terminal of its own: keys are typed, and its screen is read."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyte

from tests.support.waiting import wait_until


class Terminal:
    """Runs a command in a pseudo terminal; a context manager that kills it at the end.

    Args:
        command: The command line.
        environment: All of it.
        rows, columns: Its first size.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        rows: int = 24,
        columns: int = 100,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.raw = b""
        self._master, self.slave = pty.openpty()
        self._set_size(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        # A size in the environment, which pytest-xdist leaves there, goes before the terminal's own.
        own = {name: text for name, text in environment.items() if name not in {"COLUMNS", "LINES"}}
        self._process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**own, "TERM": "xterm-256color"},
            preexec_fn=self._take_terminal,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _take_terminal(self) -> None:
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                written = os.read(self._master, 65536)
            except OSError:
                return
            with self._lock:
                self.raw += written
                self._stream.feed(written)

    def resize(self, rows: int, columns: int) -> None:
        """As when somebody pulls at the window; the kernel tells the program."""
        with self._lock:
            self._screen.resize(rows, columns)
        self._set_size(rows, columns)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def color(self, text: str) -> str:
        """The colour in which this is written."""
        with self._lock:
            for y, line in enumerate(self._screen.display):
                if text in line:
                    return str(self._screen.buffer[y][line.index(text)].fg)
        raise AssertionError(f"{text!r} is not on the screen:\n" + "\n".join(self.lines))

    def wait_for(self, *texts: str, timeout_s: float = 20) -> list[str]:
        """Wait until all of this is on the screen, which is returned."""

        return self.wait_until(
            lambda lines: all(text in "\n".join(lines) for text in texts),
            f"{texts} on the screen",
            timeout_s,
        )

    def wait_until(
        self, is_seen: Callable[[list[str]], bool], what: str, timeout_s: float = 20
    ) -> list[str]:
        """Wait until the screen's lines are so, and return them.

        Raises:
            TimeoutError: They are not within ``timeout_s`` seconds; the text has ``what`` and the screen.
        """

        def seen() -> list[str]:
            lines = self.lines
            return lines if is_seen(lines) else []

        try:
            return wait_until(seen, what, timeout_s)
        except TimeoutError as error:
            raise TimeoutError("\n".join([str(error), *self.lines])) from error

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        self._process.send_signal(number)

    def wait_ended(self, timeout_s: float = 20) -> int:
        """Its exit status."""
        return self._process.wait(timeout_s)

    def modes_now(self) -> list[Any]:
        """How the terminal takes keys."""
        return termios.tcgetattr(self.slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        # The last one who has it open: the reader ends.
        os.close(self.slave)
        self._reader.join(5)
        os.close(self._master)
        if kind is not None:
            print("--- screen", *self.lines, sep="\n")
