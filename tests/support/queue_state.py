"""Where the messages of a broker are, read past fastworker from what it stores.

Never in a process that has a fastworker client on the same SQLite file open: two SQLite libraries
in one process break each other's locks. ``python -m tests.support.queue_state URL`` prints it as
JSON.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import asdict, dataclass

import redis

#: The default queue, and the one beside it of workers with lanes.
QUEUES = ("celery", "pages")
STEPS = ("", "\x06\x163", "\x06\x166", "\x06\x169")


@dataclass(frozen=True)
class QueueState:
    """Counts by place; ``tags`` names the leases, so that two states can be compared.

    Attributes:
        ready: Waiting in the queues.
        leased: Held by workers.
        parked: Waiting for their time in the broker.
        laned: Waiting in lanes for permits.
        dead: Dead letters.
        attempts: Records of started attempts that are still kept.
        tags: One name per lease.
        joins: Chords whose members have ended, and that nobody has brought to an end yet.
    """

    ready: int
    leased: int
    parked: int
    laned: int
    dead: int
    attempts: int
    tags: frozenset[str]
    joins: int = 0


def read(url: str) -> QueueState:
    """Read the state of the broker at ``url``, Redis or SQLite."""
    return _read_redis(url) if url.startswith("redis") else _read_sqlite(url)


def read_apart(url: str) -> dict[str, int]:
    """What is left to do at ``url``, by place, read in a process of its own."""
    line = [sys.executable, "-m", "tests.support.queue_state", url]
    found = json.loads(subprocess.run(line, check=True, capture_output=True, timeout=30).stdout)
    return {place: found[place] for place in ("ready", "leased", "parked", "laned", "joins")}


def _read_redis(url: str) -> QueueState:
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=5) as client:
        ready = sum(client.llen(queue + step) for queue in QUEUES for step in STEPS)
        # Parked messages are in the same hash, under names of their own.
        tags = frozenset(tag for tag in client.hkeys("unacked") if not tag.startswith("fwp:"))
        parked = client.zcard("fastworker:parked")
        lanes = client.scan_iter("fastworker:lane:*", 1000)
        laned = sum(client.llen(lane) for lane in lanes)
        attempts = sum(1 for _ in client.scan_iter("fastworker:attempts:*", 1000))
        dead = client.zcard("fastworker:dead:index")
        joins = client.hlen("fastworker:joins")
        return QueueState(ready, len(tags), parked, laned, dead, attempts, tags, joins)


def _read_sqlite(url: str) -> QueueState:
    path = url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as file:
        tags = frozenset(
            f"{owner}:{tag}" for owner, tag in file.execute("SELECT owner, tag FROM leased")
        )
        [ready], [parked], [laned], [dead], [joins] = (
            file.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("ready", "parked", "laned", "dead", "joins")
        )
        return QueueState(ready, len(tags), parked, laned, dead, 0, tags, joins)


if __name__ == "__main__":
    found = read(sys.argv[1])
    print(json.dumps({**asdict(found), "tags": sorted(found.tags)}))
