"""Record what real Celery writes: run it where Celery and a Redis server are, never in the tests.

    GOLDEN_REDIS_URL=redis://127.0.0.1:6379/13 python capture.py

Writes beside itself:

* ``envelopes.tsv``: name, message (hex), then ``name=value`` for each field as kombu reads it;
* ``redelivered.tsv``: name, message (hex), what kombu pushes when it restores that message (hex);
* ``results.tsv``: name, key/value document that a worker stored (hex);
* ``scanner.tsv``: text (hex), ``ok`` or ``error`` as Python's ``json`` says, and the string that it
  decodes to (hex);
* ``times.tsv``: text, Unix milliseconds or ``none``, and which reader took it: Python's, else
  dateutil's.

The database named by the URL is emptied first.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import celery
import kombu
import redis
from celery import chain, chord, group
from celery_app import URL, add, app, die, fail, hang
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps, loads
from texts import scanner_cases, time_cases

HERE = Path(__file__).parent
SERVER = redis.Redis.from_url(URL)
FIELDS = ("task", "id", "root_id", "parent_id", "group", "eta", "expires", "shadow", "compression")


def write_table(name: str, rows: list[list[str]]) -> None:
    """Write rows of tab-separated cells."""
    (HERE / name).write_text("".join("\t".join(row) + "\n" for row in rows))


def published() -> bytes:
    """Take the one message that was just published, from whichever priority list it is in."""
    for key in SERVER.keys("celery*"):
        if SERVER.type(key) == b"list":
            message = SERVER.lrange(key, 0, -1)[0]
            SERVER.delete(key)
            return bytes(message)
    raise LookupError("nothing was published")


def capture_envelopes() -> dict[str, bytes]:
    """Publish one message of each kind and return them by name."""
    due = datetime(2026, 11, 22, 23, 31, 9, 385996, tzinfo=timezone.utc)
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain": (add.s(2, 3), {}),
        "kwargs_unicode": (add.s(x='\u00e9\U0001f600 "quoted"\\', y="\x7f\n"), {}),
        "eta_expires": (add.s(1, 2), {"eta": due, "expires": 3600}),
        "limits": (add.s(1, 2), {"time_limit": 30, "soft_time_limit": 2.5}),
        "priority": (add.s(1, 2), {"priority": 6}),
        "headers": (add.s(1, 2), {"headers": {"mine": [1, {"a": None}], "nan": float("nan")}}),
        "shadow_ignore": (add.s(1, 2), {"shadow": "show\u2028n", "ignore_result": True}),
        "gzip": (add.s("a" * 2000, "b"), {"compression": "gzip"}),
        "pickle": (add.s(1, (2,)), {"serializer": "pickle"}),
        "chain": (chain(add.s(1, 2), add.s(3)), {}),
        "reply_to": (add.s(1, 2), {"reply_to": "re\u00e7u", "task_id": "t-1"}),
        "retries": (add.s(1, 2), {"retries": 3, "parent_id": "p", "root_id": "r", "group_id": "g"}),
        "stamped": (add.s(1, 2).stamp(foo="bar"), {}),
    }
    messages = {}
    for name, (signature, options) in calls.items():
        signature.apply_async(**options)
        messages[name] = published()
    app.conf.task_protocol = 1
    del app.amqp  # The protocol is chosen once, when this is made.
    add.apply_async((1, 2), task_id="v1", countdown=60)
    messages["protocol_1"] = published()
    app.conf.task_protocol = 2
    del app.amqp
    return messages


def fields(message: bytes) -> list[str]:
    """Read a message through kombu's own channel; one ``name=value`` for each field."""
    channel = app.connection_for_write().default_channel
    payload = loads(message.decode())
    read = channel.Message(payload, channel=channel)
    # As it travels: the message itself would uncompress it.
    body = channel.decode_body(payload["body"], read.properties.get("body_encoding"))
    found = {name: read.headers.get(name) for name in FIELDS}
    found |= {
        name: read.properties.get(name)
        for name in ("correlation_id", "reply_to", "delivery_tag", "priority")
    }
    found |= {
        "retries": read.headers.get("retries", 0),
        "timelimit": read.headers.get("timelimit", [None, None]),
    }
    found |= {"ignore_result": read.headers.get("ignore_result"), "content_type": read.content_type}
    found |= {"content_encoding": read.content_encoding, "body": str_to_bytes(body).hex()}
    return [f"{name}={value}" for name, value in found.items()]


