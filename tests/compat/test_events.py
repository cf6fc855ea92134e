"""Events: Celery's receiver, state and command line hear our worker, and hear of it what they hear of Celery's."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate
from tests.support.listening import Event, Heard, listening
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

#: Fields that are the same whoever runs a task.
SAME = (
    "name",
    "args",
    "kwargs",
    "retries",
    "result",
    "terminated",
    "expired",
    "requeue",
    "exception",
    "signum",
)


@pytest.fixture(params=["redis", "rabbitmq"])
def both(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> Iterator[dict[str, Rig]]:
    """A rig of each framework on one broker."""
    is_redis = request.param == "redis"
    broker = redis_url if is_redis else request.getfixturevalue("rabbit").url
    with contextlib.ExitStack() as stack:
        spec = AppSpec(PRODUCT, broker, redis_url, {"task_acks_late": False})
        yield {
            name: Rig(spec.of(name), tmp_path, stack) for name in dict.fromkeys((PRODUCT, "celery"))
        }


@pytest.fixture
def ours(both: dict[str, Rig]) -> Rig:
    """The product's rig."""
    return both[PRODUCT]


@pytest.fixture
def monitor(both: dict[str, Rig]) -> Any:
    """Celery's application."""
    return both["celery"].app


def publish(client: Any, gate: Gate) -> dict[str, tuple[str, str]]:
    """Publish a task for each way to end: by a label, its id and the type of its last event."""

    def call(name: str, *args: Any, **options: Any) -> str:
        return str(client.tasks[f"proj.{name}"].apply_async(args, **options).id)

    revoked = str(uuid.uuid4())
    client.control.revoke(revoked)
    held = call("hold", gate.path)
    return {
        "returns": (call("add", 1, 2), "task-succeeded"),
        "shadowed": (call("echo", "é", shadow="other"), "task-succeeded"),
        "raises": (call("fail", "it's"), "task-failed"),
        "retries": (call("flaky", 1), "task-succeeded"),
        "rejected": (call("reject", "no"), "task-failed"),
        "expired": (call("add", 1, 2, countdown=1, expires=0.5), "task-revoked"),
        "revoked": (call("add", 1, 2, task_id=revoked), "task-revoked"),
        "terminated": (held, "task-revoked"),
        "limited": (call("hold", gate.path, time_limit=0.5), "task-failed"),
        "unknown": (str(client.send_task("proj.nobody").id), "task-failed"),
        "tells": (call("tell"), "task-succeeded"),
    }


def beats_when_asked(client: Any, heard: Heard) -> bool:
    """Asks a worker to show that it hears orders: Celery's is ready a little sooner than that."""
    client.control.broadcast("heartbeat")
    return any(event.get("freq") == 5 for event in list(heard.events))


def play(rig: Rig, client: Any, directory: Path) -> tuple[Heard, dict[str, str]]:
    """What Celery hears of one worker to which it publishes, and the ids of the tasks."""
    with (
        Gate(directory) as gate,
        listening(client) as heard,
        rig.worker("-n", "w@x", "-E", concurrency=2) as worker,
    ):
        wait_until(lambda: beats_when_asked(client, heard), "an ear for orders", poll_s=0.5)
        ids = publish(client, gate)
        heard.wait(ids["terminated"][0], "task-started")
        gate.wait_started()
        client.control.terminate(ids["terminated"][0], signal="SIGTERM")
        for task_id, kind in ids.values():
            heard.wait(task_id, kind)
        heard.wait_for(
            lambda event: event["type"] == "worker-heartbeat" and "active" in event, "heartbeat"
        )
        worker.signal(signal.SIGTERM)
        heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
    return heard, {label: task_id for label, (task_id, _) in ids.items()}


def forms(heard: Heard) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """The types of events with their fields, and the fields' types."""
    return {
        (
            event["type"],
            tuple(sorted((name, type(value).__name__) for name, value in event.items())),
        )
        for event in heard.events
    }


def story(events: list[Event], directory: Path) -> list[tuple[str, dict[str, str]]]:
    """What is the same whoever ran it, by type: what follows from a task may be told of before its own end."""

    def shown(event: Event) -> dict[str, str]:
        return {
            name: str(event[name]).replace(str(directory), "") for name in SAME if name in event
        }

    return sorted(((event["type"], shown(event)) for event in events), key=str)


