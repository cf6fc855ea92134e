"""The messages that wait in a queue, read past fastworker from what the broker stores.

Never in a process that has a fastworker client on the same SQLite file open: two SQLite libraries in one process break
each other's locks. So a test asks by ``of``, which starts ``python -m tests.support.waiting_messages URL QUEUE``.
"""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys

import redis


def of(url: str, queue: str) -> list[bytes]:
    """The envelopes, of a message without a priority of its own."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            found: list[bytes] = client.lrange(queue, 0, -1)
        return found
    command = [sys.executable, "-m", __name__, url, queue]
    done = subprocess.run(command, capture_output=True, check=True)
    return [base64.b64decode(line) for line in done.stdout.split()]


def _print(path: str, queue: str) -> None:
    query = """SELECT message FROM ready JOIN bodies ON bodies.id = ready.id
               WHERE queue = (SELECT id FROM queues WHERE name = ?)"""
    connection = sqlite3.connect(path)
    for (message,) in connection.execute(query, [queue]):
        print(base64.b64encode(message).decode())


if __name__ == "__main__":
    _print(sys.argv[1].removeprefix("sqlite:///"), sys.argv[2])
