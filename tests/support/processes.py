"""Who runs below a process, read from /proc; used to kill one role of a worker and to find what was
left behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One line of the process table.

    Attributes:
        pid: Its id.
        parent: Id of its parent now; orphans are adopted.
        session: Session id, which survives the parent's death.
        state: The letter of ``/proc/<pid>/stat``; ``Z`` is dead and not yet reaped.
        title: Its command line, arguments separated by spaces.
    """

    pid: int
    parent: int
    session: int
    state: str
    title: str


def read(pid: int) -> Process | None:
    """Read one process; None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        title = (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
        )
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return Process(pid, int(fields[1]), int(fields[3]), fields[0], title.strip())


def table() -> list[Process]:
    """All live processes (zombies left out)."""
    found = (read(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None and process.state != "Z"]


def below(pid: int) -> list[Process]:
    """The live descendants of ``pid``, parents before children."""
    rows = table()
    found: list[Process] = []
    frontier = {pid}
    while frontier:
        layer = [row for row in rows if row.parent in frontier]
        found += layer
        frontier = {row.pid for row in layer}
    return found


def in_session(session: int) -> list[Process]:
    """The live processes of one session: a worker's own ones, orphans included."""
    return [row for row in table() if row.session == session]


def kill_all(processes: Iterable[Process]) -> None:
    """SIGKILL each; those that are gone already are what was wanted."""
    for process in processes:
        kill(process.pid)


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal; False when the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
