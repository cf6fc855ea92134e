"""Tasks that random workflows are made of: each call is noted in a Redis list, and ends in one of many ways."""

from __future__ import annotations

import functools
import importlib
import json
import os
from typing import Any

import redis

#: The Redis list of what was called: key, task id, what, its argument, the name of its message, process.
CALLS = "calls"
#: The environment variable with the Redis that has it; without it, the broker.
CALLS_VARIABLE = "TEST_CALLS"
#: How often a task that is retried fails first.
ATTEMPTS = 2
#: What takes the place of a task, by name.
REPLACEMENTS = ("task", "chain", "group", "chord", "failure", "failing chord", "chain to group")


class Crash(Exception):
    """What tasks fail with."""


def register(app: Any, framework: str) -> None:
    """Give the tasks to ``app``; they are named ``flow.<name>``."""
    task = functools.partial(app.task, shared=False)
    canvas = importlib.import_module(f"{framework}.canvas")

    @functools.cache
    def server() -> Any:
        return redis.Redis.from_url(os.environ.get(CALLS_VARIABLE) or app.conf.broker_url)

    def note(key: str, task_id: str | None, what: str, value: Any, message: Any = None) -> None:
        call = [key, task_id, what, value, message, os.getpid()]
        server().rpush(CALLS, json.dumps(call))

    def began(task: Any, key: str, what: str, value: Any) -> None:
        request = task.request
        note(key, request.id, what, value, (request.properties or {}).get("delivery_tag"))

    @task(name="flow.step", bind=True)
    def step(self: Any, value: Any = None, *, key: str) -> Any:
        began(self, key, "step", value)
        return [key, value]

    @task(name="flow.unkept", bind=True, ignore_result=True)
    def unkept(self: Any, value: Any = None, *, key: str) -> Any:
        began(self, key, "unkept", value)
        return [key, value]

    @task(name="flow.fail", bind=True)
    def fail(self: Any, value: Any = None, *, key: str) -> None:
        began(self, key, "fail", value)
        raise Crash(key)

    @task(name="flow.flaky", bind=True, max_retries=ATTEMPTS)
    def flaky(self: Any, value: Any = None, *, key: str) -> Any:
        began(self, key, f"attempt {self.request.retries}", value)
        if self.request.retries < ATTEMPTS:
            raise self.retry(exc=Crash(key), countdown=0)
        return [key, value]

    @task(name="flow.exhausted", bind=True, max_retries=1)
    def exhausted(self: Any, value: Any = None, *, key: str) -> None:
        began(self, key, f"attempt {self.request.retries}", value)
        raise self.retry(exc=Crash(key), countdown=0)

    @task(name="flow.swap", bind=True)
    def swap(self: Any, value: Any = None, *, key: str, by: str) -> None:
        began(self, key, f"replaced by a {by}", value)

        def part(number: int, end: Any = step) -> Any:
            return end.s(key=f"{key}.{number}")

        begin = step.s(value, key=f"{key}.0")
        members = [begin, step.s(value, key=f"{key}.1")]
        raise self.replace(
            {
                "task": lambda: begin,
                "chain": lambda: canvas.chain(begin, part(1), part(2, flaky)),
                "group": lambda: canvas.group(members),
                "chord": lambda: canvas.chord(members, part(2)),
                "failure": lambda: part(0, fail),
                "failing chord": lambda: canvas.chord([*members, part(2, fail)], part(3)),
                "chain to group": lambda: canvas.chain(begin, canvas.group(part(1), part(2))),
            }[by]()
        )

    @task(name="flow.adder", bind=True)
    def adder(self: Any, value: Any = None, *, key: str) -> Any:
        """Has one more member take part in its chord, if it is in one."""
        began(self, key, "adder", value)
        if self.request.chord:
            self.add_to_chord(step.si(key=f"{key}.0"))
        return [key, value]

    @task(name="flow.mapped")
    def mapped(key: str, number: int = 0) -> Any:
        """One of many in a message."""
        note(key, None, "mapped", number)
        return [key, number]

    @task(name="flow.told", bind=True)
    def told(self: Any, task_id: str, *, key: str) -> None:
        """An old-style error callback: a task of its own."""
        began(self, key, "told", task_id)

    @task(name="flow.heard")
    def heard(request: Any, exc: BaseException, traceback: Any, *, key: str) -> None:
        """A new-style one: called where the error is stored."""
        note(key, None, "heard", [request.id, repr(exc)])
