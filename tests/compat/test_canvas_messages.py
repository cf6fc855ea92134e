"""Every form of workflow as real Celery publishes it and as we do: the same messages, field by field, the same keys in
the result store, the same tree of results.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import celery
import pytest
import redis

import fastworker
from fastworker.canvas.copying import plain
from tests.support.canvas_forms import FORMS, define
from tests.support.random_canvas import workflow

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ORIGIN = re.compile(r"gen\d+@[\w.-]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?")
#: The attributes of our lists of streams are not Celery's, so their texts differ.
_STREAMS = re.compile(r"<(_regen|LazyList): \[.*?\]>")


@pytest.fixture
def server(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


class Normal:
    """Ids by the order in which they appear, so that two runs can be compared."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        text = json.dumps(plain(value), sort_keys=True)
        text = _ID.sub(lambda m: self._names.setdefault(m[0], f"id {len(self._names)}"), text)
        return json.loads(_TIME.sub("a time", _ORIGIN.sub("origin", text)))


def messages(server: Any) -> list[Any]:
    """What is in the queues, decoded, the oldest first."""
    found = []
    for queue in sorted(server.keys("*")):
        if server.type(queue) != b"list" or queue.startswith(b"_kombu"):
            continue
        for raw in reversed(server.lrange(queue, 0, -1)):
            message = json.loads(raw)
            message["body"] = json.loads(base64.b64decode(message["body"]))
            message["queue"] = queue.decode()
            message["properties"].pop("delivery_tag")
            found.append(message)
    return found


def published(
    library: Any, app_class: Any, url: str, server: Any, make: Callable[[Any, Any], Any]
) -> dict[str, Any]:
    app = define(app_class, url)
    form = make(library, app)
    shown = _STREAMS.sub("<stream>", _ID.sub("id", repr(form)))
    normal = Normal()
    server.flushdb()
    result = form.apply_async()
    # The name of a chord's run is ours alone, beside Celery's keys.
    keys = [key for key in server.keys("celery-taskset-meta-*") if not key.endswith(b".m")]
    groups = {key.decode(): server.get(key).decode() for key in keys}
    return {
        "shown as": shown,
        "messages": normal(messages(server)),
        "results": normal(None if result is None else result.as_tuple()),
        "in the store": sorted(normal(list(groups.items()))),
    }


@pytest.mark.parametrize("name", FORMS)
def test_celerys_messages_are_ours(name: str, redis_url: str, server: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of chords whose errbacks are for the body alone
        theirs = published(celery, celery.Celery, redis_url, server, FORMS[name])
        ours = published(fastworker, fastworker.FastWorker, redis_url, server, FORMS[name])
    for part, expected in theirs.items():
        assert ours[part] == expected, part


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_messages_of_random_workflows_are_celerys(first: int, redis_url: str, server: Any) -> None:
    for seed in range(first, first + 50):
        make = workflow(seed)
        theirs = published(celery, celery.Celery, redis_url, server, make)
        ours = published(fastworker, fastworker.FastWorker, redis_url, server, make)
        for part, expected in theirs.items():
            if part == "shown as":  # an empty rest of a chain has an address for a text there
                continue
            assert ours[part] == expected, f"{part} of workflow {seed}: {ours['shown as']}"


def eager_value(library: Any, app_class: Any, seed: int) -> Any:
    app = define(app_class, "memory://")
    app.conf.result_backend = "cache+memory://"
    app.conf.task_always_eager = True
    result = workflow(seed)(library, app).apply_async()
    return None if result is None else result.get()


def test_random_workflows_give_the_same_here() -> None:
    for seed in range(300):
        theirs = eager_value(celery, celery.Celery, seed)
        assert eager_value(fastworker, fastworker.FastWorker, seed) == theirs, f"workflow {seed}"
