"""What a running task is told, beside the real Celery: handlers in their order, and every attribute of its request."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support import redis_db
from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.rig import Rig
from tests.support.waiting import wait_until

MODES = ("succeed", "fail", "retry", "ignore", "reject", "sleep")
#: How many lines each writes; the last one says that nothing more comes.
LINES = {"succeed": 4, "fail": 5, "retry": 8, "ignore": 2, "reject": 3, "sleep": 5}


@pytest.fixture
def both(rig: Rig, redis_server: str, tmp_path: Path) -> Iterator[dict[str, Rig]]:
    """A rig of each framework with a running worker; the real Celery's is on Redis."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(redis_db.claimed(redis_server))
        spec = AppSpec("celery", url, url)
        rigs = {"ours": rig, "celery": Rig(spec, tmp_path, stack)}
        workers = {
            name: each.worker("-n", "node@here", concurrency=1) for name, each in rigs.items()
        }
        yield rigs
        # A warm shutdown of the real one may wait for ever for a task that fails meanwhile.
        workers["celery"].kill_node()


@pytest.mark.shows(
    "handler before_start",
    "handler on_success",
    "handler on_failure",
    "handler on_retry",
    "handler after_return",
    "handler __call__",
    "verb Ignore",
    "verb Reject",
    "outcome ignore",
    "outcome reject",
    "outcome hard-time-limit",
    "call link_error",
    "task default_retry_delay",
)
def test_handlers_are_called_as_celery_calls_them(both: dict[str, Rig], tmp_path: Path) -> None:
    told: dict[str, dict[str, list[str]]] = {}
    for framework, rig in both.items():
        told[framework] = {}
        for mode in MODES:
            path = str(tmp_path / f"{framework}-{mode}")
            errback = rig.task("errback").s(path=path)
            options: dict[str, Any] = {"time_limit": 1} if mode == "sleep" else {}
            rig.task("handled").apply_async((path, mode), link_error=errback, **options)
            told[framework][mode] = wait_for_lines(path, LINES[mode])
    assert told["ours"] == told["celery"]


def wait_for_lines(path: str, count: int) -> list[str]:
    """Celery 5.7 calls the errbacks of a hard time limit twice; that is counted as once."""

    def lines() -> list[str]:
        found = read_lines(path)
        return [
            line
            for line, before in zip(found, [None, *found], strict=False)
            if line != before or not line.endswith("TimeLimitExceeded")
        ]

    wait_until(lambda: len(lines()) >= count, f"{count} lines in {path}", 60)
    return lines()


@pytest.mark.shows(
    "request id",
    "request task",
    "request args",
    "request kwargs",
    "request retries",
    "request eta",
    "request expires",
    "request is_eager",
    "request called_directly",
    "request delivery_info",
    "request hostname",
    "request root_id",
    "request parent_id",
    "request group",
    "request group_index",
    "request chord",
    "request chain",
    "request callbacks",
    "request errbacks",
    "request children",
    "request timelimit",
    "request time_limit",
    "request soft_time_limit",
    "request reply_to",
    "request correlation_id",
    "request properties",
    "request headers",
    "request origin",
    "request shadow",
    "request lang",
    "request argsrepr",
    "request kwargsrepr",
    "request ignore_result",
    "request replaced_task_nesting",
    "request stamped_headers",
    "request stamps",
    "request utc",
    "request loglevel",
    "request logfile",
    "request taskset",
)
def test_request_has_celerys_attributes(both: dict[str, Rig]) -> None:
    eta = datetime(2024, 1, 2, tzinfo=timezone.utc)
    expires = datetime.now(timezone.utc).replace(microsecond=5) + timedelta(days=1)
    plain: dict[str, Any] = {}
    everything: dict[str, Any] = {
        "task_id": "the-id",
        "eta": eta,
        "expires": expires,
        "time_limit": 30,
        "soft_time_limit": 20,
        "shadow": "shown",
        "headers": {"tenant": "a", "number": 7},
        "priority": 3,
        "root_id": "the-root",
        "parent_id": "the-parent",
        "group_id": "the-group",
        "group_index": 4,
        "reply_to": "the-reply",
        "argsrepr": "(seen)",
        "stamped_headers": ["stamp"],
        "stamp": "value",
    }
    for options in (plain, everything):
        seen = {}
        for framework, rig in both.items():
            links = (
                {"link": rig.task("echo").s(1), "link_error": rig.task("old_errback").s()}
                if options
                else {}
            )
            result = rig.task("request_fields").apply_async(
                (1, "x"), {"k": [2]}, **options, **links
            )
            seen[framework] = {
                name: without_chance(text) for name, text in result.get(timeout=30).items()
            }
        assert seen["ours"] == seen["celery"]


def without_chance(text: str) -> str:
    """Without ids, pids, host names and what is left of the time, which differ from run to run; and without
    ``argsrepr`` among the properties, where kombu puts every option that it does not know.
    """
    text = re.sub(r"expiration: '\d+'", "expiration: <ms>", text).replace(
        "argsrepr: '(seen)', body", "body"
    )
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>", text)
    return re.sub(r"gen\d+@[\w.-]+", "<origin>", text)


@pytest.mark.shows("verb replace", "handler on_replace", "request replaced_task_nesting")
def test_another_call_takes_the_place_of_the_running_one(both: dict[str, Rig]) -> None:
    seen: dict[str, Any] = {}
    for framework, rig in both.items():
        replaced, add = rig.task("replaced"), rig.task("add")
        nested = replaced.delay("nested")
        depth, task_id, is_root = nested.get(timeout=30)
        assert task_id == nested.id
        failed = replaced.delay("failure")
        failure = failed.get(timeout=30, propagate=False)
        seen[framework] = {
            "task": replaced.delay("task").get(timeout=30),
            "chain": replaced.delay("chain").get(timeout=30),
            "in a chain": (replaced.s("task") | add.s(100)).delay().get(timeout=30),
            "chain in a chain": (replaced.s("chain") | add.s(100)).delay().get(timeout=30),
            "nested": (depth, is_root),
            "failure": (failed.state, type(failure).__name__, str(failure)),
        }
    assert seen["ours"] == seen["celery"]
    assert seen["ours"]["chain in a chain"] == 113
