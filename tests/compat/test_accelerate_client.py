"""An accelerated Celery client beside the same client as it was: who is told, who has a say, and what fails how."""

from __future__ import annotations

import base64
import functools
import json
import logging
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis
from celery import Celery, Task, group, signals
from kombu.messaging import Producer

import fastworker
from fastworker import FastWorker
from fastworker.hosting.acceleration import untouched
from tests.support.celery_client import Puts, celery_client, messages, without_chance
from tests.support.redis_server import RedisServer

BOTH = pytest.mark.parametrize("accelerated", [False, True], ids=["celery", "accelerated"])


def added(x: Any, y: Any) -> Any:
    return x + y


def opened(app: Celery) -> Any:
    """A task of which a call is published as quickly as can be."""
    task = app.task(added, name="proj.add", shared=False)
    for _ in range(2):
        task.delay(0, 0)
    return task


def test_accelerating_twice_is_once_and_restoring_leaves_nothing(redis_url: str) -> None:
    app = Celery("proj", broker=redis_url, backend=redis_url, set_as_current=False)
    acceleration = fastworker.accelerate(app)
    assert fastworker.accelerate(app) is acceleration
    opened(app)
    assert acceleration.as_before() == []
    acceleration.restore()
    acceleration.restore()
    assert not {"send_task", "producer_or_acquire", "_get_backend"} & vars(app).keys()
    assert not [name for name in vars(app) if "fastworker" in name]
    assert type(app.backend.result_consumer).__module__ == "celery.backends.redis"
    app.close()


def test_what_is_no_celery_application_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a celery\.Celery, not a FastWorker"):
        fastworker.accelerate(FastWorker("proj", broker="memory://", set_as_current=False))


def test_nothing_is_read_or_connected_before_the_first_use() -> None:
    app = Celery("proj", set_as_current=False)
    fastworker.accelerate(app)
    assert not app.configured
    app.config_from_object({"broker_url": "memory://", "result_backend": "cache+memory://"})
    assert app.send_task("proj.any").id


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"broker_url": "memory://"}, "does not speak to the broker memory://"),
        ({"broker_use_ssl": {"ssl_cert_reqs": 0}}, "the setting broker_use_ssl is set"),
        ({"broker_transport_options": {"credential_provider": "x"}}, "option credential_provider"),
        ({"broker_transport_options": {"priority_steps": "many"}}, "priority_steps"),
    ],
)
def test_what_is_not_accelerated_is_said(
    redis_url: str, caplog: pytest.LogCaptureFixture, conf: Any, reason: str
) -> None:
    app = Celery("proj", set_as_current=False)
    app.conf.update({"broker_url": redis_url, "result_backend": redis_url, **conf})
    acceleration = fastworker.accelerate(app)
    with caplog.at_level(logging.INFO, "fastworker.accelerate"):
        [line] = acceleration.as_before()
    assert reason in line
    assert f"application proj: {line}" in caplog.messages


def test_results_elsewhere_are_read_as_ever(redis_url: str) -> None:
    app = Celery("proj", broker=redis_url, backend="cache+memory://", set_as_current=False)
    acceleration = fastworker.accelerate(app)
    [line] = acceleration.as_before()
    assert line == (
        "reading results is not accelerated: celery.backends.cache.CacheBackend is not Celery's Redis backend"
    )
    result = opened(app).delay(1, 2)
    app.backend.store_result(result.id, 3, "SUCCESS")
    assert result.get(timeout=5) == 3


@BOTH
def test_signals_are_sent_and_may_change_the_message(redis_url: str, accelerated: bool) -> None:
    seen: list[Any] = []

    def before(sender: Any, headers: Any, body: Any, **facts: Any) -> None:
        headers["tenant"] = "a"
        seen.append(["before", sender, sorted(facts), facts["routing_key"], facts["exchange"]])

    def after(sender: Any, headers: Any, **facts: Any) -> None:
        seen.append(["after", sender, sorted(facts), headers["tenant"], facts["routing_key"]])

    with celery_client(redis_url, accelerated) as app:
        task = opened(app)
        messages(redis_url)
        signals.before_task_publish.connect(before)
        signals.after_task_publish.connect(after)
        try:
            task.delay(1, 2)
        finally:
            signals.before_task_publish.disconnect(before)
            signals.after_task_publish.disconnect(after)
    [message] = messages(redis_url)["celery"]
    assert message["headers"]["tenant"] == "a"
    of_before = ["declare", "exchange", "properties", "retry_policy", "routing_key", "signal"]
    assert seen == [
        ["before", "proj.add", of_before, "celery", ""],
        ["after", "proj.add", ["body", "exchange", "routing_key", "signal"], "a", "celery"],
    ]


