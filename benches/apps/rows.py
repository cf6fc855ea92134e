"""What the tasks of the batches scenario do: write rows into a database, by one transaction for each row or for many.

SQLite with ``synchronous=FULL``, so that a transaction ends with the disk's word, as with a server; each process has a
file of its own, so that no two of them wait for each other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable

from benches.apps import options, work

_opened: tuple[int, sqlite3.Connection] | None = None


def insert(number: int) -> None:
    """One row, one transaction."""
    insert_all([number])


def insert_all(numbers: Iterable[int]) -> None:
    """As many rows as there are, one transaction; each counts as a task that has run."""
    rows = [(number,) for number in numbers]
    with _connection() as connection:
        connection.executemany("INSERT INTO row (number) VALUES (?)", rows)
    for _ in rows:
        work.count()


def _connection() -> sqlite3.Connection:
    """Opened by each process at its first task."""
    global _opened
    pid = os.getpid()
    if _opened is None or _opened[0] != pid:
        connection = sqlite3.connect(options.EFFECTS_DIR.parent / f"rows-{pid}.db")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE row (number INTEGER)")
        _opened = pid, connection
    return _opened[1]
