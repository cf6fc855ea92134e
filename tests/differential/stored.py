"""What a broker and result store hold at the end of a play, read past both frameworks.

``python -m tests.differential.stored FILE`` prints a SQLite file's content as JSON: in a process of
its own, since two SQLite libraries in one process break each other's locks.
"""

from __future__ import annotations

import base64
import bz2
import contextlib
import json
import lzma
import pickle
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import redis

from tests.differential.normal import describe
from tests.support.workers import ROOT

DOC = "celery-task-meta-"
_DECOMPRESS = {
    "application/x-gzip": zlib.decompress,
    "application/x-bz2": bz2.decompress,
    "application/x-lzma": lzma.decompress,
}


class Stored:
    """Documents by task id, and messages left in queues."""

    def __init__(self, docs: dict[str, bytes], messages: list[tuple[str, bytes]]) -> None:
        self.docs = docs
        self.messages = messages


def read(url: str) -> Stored:
    """Everything that is stored at ``url``."""
    if url.startswith("redis"):
        return _read_redis(url)
    path = url.removeprefix("sqlite:///")
    line = [sys.executable, "-m", "tests.differential.stored", path]
    found = json.loads(subprocess.run(line, cwd=ROOT, check=True, capture_output=True).stdout)
    docs = {task_id: base64.b64decode(doc) for task_id, doc in found["docs"].items()}
    return Stored(docs, [(queue, base64.b64decode(text)) for queue, text in found["messages"]])


def _read_redis(url: str) -> Stored:
    with redis.Redis.from_url(url) as client:
        docs: dict[str, bytes] = {}
        messages: list[tuple[str, bytes]] = []
        for key in sorted(client.scan_iter(count=1000)):
            name = key.decode()
            kind = client.type(key)
            if name.startswith(DOC):
                docs[name.removeprefix(DOC)] = client.get(key)
            elif kind == b"list" and not name.startswith("fastworker:"):
                messages += [(name, text) for text in reversed(client.lrange(key, 0, -1))]
            elif name == "unacked":
                values = client.hgetall(key).values()
                messages += [(f"unacked of {json.loads(v)[2]}", _inside(v)) for v in values]
        return Stored(docs, messages)


def _inside(entry: bytes) -> bytes:
    return json.dumps(json.loads(entry)[0]).encode()


def _read_sqlite(path: str) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as file:
        docs = file.execute("SELECT task_id, doc FROM results")
        ready = file.execute(
            "SELECT queues.name, message FROM ready JOIN bodies USING (id) "
            "JOIN queues ON queues.id = queue ORDER BY queue, priority, ready.id"
        )
        return {
            "docs": {task_id: base64.b64encode(_bytes(doc)).decode() for task_id, doc in docs},
            "messages": [(name, base64.b64encode(_bytes(text)).decode()) for name, text in ready],
        }


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def document(raw: bytes) -> Any:
    """A result document, readable: JSON, or pickle described; only the last line of tracebacks."""
    try:
        doc = json.loads(raw)
    except ValueError:
        loaded = pickle.loads(raw)
        if loaded.get("traceback"):
            loaded["traceback"] = last_line(loaded["traceback"])
        doc = {key: describe(value) for key, value in loaded.items()}
        doc["(pickle)"] = True
    if isinstance(doc, dict) and isinstance(doc.get("traceback"), str):
        doc["traceback"] = last_line(doc["traceback"])
    if isinstance(doc, dict) and doc.get("date_done"):
        doc["date_done"] = "<time>"
    return doc


def last_line(traceback: Any) -> Any:
    """The line of a traceback that names the exception."""
    lines = str(traceback).strip().splitlines()
    return lines[-1] if lines else traceback


def message(raw: bytes) -> Any:
    """An envelope, readable: the body decoded."""
    try:
        envelope = json.loads(raw)
    except ValueError:
        return repr(raw)
    if not isinstance(envelope, dict) or "properties" not in envelope:
        return envelope
    body = envelope.get("body")
    properties = envelope["properties"]
    if isinstance(body, str) and properties.get("body_encoding") == "base64":
        envelope["body"] = _body(envelope, base64.b64decode(body))
    return envelope


def _body(envelope: dict[str, Any], data: bytes) -> Any:
    decompress = _DECOMPRESS.get(envelope.get("headers", {}).get("compression"))
    kind = envelope.get("content-type")
    try:
        if decompress is not None:
            data = decompress(data)
        if kind == "application/json":
            return json.loads(data)
        if kind == "application/x-python-serialize":
            return describe(pickle.loads(data))
    except Exception as exc:
        return f"unreadable: {exc!r}"
    return repr(data)


def ids_of(raw: bytes) -> Iterator[str]:
    """Ids in an envelope that say whose it is."""
    with contextlib.suppress(ValueError, AttributeError, KeyError):
        envelope = json.loads(raw)
        headers = envelope.get("headers") or {}
        yield from (headers.get("id") or "", headers.get("root_id") or "")
        yield str((envelope.get("properties") or {}).get("correlation_id"))


if __name__ == "__main__":
    print(json.dumps(_read_sqlite(sys.argv[1])))
