"""What is published, beside the real Celery: every option of a call or task, and every setting, that a message shows.

Both publish the same call; Celery into kombu's broker in memory, ours into a dict. The messages are compared whole.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import celery
import pytest
from kombu import serialization

from fastworker import FastWorker
from fastworker.serialize import compression
from tests.support import memory_core
from tests.support.memory_core import Memory

ETA = datetime(2031, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
#: ``name: (options of the call, options of the task, settings)``
CASES: dict[str, Case] = {
    "nothing": ({}, {}, {}),
    "task_id": ({"task_id": "7"}, {}, {}),
    "eta": ({"eta": ETA}, {}, {}),
    "expires": ({"expires": ETA}, {}, {}),
    "expires of the task": ({}, {"expires": ETA}, {}),
    "shadow": ({"shadow": "shown"}, {}, {}),
    "headers": ({"headers": {"tenant": "a", "n": 1}}, {}, {}),
    "priority": ({"priority": 3}, {}, {}),
    "priority of the task": ({}, {"priority": 4}, {}),
    "task_default_priority": ({}, {}, {"task_default_priority": 5}),
    "queue": ({"queue": "other"}, {}, {}),
    "queue of the task": ({}, {"queue": "other"}, {}),
    "task_default_queue": ({}, {}, {"task_default_queue": "default"}),
    "limits": ({"time_limit": 9, "soft_time_limit": 5.5}, {}, {}),
    "limits of the task": ({}, {"time_limit": 9, "soft_time_limit": 5}, {}),
    "limits of the settings": ({}, {}, {"task_time_limit": 8, "task_soft_time_limit": 4}),
    "serializer": ({"serializer": "yaml"}, {}, {}),
    "serializer of the task": ({}, {"serializer": "msgpack"}, {}),
    "task_serializer": ({}, {}, {"task_serializer": "pickle"}),
    "compression": ({"compression": "zlib"}, {}, {}),
    "compression of the task": ({}, {"compression": "bzip2"}, {}),
    "task_compression": ({}, {}, {"task_compression": "lzma"}),
    "ignore_result": ({"ignore_result": True}, {}, {}),
    "ignore_result of the task": ({}, {"ignore_result": True}, {}),
    "task_ignore_result": ({}, {}, {"task_ignore_result": True}),
    "ids": (
        {"root_id": "r", "parent_id": "p", "group_id": "g", "group_index": 2, "reply_to": "me"},
        {},
        {},
    ),
    "reprs": ({"argsrepr": "(seen)", "kwargsrepr": "{seen}"}, {}, {}),
    "task_repr_maxlevels": ({}, {}, {"task_repr_maxlevels": 1}),
    "stamps": ({"stamped_headers": ["a"], "a": "stamp"}, {}, {}),
    "chain": ({"chain": [{"task": "x", "args": [], "kwargs": {}, "options": {}}]}, {}, {}),
    "retries": ({"retries": 2}, {}, {}),
    "exchange": (
        {"exchange": "topics", "routing_key": "a.b"},
        {},
        {
            "task_queues": {
                "t": {"exchange": "topics", "exchange_type": "topic", "routing_key": "a.#"}
            }
        },
    ),
    "exchange of the task": (
        {},
        {"exchange": "direct", "routing_key": "k"},
        {
            "task_queues": {
                "d": {"exchange": "direct", "exchange_type": "direct", "routing_key": "k"}
            }
        },
    ),
    "task_default_exchange_type": (
        {"exchange": "others", "routing_key": "a.b"},
        {},
        {
            "task_queues": {"t": {"routing_key": "a.*"}},
            "task_default_exchange": "others",
            "task_default_exchange_type": "topic",
        },
    ),
    "naive eta": (
        {"eta": datetime(2031, 1, 2)},
        {},
        {"enable_utc": False, "timezone": "Asia/Tokyo"},
    ),
}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return memory_core.install(monkeypatch)


@pytest.mark.shows(
    "verb apply_async",
    "verb send_task",
    "call task_id",
    "call eta",
    "call expires",
    "call shadow",
    "call headers",
    "call priority",
    "call queue",
    "call exchange",
    "call routing_key",
    "call time_limit",
    "call soft_time_limit",
    "call serializer",
    "call compression",
    "call ignore_result",
    "call group_id",
    "call group_index",
    "call reply_to",
    "call argsrepr",
    "call kwargsrepr",
    "call stamped_headers",
    "task expires",
    "task priority",
    "task queue",
    "task exchange",
    "task routing_key",
    "task serializer",
    "task compression",
    "setting task_default_priority",
    "setting task_default_queue",
    "setting task_time_limit",
    "setting task_soft_time_limit",
    "setting task_serializer",
    "setting task_compression",
    "setting task_ignore_result",
    "setting task_repr_maxlevels",
    "setting task_default_exchange_type",
    "setting enable_utc",
    "setting timezone",
)
# Celery 5.7 says that queues of tasks belong in task_routes.
@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_message_is_celerys(case: str, memory: Memory) -> None:
    call, task, conf = CASES[case]
    ours = published_by_us(memory, call, task, conf)
    assert ours == published_by_celery(call, task, conf)


def published_by_us(memory: Memory, call: Any, task: Any, conf: Any) -> Any:
    with FastWorker("proj", broker="redis://nowhere/0", set_as_current=False) as app:
        app.conf.update(conf)
        publish(app, call, task)
    (message,) = memory.messages
    properties = {**message.properties, "content_type": message.content_type}
    body = message.raw_body
    if "compression" in message.headers:  # kombu's Message undoes it by itself
        body = compression.decompress(body, message.headers["compression"])
    return comparable(message.queue, message.headers, properties, body)


def published_by_celery(call: Any, task: Any, conf: Any) -> Any:
    app = celery.Celery("proj", broker="memory://", set_as_current=False)
    app.conf.update(conf)
    with app.connection() as connection:
        names = ["other", "celery", *app.amqp.queues]
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).declare()
        for name in names:  # kombu's memory is shared by all
            while take(connection, name) is not None:
                continue
        publish(app, call, task)
        for queue in names:
            raw = take(connection, queue)
            if raw is not None:
                headers, properties = dict(raw.headers), dict(raw.properties)
                properties["content_type"] = raw.content_type
                return comparable(queue, headers, properties, raw.body)
    raise AssertionError("Celery published nothing")


def take(connection: Any, queue: str) -> Any:
    with connection.channel() as channel:
        channel.queue_declare(queue)
        return channel.basic_get(queue, no_ack=True)


def publish(app: Any, call: Any, task: Any) -> None:
    @app.task(name="proj.add", shared=False, **task)
    def add(x: Any, y: Any = None) -> None:
        """Never runs."""

    add.apply_async(([[[1]]],), {"y": "é"}, **call)


def comparable(queue: str, headers: Any, properties: Any, body: Any) -> Any:
    """A message without what is drawn anew for each."""
    kept = ("correlation_id", "reply_to", "priority", "content_type", "expiration")
    properties = {name: properties.get(name) for name in kept}
    if properties["expiration"] is not None:
        properties["expiration"] = "<ms>"
    data = body.encode() if isinstance(body, str) else bytes(body)
    if properties["content_type"] == "application/json":
        data = serialization.loads(data, "application/json", "utf-8")
    return without_chance([queue, headers, properties, data])


def without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_chance(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_chance(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", value)
    return value
