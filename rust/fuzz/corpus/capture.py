"""Record messages of real Celery for the fuzzers: run it where Celery and a Redis server are.

    CAPTURE_REDIS_URL=redis://127.0.0.1:6379/13 python capture.py

Writes ``celery.tsv`` beside itself: name, message as it lay in Redis (hex), its body without base64
(hex). The database named by the URL is emptied first.
"""

from __future__ import annotations

import base64
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import redis
from celery import Celery, chain, chord, chunks, group
from kombu.exceptions import OperationalError

URL = os.environ["CAPTURE_REDIS_URL"]
SERVER = redis.Redis.from_url(URL)
DUE = datetime(2026, 11, 22, 23, 31, 9, 385996, tzinfo=timezone.utc)
SERIALIZERS = ("json", "pickle", "yaml", "msgpack")
COMPRESSIONS = (None, "gzip", "bzip2", "lzma", "zstd", "brotli")


def application(protocol: int) -> Celery:
    """An application that publishes in one of the protocols."""
    app = Celery("capture", broker=URL, backend=URL)
    app.conf.update(
        task_protocol=protocol,
        accept_content=list(SERIALIZERS),
        enable_utc=True,
        task_ignore_result=False,
    )
    return app


def published() -> list[bytes]:
    """Take what was just published, from every priority list."""
    found: list[bytes] = []
    for key in SERVER.keys("*"):
        if SERVER.type(key) == b"list":
            found += SERVER.lrange(key, 0, -1)
            SERVER.delete(key)
    return found


def main() -> None:
    """Publish every kind of message and write what came of it."""
    rows: list[tuple[str, bytes]] = []
    for protocol in (1, 2):
        app = application(protocol)

        @app.task(name="proj.add")
        def add(x: Any, y: Any = 1) -> Any:
            return x + y

        @app.task(name="proj.caught")
        def caught(*_arguments: Any) -> None:
            return None

        def take(name: str, protocol: int = protocol) -> None:
            rows.extend((f"v{protocol} {name}", message) for message in published())

        for serializer in SERIALIZERS:
            for compression in COMPRESSIONS:
                try:
                    add.apply_async(
                        ("é" * 100,), {"y": None}, serializer=serializer, compression=compression
                    )
                except (KeyError, ImportError, OperationalError) as error:
                    print(f"left out: {serializer}, {compression}: {error!r}")
                    continue
                take(f"{serializer} {compression}")
        options: dict[str, dict[str, Any]] = {
            "eta expires": {"eta": DUE, "expires": DUE},
            "countdown": {"countdown": 10, "expires": 3600.5},
            "limits": {"time_limit": 30, "soft_time_limit": 2.5},
            "priority": {"priority": 9, "queue": "other"},
            "links": {"link": caught.s(), "link_error": [caught.s(1), caught.si()]},
            "ids": {
                "task_id": "t",
                "root_id": "r",
                "parent_id": "p",
                "retries": 3,
                "group_id": "g",
            },
            "headers": {
                "headers": {"x": [1.5, {"a": None}], "nan": float("nan")},
                "shadow": "s\u2028",
            },
        }
        for name, option in options.items():
            add.apply_async((1, 2), **option)
            take(name)
        if protocol == 2:
            chain(add.s(1, 2), add.s(3), chord([add.s(4), add.s(5)], caught.s())).apply_async()
            take("chain with a chord")
            group(add.s(1, 2), chain(add.s(1, 2), add.s(3))).apply_async()
            take("group")
            chord([add.s(1, 2), add.s(3, 4)], caught.s().on_error(caught.s())).apply_async()
            take("chord")
            chunks(add.s(), [(1, 2), (3, 4), (5, 6)], 2).apply_async()
            take("chunks")
            add.s(1, 2).stamp(foo="bar").apply_async()
            take("stamped")
    lines = []
    for name, message in rows:
        envelope = json.loads(message)
        is_encoded = envelope["properties"].get("body_encoding") == "base64"
        body = base64.b64decode(envelope["body"]) if is_encoded else envelope["body"].encode()
        lines.append(f"{name}\t{message.hex()}\t{body.hex()}\n")
    (Path(__file__).parent / "celery.tsv").write_text("".join(lines))
    print(f"{len(lines)} messages")


if __name__ == "__main__":
    SERVER.flushdb()
    main()
