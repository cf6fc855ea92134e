"""Plays a group of scenarios with one framework on one broker, and writes down what can be seen.

All scenarios are sent first, then each is waited for, then the worker is stopped warmly: what is
read afterwards is final, so nothing here depends on how fast anything was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import json
import os
import re
import threading
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from tests.differential import stored
from tests.differential.normal import UUID, Normaliser, describe
from tests.differential.scenario import Group, Scenario, Session
from tests.differential.tasks import RECORD_VARIABLE, library, make_app, record_of
from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

LOG_LINE = re.compile(r"^\[[^]]*?: (\w+)/[^]]+\] (.*)$")

Observation = dict[str, Any]


def play(group: Group, framework: str, url: str, folder: Path) -> dict[str, Observation]:
    """What each scenario of ``group`` came to, by its name."""
    spec = AppSpec(framework, url, url, group.conf)
    record = record_of(folder)
    with contextlib.ExitStack() as stack:
        if framework == "celery":
            # It warns of options that it would rather see in routes.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        stack.enter_context(_environment({RECORD_VARIABLE: str(record)}))
        documents = stack.enter_context(_Documents(url))
        app = make_app(spec)
        if group.setup is not None:
            group.setup(app, library(framework))
        sessions = {s.name: _session(app, framework, url, folder) for s in group.scenarios}
        workers: list[WorkerProcess] = []
        if group.worker == "before":
            workers.append(stack.enter_context(_worker(group, spec)))
        messages: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
        for scenario in group.scenarios:
            _send(scenario, sessions[scenario.name])
            if group.worker == "none" and url.startswith("redis"):
                messages[scenario.name] = _take_all(url)
        if group.worker == "after":
            workers.append(stack.enter_context(_worker(group, spec)))
        is_celery = framework == "celery"
        patience_s = group.celery_patience_s if is_celery else group.patience_s
        deadline = time.monotonic() + patience_s
        late = [
            scenario.name
            for scenario in group.scenarios
            if group.worker != "none"
            and not _ended(scenario, sessions[scenario.name], record, deadline)
        ]
        if late:
            print(f"{group.name} with {framework}: no end of {late}", *(w.log for w in workers))
        for worker in workers:
            worker.stop(60)
        documents.settle()
        found = stored.read(url) if group.worker != "none" else stored.Stored({}, [])
        log = workers[0].log if workers else ""
        return {
            scenario.name: _observe(
                scenario,
                sessions[scenario.name],
                folder=folder,
                is_late=scenario.name in late,
                found=found,
                documents=documents,
                taken=messages[scenario.name],
                log=log if group.has_log else "",
            )
            for scenario in group.scenarios
        }


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _session(app: Any, framework: str, url: str, folder: Path) -> Session:
    def push(queue: str, text: bytes) -> None:
        with redis.Redis.from_url(url) as client:
            client.lpush(queue, text)

    canvas = importlib.import_module(framework)
    return Session(app, library(framework), canvas, str(folder), push)


@contextlib.contextmanager
def _worker(group: Group, spec: AppSpec) -> Iterator[WorkerProcess]:
    line = (command(spec.framework), "-A", "tests.differential.worker_app", "worker")
    options = ("--loglevel", "INFO", "-n", "diff@here", "--concurrency", str(group.concurrency))
    environment = {**spec.environment(), "C_FORCE_ROOT": "1"}
    with WorkerProcess((*line, *options, *group.options), environment) as worker:
        yield worker.wait_ready(60)


def _send(scenario: Scenario, session: Session) -> None:
    session.now = dt.datetime.now(dt.timezone.utc)
    try:
        scenario.send(session)
    except Exception as exc:
        session.raised = describe(exc)


def _ended(scenario: Scenario, session: Session, record: Path, deadline: float) -> bool:
    """Wait for the scenario's end; False when it did not come before the play's deadline."""

    def has_ended() -> bool:
        results = session.results.values() if scenario.ends else ()
        return all(result.ready() for result in results) and (
            len(_lines(session, record)) >= scenario.lines
        )

    try:
        wait_until(has_ended, scenario.name, max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return False
    return True


def _with_parents(session: Session) -> dict[str, Any]:
    """Every result that the scenario has, those of a chain's earlier steps too, by its label."""
    results: dict[str, Any] = {}
    for label, result in session.results.items():
        step = label
        while result is not None and result.id is not None and step not in results:
            results[step] = result
            result, step = result.parent, f"parent of {step}"
    return results


def _ids(session: Session) -> dict[str, str]:
    """What is known of ids: each result's label."""
    return {result.id: f"<{label}>" for label, result in _with_parents(session).items()}


def _lines(session: Session, record: Path) -> list[dict[str, Any]]:
    names = _ids(session)
    lines = [json.loads(line) for line in read_lines(str(record))]
    return [line for line in lines if line["of"] in names or line["in"] in names]


