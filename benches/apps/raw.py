"""Redis without a task queue: the floor under every publish figure."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import redis

RAW_QUEUE = "raw"


def captured(url: str, queue: str, publish: Callable[[], object]) -> bytes:
    """Publish one message and take it out of ``queue`` again, as bytes."""
    connection = redis.Redis.from_url(url)
    publish()
    body = connection.rpop(queue)
    connection.close()
    if not isinstance(body, bytes):
        raise SystemExit(f"captured: expected one message in queue {queue!r}, found {body!r}")
    return body


def socket_pusher(url: str, body: bytes) -> Callable[[], object]:
    """A call that LPUSHes ``body`` over a plain blocking socket and reads the answer: nothing can
    be cheaper.

    The command is encoded once, so that only the two system calls and the server remain.
    """
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname or "127.0.0.1", place.port or 6379))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    queue = RAW_QUEUE.encode()
    command = b"*3\r\n$5\r\nLPUSH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(queue),
        queue,
        len(body),
        body,
    )

    def push() -> None:
        connection.sendall(command)
        answer = connection.recv(64)
        if not (answer.startswith(b":") and answer.endswith(b"\r\n")):
            raise SystemExit(f"raw LPUSH: expected an integer, got {answer!r}")

    return push


def redis_pusher(url: str, body: bytes) -> Callable[[], object]:
    """A call that LPUSHes ``body`` through redis-py, as a hand-written producer would."""
    connection = redis.Redis.from_url(url)
    return lambda: connection.lpush(RAW_QUEUE, body)


def depth(url: str, queue: str) -> int:
    """Messages in ``queue``."""
    connection = redis.Redis.from_url(url)
    found = connection.llen(queue)
    connection.close()
    return int(found)


def empty(url: str) -> None:
    """Remove everything from the (private) database."""
    connection = redis.Redis.from_url(url)
    connection.flushdb()
    connection.close()
