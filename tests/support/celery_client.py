"""Clients of Celery, plain and accelerated, and what they leave on Redis."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import pools
from kombu.transport.redis import Channel

import fastworker


@contextmanager
def celery_client(url: str, accelerated: bool, **conf: Any) -> Iterator[Celery]:
    """An application of Celery whose broker and results are at ``url``."""
    app = Celery("proj", broker=url, backend=url, set_as_current=False)
    app.conf.update(conf)
    acceleration = fastworker.accelerate(app) if accelerated else None
    try:
        yield app
    finally:
        if acceleration is not None:
            acceleration.restore()
        app.close()
        # kombu's are shared by all applications of one URL.
        pools.reset()


class Puts:
    """Counts the messages that kombu puts into Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = Channel._put

        def put(channel: Channel, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return original(channel, *args, **kwargs)

        monkeypatch.setattr(Channel, "_put", put)


def messages(url: str) -> dict[str, list[Any]]:
    """All messages by their list, oldest first, each as its envelope with the body read; lists are emptied."""
    found: dict[str, list[Any]] = {}
    with redis.Redis.from_url(url) as client:
        for key in sorted(client.keys("*")):
            if client.type(key) == b"list":
                found[key.decode()] = [_read(raw) for raw in reversed(client.lrange(key, 0, -1))]
                client.delete(key)
    return found


def _read(raw: bytes) -> Any:
    envelope = json.loads(raw)
    if envelope["content-type"] == "application/json" and "compression" not in envelope["headers"]:
        envelope["body"] = json.loads(base64.b64decode(envelope["body"]))
    if "expiration" in envelope["properties"]:
        envelope["properties"]["expiration"] = "<ms>"
    return envelope


def without_chance(value: Any) -> Any:
    """``value`` without ids, which are drawn anew for each message; where two were the same they still are."""
    known: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return known.setdefault(match[0], f"<id {len(known)}>")

    text = json.dumps(value)
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", named, text))