def _take_all(url: str) -> list[tuple[str, bytes]]:
    """What was just published, out of the way of the next scenario."""
    with redis.Redis.from_url(url) as client:
        messages = stored.read(url).messages
        client.flushdb()
        return messages


def _observe(
    scenario: Scenario,
    session: Session,
    *,
    folder: Path,
    is_late: bool,
    found: stored.Stored,
    documents: _Documents,
    taken: list[tuple[str, bytes]],
    log: str,
) -> Observation:
    names = _ids(session)
    normal = Normaliser(names, session.now, str(folder))
    lines = _lines(session, record_of(folder))
    seen: Observation = {}
    if is_late:
        seen["ended"] = False
    if session.raised is not None:
        seen["raised"] = normal(session.raised)
    calls = {
        label: _call(result, found, documents, normal)
        for label, result in _with_parents(session).items()
    }
    if calls:
        seen["calls"] = calls
    if scenario.unordered or (len(session.results) > 1 and not scenario.lines):
        # By what they say, not by ids, which get their names in this order.
        lines = sorted(lines, key=lambda line: UUID.sub("", json.dumps(line, sort_keys=True)))
    told = [normal({key: line[key] for key in sorted(line) if key != "in"}) for line in lines]
    if told:
        seen["record"] = told
    messages = taken or [
        (queue, raw) for queue, raw in found.messages if names.keys() & set(stored.ids_of(raw))
    ]
    if messages:
        seen["messages"] = [
            # SQLite keeps the priority beside the queue's name, Redis in it; properties say it.
            normal({"queue": queue.split("\x06")[0], **_as_dict(stored.message(raw))})
            for queue, raw in messages
        ]
    if log:
        told_by_log = _log_lines(log, names)
        if told_by_log:
            seen["log"] = sorted(map(normal, told_by_log))
    if session.extra:
        seen["extra"] = normal(session.extra)
    return seen


def _as_dict(envelope: Any) -> dict[str, Any]:
    return envelope if isinstance(envelope, dict) else {"raw": envelope}


def _call(
    result: Any, found: stored.Stored, documents: _Documents, normal: Callable[[Any], Any]
) -> Observation:
    """All that a client can see of one call."""
    seen: Observation = {}
    history = documents.of(result.id)
    if history:
        seen["states"] = [doc.get("status") for doc in history]
        seen["stored"] = [normal(doc) for doc in history[:-1]]
    if result.id in found.docs:
        seen["doc"] = normal(stored.document(found.docs[result.id]))
    try:
        seen["state"] = result.state
        seen["result"] = normal(describe(result.result))
        traceback = result.traceback
        seen["traceback"] = normal(stored.last_line(traceback)) if traceback else None
        if result.ready():
            try:
                seen["get"] = normal(describe(result.get(timeout=1)))
            except BaseException as exc:  # what a task raised may be any class
                seen["get raises"] = normal(describe(exc))
    except BaseException as exc:  # likewise
        seen["reading raises"] = normal(describe(exc))
    return seen


def _log_lines(log: str, names: dict[str, str]) -> list[str]:
    lines = []
    for line in log.splitlines():
        found = LOG_LINE.match(line)
        if found and any(task_id in line for task_id in names):
            lines.append(f"{found[1]} {found[2]}")
    return lines


class _Documents:
    """Every result document in the order of storing; both frameworks announce them on Redis.

    A context manager that listens meanwhile; hears nothing on SQLite.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard: dict[str, list[bytes]] = defaultdict(list)
        self._lock = threading.Lock()
        self._thread: Any = None

    def of(self, task_id: str) -> list[Any]:
        """Those of one task."""
        with self._lock:
            heard = list(self._heard[task_id])
        return [stored.document(data) for data in heard]

    def settle(self) -> None:
        """Wait until everything that was announced so far has been heard."""
        if self._thread is None:
            return
        mark = f"mark-{uuid.uuid4()}"
        self._client.publish(stored.DOC + mark, b"{}")
        wait_until(lambda: self.of(mark), "the end of the announcements")

    def _hear(self, said: dict[str, Any]) -> None:
        # Channels are of all databases: tests that run beside this one announce documents of any form.
        name = said["channel"].decode().removeprefix(stored.DOC)
        with self._lock:
            self._heard[name].append(said["data"])

    def __enter__(self) -> _Documents:
        if self._url.startswith("redis"):
            self._client = redis.Redis.from_url(self._url)
            self._listener = self._client.pubsub(ignore_subscribe_messages=True)
            self._listener.psubscribe(**{stored.DOC + "*": self._hear})
            self._thread = self._listener.run_in_thread(sleep_time=0.1, daemon=True)
        return self

    def __exit__(self, *rest: object) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread.join()
            self._listener.close()
            self._client.close()