class Pipe:
    """Stands for a Redis pipeline: remembers what was pushed."""

    def rpush(self, _key: str, message: str) -> None:
        """Keep the message."""
        self.message = message.encode()


def restored(message: bytes) -> bytes:
    """What kombu pushes back when it restores the message."""
    channel = app.connection_for_write().default_channel
    assert isinstance(channel, kombu_redis.Channel)
    pipe = Pipe()
    channel._do_restore_message(loads(message.decode()), "", "celery", pipe)
    return pipe.message


def capture_results() -> list[list[str]]:
    """Let a real worker end tasks in every way and return the documents that it stored."""
    documents: dict[str, bytes] = {}
    pubsub = SERVER.pubsub()
    pubsub.psubscribe("celery-task-meta-*")
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "success": (add.s(1, 2), {}),
        "member": (group(add.s(1, 2)), {"task_id": "member-group"}),
        "child": (add.s(1, 2), {"parent_id": "the-parent"}),
        "failure": (fail.s(), {}),
        "expired": (add.s(1, 2), {"expires": -1}),
        "hang": (hang.s(), {"time_limit": 1}),
        "die": (die.s(), {}),
    }
    names = {}
    for name, (signature, options) in calls.items():
        result = signature.apply_async(**options)
        names[(result[0] if name == "member" else result).id] = name
    names[chord([add.s(1, 2)], add.s([])).apply_async().id] = "chord_body"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_app",
        "worker",
        "-c",
        "1",
        "-n",
        "w1@golden",
        "-l",
        "ERROR",
    ]
    worker = subprocess.Popen(command, cwd=HERE)
    waiting = set(names.values())
    while waiting:
        event = pubsub.get_message(timeout=60)
        if event is None:
            raise TimeoutError(f"no result for {sorted(waiting)}")
        if event["type"] != "pmessage":
            continue
        task_id = event["channel"].decode().removeprefix("celery-task-meta-")
        document = json.loads(event["data"])
        name = names.get(task_id)
        if name is None:
            continue
        if document["status"] == "STARTED":
            documents[f"{name}_started"] = event["data"]
        else:
            # Of a traceback only the shape counts, and its paths are this machine's.
            if document["traceback"] is not None:
                document["traceback"] = (
                    'Traceback (most recent call last):\n  File "tasks.py", line 1\nValueError'
                )
            documents[name] = dumps(document).encode()
            waiting.discard(name)
    worker.terminate()
    worker.wait()
    return [[name, document.hex()] for name, document in sorted(documents.items())]


def main() -> None:
    """Record everything."""
    SERVER.flushdb()
    messages = capture_envelopes()
    messages["redelivered"] = restored(messages["eta_expires"])
    unencoded = json.loads(messages["plain"])
    unencoded["body"] = base64.b64decode(unencoded["body"]).decode()
    del unencoded["properties"]["body_encoding"]
    messages["body_as_is"] = dumps(unencoded).encode()
    write_table(
        "envelopes.tsv",
        [[name, message.hex(), *fields(message)] for name, message in messages.items()],
    )
    write_table(
        "redelivered.tsv",
        [[name, raw.hex(), restored(raw).hex()] for name, raw in messages.items()],
    )
    write_table("scanner.tsv", scanner_cases())
    write_table("times.tsv", time_cases())
    SERVER.flushdb()
    write_table("results.tsv", capture_results())
    SERVER.flushdb()
    print(f"recorded with Celery {celery.__version__} and kombu {kombu.__version__}")


if __name__ == "__main__":
    main()
