"""A private Redis server per run, so that nobody else's traffic, data or settings are in the
figures.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import redis

PERSISTENCE = {"none": ["--save", "", "--appendonly", "no"]}
"""Stated in every results file; both sides always use the same."""


class RedisServer:
    """``redis-server`` on a free loopback port, stopped by its own handle.

    Args:
        folder: Working directory, for its log.
        persistence: Key of ``PERSISTENCE``.
    """

    def __init__(self, folder: Path, persistence: str = "none") -> None:
        self._folder = folder
        self._options = PERSISTENCE[persistence]
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.backend_url = f"redis://127.0.0.1:{self.port}/1"
        self.client = redis.Redis(port=self.port)

    def __enter__(self) -> RedisServer:
        binary = shutil.which("redis-server")
        if binary is None:
            raise SystemExit(
                "redis-server: not found on PATH; the benches need it (apt-get install "
                "redis-server)"
            )
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", *self._options]
        with (self._folder / f"redis-{self.port}.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"redis-server on port {self.port}: did not start; see {log.name}")
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(timeout=10)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def cpu_s(self) -> float:
        """User and system time of the server so far, as it reports it itself (microseconds are
        real).
        """
        info = self.client.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def held(self, queue: str) -> int:
        """Messages waiting in ``queue`` or leased by a worker, in kombu's layout."""
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.llen(queue)
            pipeline.hlen("unacked")
            waiting, leased = pipeline.execute()
        return int(waiting) + int(leased)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
