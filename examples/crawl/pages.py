"""Where a crawl keeps what it knows: one SQLite file, one row per page.

The primary key is what makes "have we seen this link?" atomic between worker processes: whoever
inserts the row owns the discovery. A crawl is over when no row is waiting, so the end is a fact
that can be read, not a pause that has to be guessed.

    waiting ── fetched ──> done
       └────── error ────> failed        (``note`` says why)
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / ".fastworker" / "crawl.sqlite3"

SCHEMA = """
CREATE TABLE IF NOT EXISTS crawl(
    id INTEGER PRIMARY KEY, start_url TEXT NOT NULL, started REAL NOT NULL,
    max_pages INTEGER NOT NULL, delay_s REAL NOT NULL, is_stopped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS page(
    crawl INTEGER NOT NULL REFERENCES crawl(id), url TEXT NOT NULL, found_on TEXT,
    state TEXT NOT NULL DEFAULT 'waiting', title TEXT, bytes INTEGER, links INTEGER, note TEXT,
    queued REAL NOT NULL, finished REAL,
    PRIMARY KEY(crawl, url)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS page_found_on ON page(crawl, found_on) WHERE state = 'waiting';
"""


@dataclass(frozen=True)
class Crawl:
    """One crawl's limits.

    Attributes:
        id: Its number in the file.
        start_url: Where it began; only this host is visited.
        max_pages: No more pages than this are ever queued.
        delay_s: Pause of a worker process after each request, for politeness.
        is_stopped: Nothing more is to be fetched.
    """

    id: int
    start_url: str
    max_pages: int
    delay_s: float
    is_stopped: bool


@dataclass(frozen=True)
class Progress:
    """Counts of pages. ``links`` is the number of links seen, repeated ones included."""

    waiting: int
    done: int
    failed: int
    links: int

    @property
    def is_over(self) -> bool:
        """Every page that was discovered has been visited."""
        return self.waiting == 0


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """This process's connection, in a transaction that commits at the end.

    It begins as a writer, which makes "count the pages, then add some" atomic between processes.
    """
    connection = _connect()
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


_connections: dict[int, sqlite3.Connection] = {}


def _connect() -> sqlite3.Connection:
    """This process's connection: worker processes are forked, and SQLite must not cross a fork."""
    connection = _connections.get(os.getpid())
    if connection is None:
        FILE.parent.mkdir(exist_ok=True)
        connection = sqlite3.connect(FILE, timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(SCHEMA)
        _connections[os.getpid()] = connection
    return connection


def begin(start_url: str, *, max_pages: int, delay_s: float) -> Crawl:
    """Open a new crawl whose start page is waiting."""
    now = time.time()
    with transaction() as connection:
        cursor = connection.execute(
            "INSERT INTO crawl(start_url, started, max_pages, delay_s) VALUES (?, ?, ?, ?)",
            (start_url, now, max_pages, delay_s),
        )
        number = int(cursor.lastrowid or 0)
        connection.execute(
            "INSERT INTO page(crawl, url, queued) VALUES (?, ?, ?)", (number, start_url, now)
        )
    return read(number)


def read(number: int) -> Crawl:
    """A crawl's limits. Raises LookupError when there is no such crawl."""
    query = "SELECT id, start_url, max_pages, delay_s, is_stopped FROM crawl WHERE id = ?"
    found = _connect().execute(query, (number,)).fetchone()
    if found is None:
        raise LookupError(f"crawl {number} is not in {FILE}; was the file removed meanwhile?")
    return Crawl(found[0], found[1], found[2], found[3], bool(found[4]))


def stop(crawl: Crawl) -> None:
    """Let what is still queued for this crawl do nothing."""
    with transaction() as connection:
        connection.execute("UPDATE crawl SET is_stopped = 1 WHERE id = ?", (crawl.id,))


def is_waiting(crawl: Crawl, url: str) -> bool:
    """The page was discovered and not visited yet."""
    query = "SELECT 1 FROM page WHERE crawl = ? AND url = ? AND state = 'waiting'"
    return _connect().execute(query, (crawl.id, url)).fetchone() is not None


def record_done(crawl: Crawl, url: str, title: str, size_bytes: int, links: Iterable[str]) -> None:
    """Mark a page as done and its new links as waiting, in one step.

    One step, because a crawl whose page is done while its links are not yet known would look over.
    Links beyond ``max_pages`` are dropped.
    """
    now = time.time()
    found = list(links)
    with transaction() as connection:
        (known,) = connection.execute(
            "SELECT count(*) FROM page WHERE crawl = ?", (crawl.id,)
        ).fetchone()
        for link in dict.fromkeys(found):
            if known >= crawl.max_pages:
                break
            known += connection.execute(
                "INSERT OR IGNORE INTO page(crawl, url, found_on, queued) VALUES (?, ?, ?, ?)",
                (crawl.id, link, url, now),
            ).rowcount
        connection.execute(
            "UPDATE page SET state = 'done', title = ?, bytes = ?, links = ?, finished = ? "
            "WHERE crawl = ? AND url = ?",
            (title, size_bytes, len(found), now, crawl.id, url),
        )


def record_failed(crawl: Crawl, url: str, why: str) -> None:
    """Mark a page as failed."""
    with transaction() as connection:
        connection.execute(
            "UPDATE page SET state = 'failed', note = ?, finished = ? WHERE crawl = ? AND url = ?",
            (why, time.time(), crawl.id, url),
        )


def waiting_links(crawl: Crawl, found_on: str) -> list[str]:
    """Pages that were first seen on ``found_on`` and are not visited yet."""
    query = "SELECT url FROM page WHERE crawl = ? AND found_on = ? AND state = 'waiting'"
    return [url for (url,) in _connect().execute(query, (crawl.id, found_on))]


def progress(crawl: Crawl) -> Progress:
    """Where the crawl stands."""
    counts = {"waiting": 0, "done": 0, "failed": 0}
    links = 0
    query = "SELECT state, count(*), sum(links) FROM page WHERE crawl = ? GROUP BY state"
    for state, count, seen in _connect().execute(query, (crawl.id,)):
        counts[state] = count
        links += seen or 0
    return Progress(links=links, **counts)


def latencies_s(crawl: Crawl) -> list[float]:
    """Seconds from queued to finished of every visited page, shortest first."""
    query = "SELECT finished - queued FROM page WHERE crawl = ? AND finished IS NOT NULL ORDER BY 1"
    return [seconds for (seconds,) in _connect().execute(query, (crawl.id,))]


def duration_s(crawl: Crawl) -> float:
    """Seconds from the start page's queueing to the last finished page; 0 when none is finished."""
    query = "SELECT max(finished) - min(queued) FROM page WHERE crawl = ?"
    (seconds,) = _connect().execute(query, (crawl.id,)).fetchone()
    return float(seconds or 0.0)


def failures(crawl: Crawl, limit: int) -> list[tuple[str, str]]:
    """URL and reason of the first failed pages."""
    query = "SELECT url, note FROM page WHERE crawl = ? AND state = 'failed' LIMIT ?"
    return list(_connect().execute(query, (crawl.id, limit)))
