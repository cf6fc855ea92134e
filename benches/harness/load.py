"""Loads: thousands of messages laid aside under a queue name that nobody consumes, and released at
one instant.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Protocol

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.sqlite_file import SqliteFile
from benches.harness.systems import System

QUEUE = "bench"
HOLD = "hold"
BATCH = 500
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Load(Protocol):
    """Where a load is laid and released."""

    def lay(self, count: int) -> None:
        """Lay ``count`` messages aside."""

    def release(self) -> None:
        """Make them the content of the queue, at once, in a way that wakes its consumers."""


class RedisLoad:
    """Copies of one message that the system's own ``.delay()`` wrote, each with ids of its own.

    Args:
        server: The broker; the message to copy is the only one in its queue, and is taken out.
    """

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        message = self._client.rpop(QUEUE)
        if not isinstance(message, bytes):
            raise SystemExit(f"queue {QUEUE!r}: expected one message to copy, found {message!r}")
        self._ids = sorted(set(UUID.findall(message)))
        self._pattern = UUID.sub(
            lambda found: b"%(" + found.group() + b")b", message.replace(b"%", b"%%")
        )

    def lay(self, count: int) -> None:
        """Push copies onto a list of another name."""
        for start in range(0, count, BATCH):
            copies = [self._copy() for _ in range(min(BATCH, count - start))]
            self._client.lpush(HOLD, *copies)

    def add(self, count: int, queue: str = QUEUE) -> None:
        """Push copies onto a queue itself, behind what is there."""
        self._client.lpush(queue, *(self._copy() for _ in range(count)))

    def release(self) -> None:
        """RENAME wakes blocked and tracking consumers as a push does."""
        self._client.rename(HOLD, QUEUE)

    def _copy(self) -> bytes:
        ids = {old: str(uuid.UUID(bytes=os.urandom(16), version=4)).encode() for old in self._ids}
        return self._pattern % ids


class KeyedLoad(RedisLoad):
    """Copies of one message with a rate limit's key, which get keys of their own.

    Args:
        other: The same copies with the key ``KEY``.
        keys: How many different keys there are; they take turns.
    """

    KEY = b"key-00000000"

    def __init__(self, other: RedisLoad, keys: int) -> None:
        vars(self).update(vars(other))
        self._pattern = self._pattern.replace(self.KEY, b"%(key)b")
        self._keys = keys
        self._next = 0

    def _copy(self) -> bytes:
        self._next = (self._next + 1) % self._keys
        ids = {old: str(uuid.UUID(bytes=os.urandom(16), version=4)).encode() for old in self._ids}
        return self._pattern % {**ids, b"key": b"key-%08d" % self._next}


class EtaLoad(RedisLoad):
    """Copies of one message that are due later.

    Args:
        other: The same copies without an eta.
        seconds: How much later than now.
    """

    def __init__(self, other: RedisLoad, seconds: float) -> None:
        vars(self).update(vars(other))
        eta = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        due = f'"eta": "{eta.isoformat()}"'.encode()
        self._pattern, found = re.subn(rb'"eta": null', due, self._pattern)
        if found != 1:
            raise SystemExit(f"expected one message without an eta, found {self._pattern!r}")


class IntendedLoad(RedisLoad):
    """Copies of one message with the headers of ``fastworker bench``: its intended moment, and its number.

    Args:
        other: The same copies without them.
    """

    def __init__(self, other: RedisLoad) -> None:
        vars(self).update(vars(other))
        # As the generator does, behind all others.
        headers = b', "fw-intended": %(now)b, "fw-number": "%(number)b"}, "properties": '
        self._pattern, found = re.subn(rb'\}, "properties": ', headers, self._pattern)
        if found != 1:
            raise SystemExit(f"expected one message with its properties, found {self._pattern!r}")
        self._next = 0

    def _copy(self) -> bytes:
        self._next += 1
        ids = {old: str(uuid.UUID(bytes=os.urandom(16), version=4)).encode() for old in self._ids}
        now, number = b"%016d" % (time.time_ns() // 1000), b"%010d" % self._next
        return self._pattern % {**ids, b"now": now, b"number": number}


class StampedLoad(RedisLoad):
    """Copies of one message with the time in it, which get the time when they are made.

    Args:
        server: The broker; the message to copy has ``STAMP`` as its argument.
    """

    STAMP = "0123456789" * 2

    def _copy(self) -> bytes:
        envelope = json.loads(super()._copy())
        body = base64.b64decode(envelope["body"]).decode()
        stamped = body.replace(self.STAMP, f"{time.monotonic_ns():020d}")
        envelope["body"] = base64.b64encode(stamped.encode()).decode()
        return json.dumps(envelope).encode()


class SqliteLoad:
    """Messages that a client publishes, by the bulk call, to a queue of another name in the same
    file.
    """

    def __init__(
        self, file: SqliteFile, system: System, env: dict[str, str], task: str, args: list[object]
    ) -> None:
        self._file = file
        self._system = system
        self._env = {**env, "BENCH_QUEUE": HOLD}
        self._call = {"task": task, "args": args}

    def lay(self, count: int) -> None:
        """Publish to the other queue."""
        client.run(self._system, self._env, "publish_many", count=count, **self._call)

    def release(self) -> None:
        """Move all of them in one transaction."""
        self._file.move(HOLD, QUEUE)
