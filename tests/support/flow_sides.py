"""One framework's client and its worker, for random workflows: what each workflow came to, comparable."""

from __future__ import annotations

import collections
import importlib
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from tests.support import queue_state
from tests.support.flow_tasks import CALLS
from tests.support.flows import Flow, build
from tests.support.rig import Rig

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Without anything to do for so long, a worker will not do anything any more.
_QUIET_S = 1.0
#: States that do not change.
ENDED = ("SUCCESS", "FAILURE", "REVOKED")

#: What a workflow came to: ``calls``, ``states``, ``value`` and so on.
Outcome = dict[str, Any]
#: One call of a task: key, task id, what, its argument, the name of its message, process.
Call = list[Any]


class Stuck(AssertionError):
    """A worker does not come to rest."""


@dataclass
class Published:
    """Workflows on their way.

    Attributes:
        results: By key.
        refused: The class of the error that publishing ended with, by key.
    """

    results: dict[str, Any]
    refused: dict[str, str]


class Side:
    """One framework's client; its worker runs.

    Args:
        rig: Its application.
        calls: The Redis that tasks note their calls in, as the worker's environment says.
        todo: What is left to do, by place, where the broker is neither Redis nor SQLite.
    """

    def __init__(
        self,
        rig: Rig,
        calls: redis.Redis,
        todo: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self.rig = rig
        self._canvas = importlib.import_module(f"{rig.spec.framework}.canvas")
        self._calls = calls
        self._todo = todo
        self._broker = rig.redis() if rig.is_redis else None
        results = rig.spec.backend or ""
        self._results = rig.redis(results) if results.startswith("redis") else None

    def run(self, flows: Mapping[str, Flow], timeout_s: float) -> dict[str, Outcome]:
        """Publish all, wait until the worker is at rest, and read what they came to.

        Raises:
            Stuck: It is not at rest in time; the text says what is left to do.
        """
        self._calls.delete(CALLS)
        published = self.publish(flows)
        self.rest(timeout_s)
        return self.read(published, self.calls())

    def publish(self, flows: Mapping[str, Flow]) -> Published:
        """Publish workflows."""
        made = Published({}, {})
        for key, flow in flows.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    made.results[key] = build(flow, self._canvas, self.rig.app, key).apply_async()
                except Exception as error:
                    made.refused[key] = type(error).__name__
        return made

    def calls(self) -> list[Call]:
        """What has been called so far."""
        return [json.loads(line) for line in self._calls.lrange(CALLS, 0, -1)]

    def read(self, published: Published, calls: Sequence[Call]) -> dict[str, Outcome]:
        """What workflows came to."""
        by_flow = collections.defaultdict(list)
        for call in calls:
            by_flow[call[0].split("/")[0]].append(call)
        found: dict[str, Outcome] = {key: {"refused": it} for key, it in published.refused.items()}
        for key, result in published.results.items():
            found[key] = self._outcome(result, by_flow[key])
        return found

    def todo(self) -> Mapping[str, int]:
        """What is left to do, by place."""
        if self._todo is not None:
            return self._todo()
        server = self._broker
        if server is None:
            return queue_state.read_apart(self.rig.spec.broker)
        return {
            "queued": server.llen("celery"),
            "leased": server.hlen("unacked"),
            "joins": server.hlen("fastworker:joins"),
        }

    def joins(self) -> int:
        """Chords that are to be joined by workers of ours, where results are in Redis."""
        assert self._results is not None
        return int(self._results.hlen("fastworker:joins"))

    def rest(self, timeout_s: float) -> None:
        """Wait until nothing is queued, leased or to be joined, for a while: no more will come of it.

        Raises:
            Stuck: Not in time; the text says what is left to do.
        """
        deadline = time.monotonic() + timeout_s
        since = time.monotonic()
        seen: Any = None
        while True:
            todo = self.todo()
            calls = self._calls.llen(CALLS)
            now = time.monotonic()
            if any(todo.values()) or calls != seen:
                since, seen = now, calls
            if now - since >= _QUIET_S:
                return
            if now > deadline:
                raise Stuck(f"{self.rig.spec.framework} after {timeout_s} s: {dict(todo)}")
            time.sleep(0.05)

    def _documents(self, task_ids: Sequence[str]) -> Sequence[bytes | None]:
        """What is stored."""
        if self._results is not None:
            return self._results.mget([f"celery-task-meta-{task_id}" for task_id in task_ids])
        found: Sequence[bytes | None] = self.rig.app.backend.store.get_many(list(task_ids))
        return found

    def _outcome(self, result: Any, calls: Sequence[Any]) -> Outcome:
        names: dict[str, str] = {}
        if result is not None:
            for path, task_id in _tree("", result, set()):
                names.setdefault(task_id, path)
        for key, task_id, *_ in sorted(calls, key=lambda call: call[0]):
            if task_id:
                names.setdefault(task_id, f"call {key}")

        is_unordered = any(what == "adder" for _, _, what, *_ in calls)

        def named(value: Any) -> Any:
            text = json.dumps(value, sort_keys=True)
            value = json.loads(_ID.sub(lambda found: names.get(found[0], "an id"), text))
            return _sorted(value) if is_unordered else value

        docs = self._documents(list(names))
        states, results = {}, {}
        for name, doc in zip(names.values(), docs, strict=True):
            found = json.loads(doc) if doc else {"status": "PENDING", "result": None}
            states[name] = found["status"]
            value = found["result"]
            if found["status"] in ("FAILURE", "RETRY"):
                value = [value["exc_type"], value["exc_message"]]
            # What failed without running has, in Celery, the children of the task that stored its failure.
            children = found.get("children") if found["status"] == "SUCCESS" else None
            results[name] = json.dumps([named(value), named(children)])
        last = [names[task_id] for task_id in _last(result)]
        has_ended = all(states[name] in ENDED for name in last)
        return {
            "got": json.dumps(named(_got(result))) if result is not None and has_ended else None,
            "calls": sorted(json.dumps([*map(named, call[:4])]) for call in calls),
            "states": states,
            "results": results,
            "last": last,
        }


def _tree(path: str, result: Any, seen: set[str]) -> Iterator[tuple[str, str]]:
    """The ids of all results that a workflow's one leads to, with their places; groups have no state."""
    if result.id in seen:
        return
    seen.add(result.id)
    members = getattr(result, "results", None)
    if members is None:
        yield f"result{path}", result.id
    for number, member in enumerate(members or ()):
        yield from _tree(f"{path}[{number}]", member, seen)
    if result.parent is not None:
        yield from _tree(f"{path}.parent", result.parent, seen)


def _last(result: Any) -> list[str]:
    """The ids that whoever waits for a workflow waits for."""
    if result is None:
        return []
    members = getattr(result, "results", None)
    if members is None:
        return [result.id]
    return [task_id for member in members for task_id in _last(member)]


def _got(result: Any) -> Any:
    """What ``get`` gives, or raises."""
    try:
        return result.get(timeout=10)
    except Exception as error:
        return [type(error).__name__, str(error)]


def _sorted(value: Any) -> Any:
    """With the members of lists in an order of ours: a member that was added to a chord is beside the one that added
    it, before or after it as their ids happen to be."""
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=repr)
    return {name: _sorted(it) for name, it in value.items()} if isinstance(value, dict) else value
