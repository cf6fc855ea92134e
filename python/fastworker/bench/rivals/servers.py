"""Private brokers, so that nobody else's traffic, data or settings are in the figures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from fastworker.bench.errors import BenchError
from fastworker.bench.probe import RedisProbe

_START_S = 10.0
_STOP_S = 10.0
_POLL_S = 0.02


class Server(Protocol):
    """A broker that was started for one worker."""

    url: str

    def cpu_s(self) -> float:
        """User and system time of the server so far."""


class RedisServer(AbstractContextManager["RedisServer"]):
    """``redis-server`` on a free loopback port, persistence off, stopped by its own handle.

    Args:
        folder: Working directory, for its log.

    Raises:
        BenchError: On entry: there is no such program, or it does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> RedisServer:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [redis_program(), "--port", str(self.port), *options]
        log = self._folder / f"redis-{self.port}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while (probe := self._reached()) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                tail = log.read_text(errors="replace")[-500:]
                raise BenchError(f"redis-server on port {self.port} did not start: {tail}")
            time.sleep(_POLL_S)
        self._probe = probe
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._probe.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _reached(self) -> RedisProbe | None:
        try:
            return RedisProbe(self.url)
        except OSError:
            return None

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def cpu_s(self) -> float:
        """As it reports it itself; microseconds are real."""
        return self._probe.figures().cpu_s


def redis_program() -> str:
    """Where ``redis-server`` is.

    Raises:
        BenchError: Nowhere.
    """
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            return found
    raise BenchError(
        "no redis-server on PATH, and it is what most systems need; install it (apt-get install redis-server)"
    )


def redis_version() -> str:
    """Of that program."""
    done = subprocess.run(
        [redis_program(), "--version"], capture_output=True, text=True, check=True
    )
    words = dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
    return f"{os.path.basename(redis_program()).partition('-')[0]} {words.get('v', 'unknown')}"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