@pytest.mark.shows(
    "event task-received",
    "event task-started",
    "event task-succeeded",
    "event task-failed",
    "event task-retried",
    "event task-revoked",
    "event task-rejected",
    "event worker-online",
    "event worker-heartbeat",
    "event heartbeat",
    "verb send_event",
    "setting worker_send_task_events",
    "setting event_exchange",
)
def test_celerys_receiver_hears_the_same_of_both_workers(
    both: dict[str, Rig], monitor: Any, tmp_path: Path
) -> None:
    heard, stories = {}, {}
    for name, rig in both.items():
        folder = tmp_path / name
        folder.mkdir()
        heard[name], ids = play(rig, monitor, folder)
        stories[name] = {
            label: story(heard[name].of(task_id), folder) for label, task_id in ids.items()
        }
    # Celery tells of it twice, and names the wrapper of the exception.
    limited = {name: stories[name].pop("limited") for name in stories}
    assert {kind for kind, _ in limited[PRODUCT]} == {kind for kind, _ in limited["celery"]}
    assert limited[PRODUCT][0] == ("task-failed", {"exception": "TimeLimitExceeded(0.5)"})
    assert stories[PRODUCT] == stories["celery"]
    assert forms(heard[PRODUCT]) == forms(heard["celery"])


def test_clocks_tell_in_which_order_it_happened(ours: Rig, monitor: Any) -> None:
    with listening(monitor) as heard:
        ours.worker("-n", "w@x", "-E", concurrency=1)
        ids = [str(monitor.tasks["proj.add"].delay(n, n).id) for n in range(50)]
        for task_id in ids:
            heard.wait(task_id, "task-succeeded")
    by_clock = sorted(heard.events, key=lambda event: event["clock"])
    assert len({event["clock"] for event in by_clock}) == len(by_clock)
    for task_id in ids:
        kinds = [event["type"] for event in by_clock if event.get("uuid") == task_id]
        assert kinds == ["task-received", "task-started", "task-succeeded"]
        assert sorted(event["timestamp"] for event in heard.of(task_id)) == [
            event["timestamp"] for event in heard.of(task_id)
        ]


@pytest.mark.shows("event enable_events", "event disable_events")
def test_celerys_command_line_switches_events_on_and_off(
    ours: Rig, monitor: Any, tmp_path: Path
) -> None:
    def control(order: str) -> str:
        arguments = ("-A", "tests.support.worker_app", "control", "--timeout", "20", "-d", "w@x")
        return subprocess.run(
            [command("celery"), *arguments, order],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **ours.spec.of("celery").environment()},
        ).stdout

    with Gate(tmp_path) as gate, listening(monitor) as heard:
        ours.worker("-n", "w@x", concurrency=1)
        unheard = monitor.tasks["proj.hold"].delay(gate.path).id
        gate.wait_started()
        assert "task events enabled" in control("enable_events")
        assert "task events already enabled" in control("enable_events")
        # What runs by then is told of from now on.
        heard.wait(unheard, "task-started")
        gate.release()
        heard.wait(unheard, "task-succeeded")
        assert "task events disabled" in control("disable_events")
        last = monitor.tasks["proj.add"].delay(1, 2).id
        wait_until(lambda: monitor.AsyncResult(last).ready(), "the last task")
        monitor.control.broadcast("heartbeat")
        heard.wait_for(lambda event: event.get("freq") == 5, "a heartbeat")
    assert heard.kinds(unheard) == ["task-started", "task-succeeded"]
    assert heard.kinds(last) == []


@pytest.mark.shows("task send_events")
def test_a_task_that_sends_no_events_is_not_told_of(ours: Rig, monitor: Any) -> None:
    with listening(monitor) as heard:
        ours.worker("-n", "w@x", "-E", concurrency=1)
        silent = monitor.send_task("proj.mute").id
        loud = monitor.tasks["proj.add"].delay(1, 2).id
        heard.wait(loud, "task-succeeded")
        wait_until(lambda: monitor.AsyncResult(silent).ready(), "the silent task")
        later = monitor.tasks["proj.add"].delay(1, 2).id
        heard.wait(later, "task-succeeded")
    assert heard.kinds(silent) == []


@pytest.mark.shows(
    "event --heartbeat-interval", "event --without-heartbeat", "event worker-offline"
)
def test_heartbeats_come_as_often_as_is_said_or_not_at_all(ours: Rig, monitor: Any) -> None:
    with listening(monitor) as heard:
        often = ours.worker("-n", "often@x", "--heartbeat-interval", "0.1")
        silent = ours.worker("-n", "silent@x", "--without-heartbeat", "-E")

        def is_beat(event: Event) -> bool:
            return event["hostname"] == "often@x" and event["type"] == "worker-heartbeat"

        assert heard.wait_for(is_beat, "heartbeats", count=5)["freq"] == 0.1
        assert [worker.stop() for worker in (silent, often)] == [0, 0]
        last = heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
    assert last["hostname"] == "often@x"
    assert not [event for event in heard.events if event["hostname"] == "silent@x"]


