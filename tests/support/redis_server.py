"""A Redis of our own on a free port: for machines without one, and for tests that kill and restart
it.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from types import TracebackType

import redis

from tests.support.waiting import wait_until


def free_port() -> int:
    """A loopback TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A private redis-server process; a context manager that stops it.

    Args:
        directory: Where it keeps its log and, if durable, its append-only file.
        is_durable: Append-only file with ``appendfsync always``: what was confirmed survives
            ``kill()``.
        is_encrypted: It listens encrypted only, with the certificate ``server`` of its directory.
    """

    def __init__(
        self, directory: Path, *, is_durable: bool = False, is_encrypted: bool = False
    ) -> None:
        self.directory = directory
        self.is_durable = is_durable
        self.is_encrypted = is_encrypted
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL without database."""
        return f"{'rediss' if self.is_encrypted else 'redis'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or start it again on the same port and data, and wait until it serves.

        Raises:
            RuntimeError: It ended instead; the text has the tail of its log.
        """
        for _ in range(5):
            port = self.port or free_port()
            if self._starts_on(port):
                self.port = port
                return
        log = self.directory / "redis.log"
        tail = log.read_text()[-1000:] if log.exists() else "no log"
        raise RuntimeError(f"redis-server did not start: {tail}")

    def _starts_on(self, port: int) -> bool:
        """Start it on ``port``; False when it ended, as it does when somebody has taken the
        port.
        """
        process = self._process = subprocess.Popen(
            [
                "redis-server",
                *(self._encrypted(port) if self.is_encrypted else ("--port", str(port))),
                *("--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self.directory), "--logfile", str(self.directory / "redis.log")),
                *("--appendonly", "yes" if self.is_durable else "no", "--appendfsync", "always"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: process.poll() is not None or _serves(port, self.is_encrypted),
            f"redis-server on port {port}",
            30,
        )
        return process.poll() is None

    def _encrypted(self, port: int) -> tuple[str, ...]:
        files = {name: str(self.directory / f"server.{name}") for name in ("crt", "key")}
        return (
            *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", files["crt"], "--tls-key-file", files["key"]),
        )

    def kill(self) -> None:
        """SIGKILL: no last write, no farewell."""
        assert self._process is not None, "kill() before start()"
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _serves(port: int, is_encrypted: bool) -> bool:
    # Whose certificate it is does not matter here.
    encryption = {"ssl": True, "ssl_cert_reqs": "none"} if is_encrypted else {}
    with redis.Redis(port=port, socket_connect_timeout=1, socket_timeout=1, **encryption) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
