"""What can be asked of a broker's server: version, persistence, its own CPU time, commands and bytes, and how far
away it is.

Only Redis and its kin have figures of their own; an embedded broker is part of the processes that use it.
"""

from __future__ import annotations

import socket
import sqlite3
import ssl
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

_TIMEOUT_S = 5.0
_PINGS = 50


@dataclass(frozen=True)
class Figures:
    """Counters of a server; None: it does not count that.

    Attributes:
        cpu_s: CPU seconds since its start.
        thread_s: Of these, those of the one thread that runs commands.
        commands: Commands that it has processed.
        bytes_in, bytes_out: Over the network.
    """

    cpu_s: float
    thread_s: float | None = None
    commands: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None

    def __sub__(self, before: Figures) -> Figures:
        """What was used since."""

        def less(now: int | None, then: int | None) -> int | None:
            return None if now is None or then is None else now - then

        thread_s = None
        if self.thread_s is not None and before.thread_s is not None:
            thread_s = self.thread_s - before.thread_s
        return Figures(
            self.cpu_s - before.cpu_s,
            thread_s,
            less(self.commands, before.commands),
            less(self.bytes_in, before.bytes_in),
            less(self.bytes_out, before.bytes_out),
        )


class Probe(Protocol):
    """Something that can be asked what a server has used."""

    def figures(self) -> Figures:
        """The counters now."""
        ...

    def facts(self) -> dict[str, Any]:
        """``version`` and ``persistence``."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class RedisProbe:
    """A connection of its own to a Redis server, which asks ``INFO`` and ``PING``.

    Args:
        url: ``redis://``, ``rediss://`` or of Valkey.

    Raises:
        OSError: It cannot be reached, or refuses.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection(
            (parts.hostname or "127.0.0.1", parts.port or 6379), _TIMEOUT_S
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme in ("rediss", "valkeys"):
            context = ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._file = self._socket.makefile("rb")
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            self._ask("AUTH", *user, unquote(parts.password))

    def _ask(self, *words: str) -> bytes:
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            raw = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
        self._socket.sendall(b"".join(parts))
        line = self._file.readline()
        if line[:1] == b"$":
            return self._file.read(int(line[1:]) + 2)
        if line[:1] != b"+":
            raise OSError(f"the server answers {line!r} to {words[0]}")
        return line

    def info(self) -> dict[str, str]:
        """All of ``INFO``."""
        lines = self._ask("INFO", "everything").decode().splitlines()
        return {key: value for key, _, value in (line.partition(":") for line in lines) if value}

    def figures(self) -> Figures:
        """The counters now."""
        info = self.info()
        thread = [
            float(info[name])
            for name in ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
            if name in info
        ]
        return Figures(
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
            sum(thread) if thread else None,  # of Redis 6.2 or newer
            int(info["total_commands_processed"]),
            int(info["total_net_input_bytes"]),
            int(info["total_net_output_bytes"]),
        )

    def facts(self) -> dict[str, Any]:
        """``version`` and ``persistence``."""
        info = self.info()
        kept = [
            name
            for name, is_on in (
                ("append-only file", info.get("aof_enabled") == "1"),
                ("snapshots", self._has_snapshots()),
            )
            if is_on
        ]
        name = "valkey" if "valkey_version" in info else "redis"
        version = info.get("valkey_version") or info.get("redis_version")
        return {"version": f"{name} {version}", "persistence": ", ".join(kept) or "none"}

    def _has_snapshots(self) -> bool | None:
        self._socket.sendall(b"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n")
        head = self._file.readline()
        if head[:1] != b"*" or head[1:].strip() == b"0":
            return None  # the server does not let us ask
        values = []
        for _ in range(int(head[1:])):
            size = int(self._file.readline()[1:])
            values.append(self._file.read(size + 2)[:-2])
        return bool(values[1])

    def rtt_s(self) -> float:
        """Median round trip."""
        return round_trip_s(lambda: self._ask("PING"))

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()


def is_redis(url: str) -> bool:
    """A server that ``RedisProbe`` can ask: one, and reached directly."""
    return urlsplit(url).scheme in ("redis", "rediss", "valkey", "valkeys") and ";" not in url


def round_trip_s(ask: Callable[[], object]) -> float:
    """Median duration of a question."""
    times_s = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        ask()
        times_s.append(time.perf_counter() - began)
    return statistics.median(times_s)


def embedded_facts(url: str) -> dict[str, Any]:
    """``version`` and ``persistence`` of a broker in a file or in memory; of a server that cannot be asked, None."""
    if url.startswith("sqlite"):
        return {
            "version": f"sqlite (bundled; Python's is {sqlite3.sqlite_version})",
            "persistence": "file",
        }
    return {"version": None, "persistence": None}