@BOTH
def test_event_that_a_task_was_sent(redis_url: str, accelerated: bool) -> None:
    with (
        celery_client(redis_url, accelerated, task_send_sent_event=True) as app,
        redis.Redis.from_url(redis_url) as listener,
    ):
        task = opened(app)
        channel = listener.pubsub(ignore_subscribe_messages=True)
        channel.psubscribe("*celeryev/task.sent")
        while not channel.subscribed:
            channel.get_message(timeout=1)
        channel.get_message(timeout=1)
        result = task.delay(1, 2)
        message = channel.get_message(timeout=10)
        channel.close()
    assert message is not None
    event = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
    assert (event["type"], event["uuid"], event["queue"]) == ("task-sent", result.id, "celery")


@BOTH
def test_routers_are_asked_for_each_call(redis_url: str, accelerated: bool) -> None:
    def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
        return {"queue": f"q{args[0]}"}

    with celery_client(redis_url, accelerated, task_routes=(route,)) as app:
        task = app.task(added, name="proj.add", shared=False)
        for n in (1, 2, 1, 2):
            task.delay(n, 0)
    assert {queue: len(found) for queue, found in messages(redis_url).items()} == {"q1": 2, "q2": 2}


def test_producer_and_connection_of_the_caller_are_used(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with celery_client(redis_url, accelerated=True) as app:
        task = opened(app)
        puts = Puts(monkeypatch)
        with kombu.Connection(redis_url) as connection:
            task.apply_async((1, 2), connection=connection)
            task.apply_async((1, 2), producer=connection.Producer())
        assert puts.count == 2
        with app.producer_or_acquire() as producer:
            task.apply_async((1, 2), producer=producer)
            # It is there at once, not when the block ends.
            assert len(messages(redis_url)["celery"]) == 5
    assert puts.count == 2


@pytest.mark.parametrize(
    "owner", [(Task, "apply_async"), (Celery, "send_task"), (Producer, "publish")]
)
def test_what_trackers_put_in_celerys_place_is_called(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, owner: Any
) -> None:
    kind, name = owner
    original = getattr(kind, name)
    calls: list[str] = []

    @functools.wraps(original)
    def tracked(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(*args, **kwargs)

    with celery_client(redis_url, accelerated=True) as app:
        task = opened(app)
        monkeypatch.setattr(kind, name, tracked)
        task.delay(1, 2)
        group([task.s(1, 2), task.s(3, 4)]).apply_async()
        monkeypatch.undo()
        task.delay(1, 2)
    assert calls == [name] * 3
    assert len(messages(redis_url)["celery"]) == 6


def test_classes_with_a_way_of_their_own_keep_it(redis_url: str) -> None:
    class Own(Task):
        abstract = True

        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            return super().apply_async(args, kwargs, **{**options, "headers": {"own": 1}})

    class Sending(Celery):
        def send_task(self, *args: Any, **options: Any) -> Any:
            return super().send_task(*args, **{**options, "priority": 6})

    app = Sending("proj", broker=redis_url, backend=redis_url, set_as_current=False)
    acceleration = fastworker.accelerate(app)
    task = app.task(added, name="proj.add", base=Own, shared=False)
    for _ in range(3):
        task.delay(1, 2)
    acceleration.restore()
    [(queue, found)] = messages(redis_url).items()
    assert queue == "celery\x06\x166"
    assert [message["headers"]["own"] for message in found] == [1, 1, 1]


def test_headers_of_another_release_are_celerys_to_write(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untouched, "_HEADERS", untouched._HEADERS | {"new"})
    with celery_client(redis_url, accelerated=True) as app:
        puts = Puts(monkeypatch)
        opened(app)
        assert puts.count == 1
        assert not app.send_task._lanes
    monkeypatch.undo()
    with celery_client(redis_url, accelerated=True) as app:
        opened(app)
        assert app.send_task._lanes


@BOTH
def test_mistakes_are_celerys(redis_url: str, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        task = opened(app)
        with pytest.raises(kombu.exceptions.EncodeError):
            task.delay(object(), 1)
        with pytest.raises(TypeError, match="not JSON serializable"):
            task.apply_async((1, 2), headers={"of_no_form": object()})
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            task.delay(1)
        with pytest.raises(TypeError, match="must be a list or tuple"):
            app.send_task("proj.add", "ab")
        with pytest.raises(TypeError, match="must be a mapping"):
            app.send_task("proj.add", (), [1])
        messages(redis_url)
        with pytest.raises(kombu.exceptions.EncodeError):
            group([task.s(1, 1), task.s(2, 2), task.s(object(), 3), task.s(4, 4)]).apply_async()
    # What came before it is published.
    assert [one["body"][0] for one in messages(redis_url)["celery"]] == [[1, 1], [2, 2]]


@BOTH
def test_broker_that_is_away_is_tried_again_and_told(
    accelerated: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = RedisServer(tmp_path, is_durable=True)
    server.start()
    request.addfinalizer(server.kill)
    conf = {"task_publish_retry_policy": {"max_retries": 1}, "task_ignore_result": True}
    with celery_client(f"{server.url}/0", accelerated, **conf) as app:
        task = opened(app)
        for call in (
            lambda: task.delay(1, 2),
            lambda: group([task.s(1, 2), task.s(3, 4)]).apply_async(),
        ):
            server.kill()
            with pytest.raises(kombu.exceptions.OperationalError):
                call()
            server.start()
            call()
    ids = [message["headers"]["id"] for message in messages(server.url)["celery"]]
    assert len(ids) == len(set(ids)) == 5


def test_threads_publish_under_their_own_ids(redis_url: str) -> None:
    with celery_client(redis_url, accelerated=True) as app:
        task = opened(app)
        messages(redis_url)

        def publish() -> None:
            for n in range(50):
                task.delay(threading.get_ident(), n)

        threads = [threading.Thread(target=publish) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = messages(redis_url)["celery"]
    assert len(found) == 400
    senders = {(one["body"][0][0], one["properties"]["reply_to"]) for one in found}
    assert (
        len(senders) == len({sender for sender, _ in senders}) == len({oid for _, oid in senders})
    )


def _publish_in_fork(task: Any, count: int) -> None:
    for n in range(count):
        task.delay(os.getpid(), n)
    group([task.s(os.getpid(), n) for n in range(count)]).apply_async()


def test_forked_processes_have_connections_of_their_own(redis_url: str) -> None:
    fork = multiprocessing.get_context("fork")
    with celery_client(redis_url, accelerated=True) as app:
        task = opened(app)
        messages(redis_url)
        children = [fork.Process(target=_publish_in_fork, args=(task, 20)) for _ in range(3)]
        for child in children:
            child.start()
        _publish_in_fork(task, 20)
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
    found = messages(redis_url)["celery"]
    assert len(found) == 4 * 40
    for message in found:
        assert message["headers"]["origin"].startswith(f"gen{message['body'][0][0]}@")


def test_a_child_of_a_worker_has_its_own_way(redis_url: str) -> None:
    from fastworker.hosting import HostedApp

    app = Celery("proj", broker=redis_url, backend=redis_url, set_as_current=False)
    fastworker.accelerate(app)
    hosted = HostedApp(app)
    hosted.publish_through_us()
    assert type(app.producer_or_acquire().enter_result).__name__ == "HostedProducer"
    assert "send_task" not in vars(app)
    hosted.close()


def test_same_ids_stand_for_the_same_in_both(redis_url: str) -> None:
    found = []
    for accelerated in (False, True):
        with celery_client(redis_url, accelerated) as app:
            task = opened(app)
            messages(redis_url)
            task.apply_async((1, 2), root_id="r", parent_id="p", task_id="mine")
            found.append(without_chance(messages(redis_url)))
    assert found[1] == found[0]