def test_what_is_killed_says_nothing(ours: Rig, monitor: Any) -> None:
    with listening(monitor) as heard:
        killed = ours.worker("-n", "killed@x")
        heard.wait_for(lambda event: event["type"] == "worker-online", "worker-online")
        killed.kill_node()
        other = ours.worker("-n", "other@x")
        other.stop()
        heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
    said = [(event["hostname"], event["type"]) for event in heard.events]
    assert ("killed@x", "worker-offline") not in said


def publish_unseen(rig: Rig) -> dict[str, list[str]]:
    """Publish in each way; nobody runs it. The ids by the way."""
    add, echo = rig.task("add"), rig.task("echo")
    members = importlib.import_module(rig.spec.framework).group(add.s(n, n) for n in range(3))
    ways = {
        "plain": [add.delay(1, 2)],
        "with options": [echo.apply_async(("é",), shadow="other", queue="elsewhere", priority=3)],
        "later": [add.apply_async((1, 2), countdown=60, expires=120)],
        "by name": [rig.app.send_task("proj.nobody", (1,), {"b": [2]})],
        "in a group": list(members().results),
    }
    return {way: [str(result.id) for result in results] for way, results in ways.items()}


def sent(event: Event) -> tuple[dict[str, str], dict[str, Any]]:
    """What is the same whoever published it: the fields' types, and values."""
    names = (*SAME, "queue", "exchange", "routing_key", "parent_id", "group")
    values = {name: event[name] for name in names if name in event}
    values["is its own root"] = event["root_id"] == event["uuid"]
    return {name: type(value).__name__ for name, value in event.items()}, values


@pytest.mark.shows("event task-sent", "setting task_send_sent_event")
def test_celerys_receiver_hears_the_same_of_both_clients(both: dict[str, Rig]) -> None:
    told: dict[str, dict[str, list[Any]]] = {}
    for rig in both.values():
        rig.configure(task_send_sent_event=True)
    with listening(both["celery"].app) as heard:
        for name, rig in both.items():
            told[name] = {
                way: [sent(heard.wait(task_id, "task-sent")) for task_id in ids]
                for way, ids in publish_unseen(rig).items()
            }
    assert told[PRODUCT] == told["celery"]


def test_dump_has_celerys_lines(ours: Rig, both: dict[str, Rig], tmp_path: Path) -> None:
    monitors = {name: ours.spec.of(name).environment() for name in both}
    with contextlib.ExitStack() as stack:
        files = {name: tmp_path / f"{name}.txt" for name in monitors}
        for name, environment in monitors.items():
            process = subprocess.Popen(
                [command(name), "-A", "tests.support.worker_app", "events", "--dump"],
                stdout=stack.enter_context(files[name].open("w")),
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        worker = ours.worker("-n", "w@x", "-E", "--heartbeat-interval", "0.2", concurrency=1)
        for file in files.values():
            wait_until(lambda file=file: "heartbeat" in file.read_text(), "a monitor that hears")
        ids = [ours.task("add").delay(1, 2).id, ours.task("fail").delay("no").id]
        for file, task_id in itertools.product(files.values(), ids):
            wait_until(lambda file=file, task_id=task_id: ended(file, task_id), "a task's end")
        assert worker.stop() == 0
        for file in files.values():
            wait_until(lambda file=file: "shutdown" in file.read_text(), "the worker's last word")
    lines = {name: dumped(file, ids) for name, file in files.items()}
    assert len(lines[PRODUCT]) == 6
    assert lines[PRODUCT] == lines["celery"]


def ended(file: Path, task_id: str) -> bool:
    """Whether the last event of a task is in a dump."""
    last = ("task succeeded", "task failed")
    lines = file.read_text().splitlines()
    return any(task_id in line and kind in line for line in lines for kind in last)


def dumped(file: Path, ids: list[str]) -> list[str]:
    """The lines about tasks, without when they were heard."""
    lines = [line for line in file.read_text().splitlines() if any(i in line for i in ids)]
    return [re.sub(r"local_received=[0-9.]+", "", line) for line in lines]
