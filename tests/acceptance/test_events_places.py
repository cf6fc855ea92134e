"""Events from wherever tasks run: pools, lanes, batches; when the broker was lost, and of what is cut short."""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker.worker.pools import POOLS
from tests.support.apps import AppSpec
from tests.support.gate import Gate
from tests.support.lanes import call, start
from tests.support.listening import Event, Heard, listening
from tests.support.rabbitmq import VirtualHost
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="of pools, lanes and batches of ours")

RUN = ["task-received", "task-started"]


def is_heartbeat(event: Event) -> bool:
    return event["type"] == "worker-heartbeat" and "active" in event


@pytest.mark.parametrize("pool", POOLS)
def test_each_pool_tells_of_each_end(redis_rig: Rig, pool: str) -> None:
    app = redis_rig.app
    revoked = str(uuid.uuid4())
    app.control.revoke(revoked)
    with listening(app) as heard:
        redis_rig.worker("-n", "w@x", "-E", "--pool", pool)
        calls = {
            "task-succeeded": redis_rig.task("add").delay(1, 2),
            "task-failed": redis_rig.task("fail").delay("it's"),
            "task-revoked": redis_rig.task("add").apply_async((1, 2), task_id=revoked),
        }
        retried = redis_rig.task("flaky").delay(1)
        tells = redis_rig.task("tell").delay()
        last = {kind: heard.wait(result.id, kind) for kind, result in calls.items()}
        heard.wait(retried.id, "task-succeeded")
        told = heard.wait(tells.id, "task-told")
        heard.wait(tells.id, "task-succeeded")
        heard.wait_for(is_heartbeat, "a heartbeat")
    assert heard.kinds(calls["task-succeeded"].id) == [*RUN, "task-succeeded"]
    assert heard.kinds(calls["task-failed"].id) == [*RUN, "task-failed"]
    assert heard.kinds(revoked) == ["task-revoked"]
    assert heard.kinds(retried.id) == [*RUN, "task-retried", *RUN, "task-succeeded"]
    assert last["task-succeeded"]["result"] == "3"
    assert last["task-succeeded"]["runtime"] >= 0
    assert last["task-failed"]["exception"] == 'Boom("it\'s")'
    assert "raise Boom(text)" in last["task-failed"]["traceback"]
    assert (told["much"], told["where"]) == ([1], "here")
    assert {event["hostname"] for event in heard.events} == {"w@x"}


def test_lanes_tell_as_one_worker(redis_rig: Rig) -> None:
    with listening(redis_rig.app) as heard:
        worker = start(redis_rig, "-n", "w@x", "-E", "--heartbeat-interval", "0.2")
        ids = [
            call(redis_rig, queue, "proj.add", n, n).id
            for n in range(10)
            for queue in ("parse", "crawl")
        ]
        for task_id in ids:
            heard.wait(task_id, "task-succeeded")
        heard.wait_for(lambda event: event.get("processed") == 20, "what both have run")
        assert worker.stop() == 0
        last = heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
    assert all(heard.kinds(task_id) == [*RUN, "task-succeeded"] for task_id in ids)
    whole = [event["type"] for event in heard.events if event["type"].startswith("worker-o")]
    assert whole == ["worker-online", "worker-offline"]
    assert {(event["hostname"], event["pid"]) for event in heard.events} == {("w@x", worker.pid)}
    # One logical clock for both: each event has a number of its own, and the last word the last one.
    clocks = [event["clock"] for event in heard.events]
    assert len(set(clocks)) == len(clocks)
    assert last["clock"] == max(clocks)


@pytest.mark.parametrize("pool", ["prefork", "asyncio"])
def test_each_call_of_a_batch_is_told_of(redis_rig: Rig, pool: str) -> None:
    task = redis_rig.app.tasks["batch.each"]
    ends = {
        "succeed": [*RUN, "task-succeeded"],
        "fail": [*RUN, "task-failed"],
        "reject": [*RUN, "task-rejected", "task-failed"],
        "retry": [*RUN, "task-retried", *RUN, "task-succeeded"],
    }
    with listening(redis_rig.app) as heard:
        redis_rig.worker("-n", "w@x", "-E", "--pool", pool)
        ids = {what: task.delay(what).id for what in ends}
        for what, kinds in ends.items():
            heard.wait(ids[what], kinds[-1])
    assert {what: heard.kinds(task_id) for what, task_id in ids.items()} == ends
    assert heard.wait(ids["fail"], "task-failed")["exception"] == "ValueError('this one alone')"


class Broker:
    """A broker that can be lost."""

    def __init__(self, rig: Rig, lose: Any) -> None:
        self.rig = rig
        self.lose = lose


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Broker]:
    """Redis is killed and started again; RabbitMQ closes all connections."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            server = stack.enter_context(RedisServer(tmp_path, is_durable=True))

            def lose() -> None:
                server.kill()
                server.start()

            yield Broker(Rig(AppSpec("fastworker", server.url, server.url), tmp_path, stack), lose)
        else:
            host: VirtualHost = request.getfixturevalue("rabbit")
            rig = Rig(AppSpec("fastworker", host.url, redis_url), tmp_path, stack)
            yield Broker(rig, host.close_connections)


def test_a_worker_tells_on_when_its_broker_is_back(broker: Broker, tmp_path: Path) -> None:
    rig = broker.rig
    with Gate(tmp_path) as gate:
        rig.worker("-n", "w@x", "-E", "--heartbeat-interval", "0.2", concurrency=1)
        held = rig.task("hold").delay(gate.path).id
        gate.wait_started()
        broker.lose()
        with listening(rig.app) as heard:
            heard.wait_for(is_heartbeat, "heartbeats", count=3)
            # What RabbitMQ has taken away from the worker runs again.
            gate.release(2)
            heard.wait(held, "task-succeeded")
            later = rig.task("add").delay(1, 2).id
            heard.wait(later, "task-succeeded")
            assert heard.wait_for(lambda event: event.get("processed", 0) >= 2, "its count")
    assert heard.kinds(held)[-1] == "task-succeeded"
    assert heard.kinds(later) == [*RUN, "task-succeeded"]


def cancelled(heard: Heard) -> list[str]:
    return [event["uuid"] for event in heard.events if event["type"] == "task-cancelled"]


@pytest.mark.shows("event task-cancelled")
def test_what_a_cold_shutdown_kills_is_cancelled_and_runs_again(redis_rig: Rig, gate: Gate) -> None:
    with listening(redis_rig.app) as heard:
        worker = redis_rig.worker("-n", "w@x", "-E", concurrency=1)
        held = redis_rig.task("hold").delay(gate.path)
        gate.wait_started()
        waiting = redis_rig.task("add").delay(1, 2)
        heard.wait(waiting.id, "task-received")
        worker.signal(signal.SIGQUIT)
        worker.wait_ended(20)
        heard.wait_for(lambda event: event["type"] == "worker-offline", "worker-offline")
        assert cancelled(heard) == [held.id]
        redis_rig.worker("-n", "again@x", "-E", concurrency=1)
        gate.wait_started(2)
        gate.release()
        heard.wait(held.id, "task-succeeded")
        heard.wait(waiting.id, "task-succeeded")
    assert heard.kinds(held.id) == [*RUN, "task-cancelled", *RUN, "task-succeeded"]
    assert not held.failed()
    wait_until(held.successful, "its result")
