"""fastworker's embedded queue, seen from outside: the harness reads and moves rows with Python's
own sqlite3.

This is the one place that knows tables of the product; it runs in a process that has not loaded the
product, since two copies of SQLite in one process would break each other's file locks.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


class SqliteFile:
    """One queue file in ``folder``; results go to the same file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "queue.sqlite3"
        self.url = f"sqlite:///{self.path}"
        self.backend_url = self.url

    def cpu_s(self) -> float:
        """There is no server; what SQLite costs is in its users' processes."""
        return 0.0

    def held(self, queue: str) -> int:
        """Messages waiting in ``queue`` or leased by a worker."""
        with closing(self._open()) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM ready WHERE ready.queue = queues.id) + "
                "(SELECT count(*) FROM leased WHERE leased.queue = queues.id) "
                "FROM queues WHERE name = ?",
                (queue,),
            ).fetchone()
        return int(found[0]) if found else 0

    def move(self, source: str, target: str) -> None:
        """Make all messages of ``source`` those of ``target`` in one transaction, and wake the
        sleepers.

        Sleepers are woken by the file's timestamp (``rust/broker/src/sqlite/wake.rs``).
        """
        with closing(self._open()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO queues(name) VALUES (?)", (target,))
            connection.execute(
                "UPDATE ready SET queue = (SELECT id FROM queues WHERE name = ?) "
                "WHERE queue = (SELECT id FROM queues WHERE name = ?)",
                (target, source),
            )
        os.utime(self.path)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.path}?mode=rw", uri=True, timeout=10)
