"""Events between our own ends: receivers, dispatchers and workers of ours, and what settings say of them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured, OperationalError
from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.listening import listening
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import Rig
from tests.support.waiting import wait_until
from tests.support.workers import command


@pytest.fixture(params=["redis", "rabbitmq"])
def rig(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """Our application on one broker."""
    is_redis = request.param == "redis"
    broker = redis_url if is_redis else request.getfixturevalue("rabbit").url
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("fastworker", broker, redis_url), tmp_path, stack)


@pytest.mark.parametrize("framework", ["fastworker", "celery"])
@pytest.mark.shows("event app.events.Receiver")
def test_our_receiver_hears_workers_of_both(rig: Rig, framework: str) -> None:
    with listening(rig.app) as heard:
        rig.worker("-n", "w@x", "-E", framework=framework)
        call = rig.task("add").delay(1, 2)
        last = heard.wait(call.id, "task-succeeded")
        assert (last["result"], last["hostname"]) == ("3", "w@x")
        rig.app.control.heartbeat()
        heard.wait_for(lambda event: event.get("freq") == 5, "a heartbeat")
    assert sorted(heard.kinds(call.id)) == ["task-received", "task-started", "task-succeeded"]
    assert rig.app.clock.value > last["clock"]


def test_results_are_shown_as_python_shows_them(rig: Rig, tmp_path: Path) -> None:
    sums = [(40, 2), (-(1 << 63), 0), (1 << 63, 0), (0.5, 2), ("one ", "two"), ([1], [None, True])]
    with listening(rig.app, "task.#") as heard:
        rig.worker("-n", "w@x", "-E")
        calls = {rig.task("add").delay(x, y).id: repr(x + y) for x, y in sums}
        calls[rig.task("record").delay(str(tmp_path / "lines"), "a").id] = "None"
        shown = {called: heard.wait(called, "task-succeeded")["result"] for called in calls}
    assert shown == calls


def test_who_begins_to_listen_misses_nothing_of_what_is_called_from_then_on(rig: Rig) -> None:
    rig.worker("-n", "w@x", "-E", concurrency=2)
    add = rig.task("add")
    for round_ in range(3):
        # Nobody listens: the worker stops sending what it tells of these.
        for call in [add.delay(n, round_) for n in range(200)]:
            call.get(timeout=30)
        with listening(rig.app, "task.#") as heard:
            calls = [add.delay(n, 1) for n in range(200)]
            for call in calls:
                heard.wait(call.id, "task-succeeded")
        stories = {tuple(heard.kinds(call.id)) for call in calls}
        assert stories == {("task-received", "task-started", "task-succeeded")}
        clocks = [event["clock"] for event in heard.events]
        assert clocks == sorted(clocks)


@pytest.mark.shows("setting event_serializer", "event app.events.Dispatcher")
def test_what_a_program_sends_is_heard_by_who_listens_to_it(rig: Rig) -> None:
    rig.configure(event_serializer="yaml")
    with listening(rig.app, "job.#") as heard, listening(rig.app, "task.#") as others:
        with rig.app.events.default_dispatcher(hostname="me") as dispatcher:
            dispatcher.send("task-other", uuid="1")
            dispatcher.send("job-done", much={"a": [1, None]}, text="é")
        event = heard.wait_for(lambda event: event["type"] == "job-done", "job-done")
        others.wait_for(lambda event: event["type"] == "task-other", "task-other")
    assert (event["hostname"], event["much"], event["text"]) == ("me", {"a": [1, None]}, "é")
    assert [len(heard.events), len(others.events)] == [1, 1]


@pytest.mark.shows(
    "setting event_queue_expires",
    "setting event_queue_ttl",
    "setting event_queue_prefix",
    "setting event_queue_exclusive",
    "setting event_queue_durable",
)
def test_the_queue_of_a_receiver_is_as_the_settings_say(
    rabbit: VirtualHost, redis_url: str, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec("fastworker", rabbit.url, redis_url), tmp_path, stack)
        with listening(rig.app):
            found = rabbit.queue("celeryev.")
        assert [found[name] for name in ("durable", "exclusive", "auto_delete")] == [
            "false",
            "true",
            "true",
        ]
        assert '"x-expires",60000' in found["arguments"]
        assert '"x-message-ttl",5000' in found["arguments"]
        other = Rig(rig.spec, tmp_path, stack).configure(
            event_queue_prefix="mon",
            event_queue_ttl=3,
            event_queue_expires=30,
            event_queue_exclusive=False,
            event_queue_durable=True,
        )
        with listening(other.app):
            found = rabbit.queue("mon.")
        assert (found["durable"], found["exclusive"], found["auto_delete"]) == (
            "true",
            "false",
            "false",
        )
        assert '"x-expires",30000' in found["arguments"]
        assert '"x-message-ttl",3000' in found["arguments"]


def test_a_queue_cannot_be_exclusive_and_durable() -> None:
    app = FastWorker("p", broker="memory://", set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match="both exclusive and durable"):
        app.events.Receiver(queue_durable=True)


def test_who_listens_where_nothing_is_sent_is_told_so(sqlite_url: str) -> None:
    app = FastWorker("p", broker=sqlite_url, set_as_current=False)
    with pytest.raises(OperationalError, match="use Redis or RabbitMQ"):
        app.events.Receiver().capture(limit=1)


def test_silence_ends_a_capture_that_has_a_timeout(rig: Rig) -> None:
    with pytest.raises(TimeoutError, match="no event within"):
        rig.app.events.Receiver().capture(timeout=0.3, wakeup=False)


@pytest.mark.shows("signal heartbeat_sent")
def test_a_heartbeat_is_signalled(redis_url: str, tmp_path: Path, redis_rig: Rig) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "beating.py").write_text(f"""
from fastworker import FastWorker
from fastworker.signals import heartbeat_sent
app = FastWorker("beating", broker={redis_url!r}, backend={redis_url!r})
@heartbeat_sent.connect
def note(sender, **_):
    with open({str(notes)!r}, "a") as lines:
        lines.write(type(sender).__name__ + "\\n")
""")
    line = ("-A", "beating", "worker", "-l", "INFO", "-c", "1", "--heartbeat-interval", "0.1")
    redis_rig.run(command("fastworker"), *line, cwd=tmp_path).wait_ready()
    wait_until(lambda: len(read_lines(str(notes))) >= 2, "two heartbeats")


@pytest.mark.shows("event task-cancelled")
def test_what_a_shutdown_ends_is_told_of(redis_rig: Rig, gate: Gate) -> None:
    redis_rig.configure(task_acks_late=True)
    with listening(redis_rig.app) as heard:
        worker = redis_rig.worker("-E", concurrency=1)
        call = redis_rig.task("hold").delay(gate.path)
        gate.wait_started(1)
        worker.signal(signal.SIGQUIT)
        heard.wait(call.id, "task-cancelled")
        assert worker.wait_ended() == 0
