"""Databases of a Redis that others may use too: claimed when empty, emptied when done.

A claim is a lock on a file, so that it ends with its process. The file's text says whether the
database may hold leftovers of ours: a run that was killed leaves it set, and only then may a
database that is not empty be emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import redis

# "6,7,8": the databases to choose from, for machines where the others belong to somebody.
DBS_VARIABLE = "FASTWORKER_TEST_REDIS_DBS"


class NoDatabase(Exception):
    """Every database is in use."""


@contextlib.contextmanager
def claimed(url: str) -> Iterator[str]:
    """Own one database of the server at ``url`` (no path) for the duration; yields its URL.

    Raises:
        NoDatabase: All are in use; the text says which were looked at.
    """
    place = urlsplit(url)
    folder = Path(tempfile.gettempdir()) / f"fastworker-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    named = os.environ.get(DBS_VARIABLE)
    numbers = [int(number) for number in named.split(",")] if named else list(range(15, 0, -1))
    for number in numbers:
        path = folder / f"redis-{place.hostname}-{place.port}-{number}"
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            lock.seek(0)
            is_ours = bool(named) or lock.read() == "used"
            with redis.Redis.from_url(f"{url}/{number}") as client:
                if client.dbsize() and not is_ours:
                    continue
                _mark(lock.fileno(), b"used")
                client.flushdb()
                try:
                    yield f"{url}/{number}"
                finally:
                    client.flushdb()
                    _mark(lock.fileno(), b"")
            return
    raise NoDatabase(
        f"databases {numbers} of {url} are all in use; empty one or name one in {DBS_VARIABLE}"
    )


def _mark(file: int, text: bytes) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, text, 0)
