"""A queue of a fanout exchange: every worker that consumes it runs each task that is published to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.proxy import Proxy
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

TIMEOUT_S = 30
#: Without a routing key of its own, as kombu's Broadcast.
QUEUES = {"celery": {}, "every": {"exchange": "every", "exchange_type": "fanout"}}

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery promises less; see compat")


def start(rig: Rig, *nodes: str) -> list[WorkerProcess]:
    return [rig.worker("-n", node, "-Q", "every", concurrency=1) for node in nodes]


def ran_on(path: Path, count: int) -> list[str]:
    """The nodes that have run it, once there are so many."""
    wait_until(lambda: len(read_lines(str(path))) >= count, f"{count} copies", TIMEOUT_S)
    return sorted(line.removeprefix("on ") for line in read_lines(str(path)))


@pytest.mark.shows("route fanout-exchange")
def test_every_worker_runs_it_once(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES)
    workers = start(rig, "a@here", "b@here")
    rig.task("record_by").apply_async((str(path), "on"), queue="every")
    assert ran_on(path, 2) == ["a@here", "b@here"]
    # A topic's or another key makes no difference, and the default queue is nobody's here.
    rig.task("record_by").apply_async((str(path), "on"), exchange="every", routing_key="any")
    assert ran_on(path, 4) == ["a@here", "a@here", "b@here", "b@here"]
    assert [worker.stop() for worker in workers] == [0, 0]
    assert len(read_lines(str(path))) == 4


def test_nobody_there_is_no_error(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES)
    rig.task("record_by").apply_async((str(path), "on"), queue="every")
    start(rig, "late@here")
    rig.task("record_by").apply_async((str(path), "on"), queue="every")
    assert ran_on(path, 1) == ["late@here"]


def test_task_of_a_worker_broadcasts(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    rig.configure(
        task_queues=QUEUES, task_routes={"proj.record": {"queue": "every", "exchange": "every"}}
    )
    start(rig, "a@here", "b@here")
    rig.worker("-n", "c@here", "-Q", "celery")
    rig.task("fan_out").apply_async((3, str(path)), queue="celery")
    assert len(ran_on(path, 6)) == 6


def test_worker_that_was_killed_finds_its_copies_when_it_is_back(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES, worker_lease_life=2)
    [dead] = start(rig, "a@here")
    start(rig, "b@here")
    rig.task("hold").apply_async((gate.path,), queue="every")
    gate.wait_started(2)
    dead.kill_node()
    rig.task("record_by").apply_async((str(path), "on"), queue="every")
    gate.release(100)
    assert ran_on(path, 1) == ["b@here"]
    start(rig, "a@here")
    assert ran_on(path, 2) == ["a@here", "b@here"]
    # What it ran when it was killed is its own too, and is delivered to it again.
    gate.wait_started(3)


def test_worker_that_was_cut_off_finds_its_copies(rig: Rig, tmp_path: Path) -> None:
    if not rig.is_redis:
        pytest.skip("a file is never away")
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES)
    app, address = rig.app, urlsplit(rig.spec.broker)
    with Proxy((address.hostname or "127.0.0.1", address.port or 6379)) as proxy:
        through = f"redis://127.0.0.1:{proxy.port}{address.path}"
        rig.spec = replace(rig.spec, broker=through, backend=through)
        [worker] = start(rig, "a@here")
        proxy.refuse()
        worker.wait_for_line("Trying again until it works")
        app.tasks["proj.record_by"].apply_async((str(path), "on"), queue="every")
        proxy.accept_again()
        assert ran_on(path, 1) == ["a@here"]
        worker.stop()


def test_retry_stays_with_its_worker(rig: Rig) -> None:
    rig.configure(task_queues=QUEUES, task_create_missing_queues=False)
    workers = start(rig, "a@here", "b@here")
    rig.task("flaky").apply_async((2,), queue="every")
    for worker in workers:
        worker.wait_for_line(r"succeeded in")
    assert [worker.log.count("received") for worker in workers] == [3, 3]


def test_queue_is_added_paused_and_cancelled_in_a_running_worker(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES)
    rig.worker("-n", "a@here", "-Q", "celery", concurrency=1)
    control, send = rig.app.control, rig.task("record_by").apply_async
    said = {"reply": True, "timeout": TIMEOUT_S, "limit": 1}
    assert control.add_consumer(
        "every", exchange="every", exchange_type="fanout", routing_key="celery", **said
    ) == [{"a@here": {"ok": "add consumer every"}}]
    send((str(path), "on"), queue="every")
    ran_on(path, 1)
    assert control.pause_queue("every", **said)
    send((str(path), "on"), queue="every")
    [queue] = [
        queue
        for queue in control.inspect(["a@here"], timeout=TIMEOUT_S).active_queues()["a@here"]
        if queue["name"] == "every"
    ]
    assert (queue["paused"], queue["exchange"]["type"]) == (True, "fanout")
    assert len(read_lines(str(path))) == 1
    assert control.resume_queue("every", **said)
    ran_on(path, 2)
    assert control.cancel_consumer("every", **said)
    send((str(path), "on"), queue="every")
    rig.task("add").apply_async((1, 2), queue="celery").get(timeout=TIMEOUT_S)
    assert len(read_lines(str(path))) == 2


def test_purge_removes_copies(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    rig.configure(task_queues=QUEUES)
    for worker in start(rig, "a@here", "b@here"):
        worker.stop()
    rig.task("record_by").apply_async((str(path), "on"), queue="every")
    assert rig.app.control.purge() == 2
    assert rig.app.control.purge() == 0
