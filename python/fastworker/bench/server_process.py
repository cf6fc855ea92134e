"""The CPU time of a server that does not tell its own, if it runs on this machine: of the process that listens at the
broker's port.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastworker.bench.probe import Figures

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"
_PORTS = {"amqp": 5672, "amqps": 5671, "pyamqp": 5672}


class ServerProcess:
    """A server whose process is known.

    Args:
        pid: Of it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def figures(self) -> Figures:
        """CPU time only.

        Raises:
            OSError: It has ended.
        """
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return Figures(sum(map(int, fields[11:13])) * _TICKS_S)

    def facts(self) -> dict[str, Any]:
        """Not known."""
        return {"version": None, "persistence": None}

    def close(self) -> None:
        """Nothing is open."""


def find(url: str) -> ServerProcess | None:
    """The server at this URL; None if it is on another machine, or its process may not be looked at."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    if port is None or ";" in url or not _is_here(parts.hostname or "127.0.0.1"):
        return None
    sockets = set(_listening(port))
    for entry in Path("/proc").iterdir() if sockets else ():
        if entry.name.isdecimal() and not sockets.isdisjoint(_links(entry / "fd")):
            return ServerProcess(int(entry.name))
    return None


def _links(descriptors: Path) -> list[str]:
    """What the file descriptors of a process are links to; none where that may not be seen."""
    found = []
    try:
        for descriptor in descriptors.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(descriptor))
    except OSError:  # somebody else's, or it has ended
        return []
    return found


def _is_here(host: str) -> bool:
    try:
        addresses = {answer[4][0] for answer in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(str(address).startswith("127.") or address == "::1" for address in addresses)


def _listening(port: int) -> Iterator[str]:
    """What a file descriptor of a socket that listens at a port is a link to."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:  # no such protocol here
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
