"""``app.events.State``: fed with what Celery's is fed with, it says the same."""

from __future__ import annotations

import contextlib
import gc
import importlib
import pickle
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate
from tests.support.listening import Event, listening
from tests.support.rig import PRODUCT, Rig


@pytest.fixture(scope="module")
def stream(redis_database: str, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What two workers and a client tell of tasks that end in each way, as a receiver gives it."""
    directory = tmp_path_factory.mktemp("stream")
    conf = {"task_send_sent_event": True, "task_acks_late": False}
    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec(PRODUCT, redis_database, redis_database, conf), directory, stack)
        monitor = stack.enter_context(monitoring(rig, directory))
        heard = stack.enter_context(listening(monitor))
        gate = stack.enter_context(Gate(directory))
        rig.worker("-n", "one@x", "-E", "--heartbeat-interval", "0.2")
        other = rig.worker("-n", "two@x", "-E", "--heartbeat-interval", "0.2")
        ends = publish(rig, gate, heard)
        for task_id, kind in ends:
            heard.wait(task_id, kind)
        assert other.stop() == 0
        heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
        return [dict(event) for event in heard.events]


@contextlib.contextmanager
def monitoring(rig: Rig, directory: Path) -> Iterator[Any]:
    """Celery's application."""
    with contextlib.ExitStack() as stack:
        yield Rig(rig.spec.of("celery"), directory, stack).app


def publish(rig: Rig, gate: Gate, heard: Any) -> list[tuple[str, str]]:
    """A task for each way to end: its id, and the type of its last event."""
    revoked = str(uuid.uuid4())
    rig.app.control.revoke(revoked)
    held = rig.task("hold").delay(gate.path).id
    add = rig.task("add")
    canvas = importlib.import_module(PRODUCT)
    chain = canvas.chain(add.s(1, 2), add.s(3), add.s(4)).delay()
    members = canvas.group(add.s(n, n) for n in range(10))().results
    parent = rig.task("parent").delay().id
    ends = [
        *((result.id, "task-succeeded") for result in (chain, chain.parent, *members)),
        (parent, "task-succeeded"),
        (rig.task("flaky").delay(2).id, "task-succeeded"),
        (rig.task("tell").delay().id, "task-succeeded"),
        (rig.task("fail").delay("it's").id, "task-failed"),
        (rig.task("reject").delay("no").id, "task-failed"),
        (add.apply_async((1, 2), task_id=revoked).id, "task-revoked"),
        (held, "task-revoked"),
    ]
    heard.wait(held, "task-started")
    gate.wait_started()
    rig.app.control.terminate(held, signal="SIGTERM")
    return ends


def states(**options: Any) -> dict[str, Any]:
    """A state of each framework."""
    from celery.events.state import State as CelerysState

    from fastworker.events.state import State

    return {"celery": CelerysState(**options), "fastworker": State(**options)}


def feed(stream: list[Event], **options: Any) -> dict[str, Any]:
    """Both of them, fed."""
    made = states(**options)
    gc.freeze()
    try:
        for event in stream:
            for state in made.values():
                state.event(dict(event))
            # What Celery's forgets is in cycles, and would be found again.
            gc.collect()
    finally:
        gc.unfreeze()
    return made


def of_task(task: Any) -> dict[str, Any]:
    """Everything that there is to know of a task."""
    known = {
        **task.as_dict(),
        "worker": task.worker and task.worker.hostname,
        "children": sorted(child.id for child in task.children),
    }
    related = {name: getattr(getattr(task, name), "id", None) for name in ("parent", "root")}
    return {
        "known": known,
        "related": related,
        "origin": task.origin,
        "ready": task.ready,
        "info": task.info(extra=["state", "hostname", "local_received"]),
    }


def of_worker(worker: Any) -> dict[str, Any]:
    """Everything that there is to know of a worker, but when it was heard."""
    fields = {name: getattr(worker, name) for name in worker._fields if name != "heartbeats"}
    return {**fields, "beats": len(worker.heartbeats), "alive": worker.alive, "id": worker.id}


def seen(state: Any) -> dict[str, Any]:
    """All that a state says."""
    return {
        "counts": (state.event_count, state.task_count, repr(state)),
        "types": state.task_types(),
        "workers": {name: of_worker(worker) for name, worker in state.workers.items()},
        "alive": sorted(worker.hostname for worker in state.alive_workers()),
        "tasks": {task_id: of_task(task) for task_id, task in state.tasks.items()},
        "as they came": [task_id for task_id, _ in state.itertasks()],
        "newest first": [task_id for task_id, _ in state.tasks_by_time()],
        "oldest first": [task_id for task_id, _ in state.tasks_by_time(reverse=False)],
        "adds": [task_id for task_id, _ in state.tasks_by_type("proj.add")],
    }


def assert_same(made: dict[str, Any]) -> None:
    ours, theirs = seen(made["fastworker"]), seen(made["celery"])
    for what, said in theirs.items():
        assert ours[what] == said, what


@pytest.mark.shows("event app.events.State")
def test_of_a_real_stream_it_says_what_celerys_says(stream: list[Event]) -> None:
    made = feed(stream)
    assert_same(made)
    kinds = {event["type"] for event in stream}
    assert {"task-sent", "task-retried", "task-revoked", "task-told", "worker-offline"} <= kinds
    known = made["fastworker"].tasks.values()
    assert {task.state for task in known} >= {"SUCCESS", "FAILURE", "REVOKED"}
    assert any(task.children for task in known)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_late_lost_or_twice(stream: list[Event], seed: int) -> None:
    chance = random.Random(seed)
    muddled = [event for event in stream for _ in range(chance.choice((0, 1, 1, 1, 2)))]
    far = chance.choice((2, 10, 1000))
    order = sorted(range(len(muddled)), key=lambda place: place + chance.random() * far)
    assert_same(feed([muddled[place] for place in order]))


@pytest.mark.parametrize("most", [1, 3, 8])
def test_memory_is_bounded_as_celerys(stream: list[Event], most: int) -> None:
    made = feed(stream, max_tasks_in_memory=most, max_workers_in_memory=1)
    assert_same(made)
    ours = made["fastworker"]
    assert (len(ours.tasks), len(ours.workers)) == (most, 1)
    assert len(ours._taskheap) <= most * ours.heap_multiplier


def test_callbacks_hear_of_it_as_of_celerys(stream: list[Event]) -> None:
    told: dict[str, list[Any]] = {}
    for name, cls in ((name, type(state)) for name, state in states().items()):
        notes = told[name] = []
        state = cls(
            callback=lambda state, event, notes=notes: notes.append((state.event_count, event)),
            on_node_join=lambda worker, notes=notes: notes.append(("join", worker.hostname)),
            on_node_leave=lambda worker, notes=notes: notes.append(("leave", worker.hostname)),
        )
        state.handlers["task"] = lambda subject, event: f"{subject} {event['uuid']}"
        for event in stream:
            handled = state.event(dict(event))
            if isinstance(handled[0], str):
                notes.append(handled)
            else:
                (worker, is_new), subject = handled
                notes.append((worker.hostname, bool(is_new), subject))
    assert told["fastworker"] == told["celery"]
    assert ("leave", "two@x") in told["fastworker"]


def test_a_pickle_of_it_says_the_same(stream: list[Event]) -> None:
    from fastworker import FastWorker

    state = FastWorker("p", broker="memory://", set_as_current=False).events.State()
    for event in stream:
        state.event(dict(event))
    copy = pickle.loads(pickle.dumps(state))
    before, after = seen(state), seen(copy)
    # Counts and the order of former events are Celery's to forget too.
    for what in ("types", "workers", "tasks", "as they came"):
        assert after[what] == before[what]
    assert copy.tasks_by_type == state.tasks_by_type
