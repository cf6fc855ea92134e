"""Queues within one worker: limits, weights, more and fewer of them while it runs, and pauses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

TIMEOUT_S = 30

only_fastworker = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has nothing of the kind")


def cli(rig: Rig, *words: str) -> WorkerProcess:
    """A command of ours, run to its end."""
    run = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", *words),
        environment=rig.spec.environment(),
    )
    run.wait_ended()
    return run


def order(rig: Rig, name: str, *arguments: str, **options: Any) -> Any:
    """The one worker's reply to a control command."""
    method = getattr(rig.app.control, name)
    [reply] = method(*arguments, reply=True, timeout=TIMEOUT_S, limit=1, **options)
    [answer] = reply.values()
    return answer


def depth(rig: Rig, queue: str) -> int:
    """How many messages wait in a queue."""
    return int(rig.app.publishing.publisher.depth(queue))


def run_next(rig: Rig, queue: str = "celery") -> None:
    """A task of this queue runs to its end."""
    result = rig.task("add").apply_async((1, 1), queue=queue)
    assert result.get(timeout=TIMEOUT_S) == 2


@only_fastworker
@pytest.mark.shows("route --queue-limit")
def test_limit_keeps_the_rest_of_a_queue_in_the_broker(rig: Rig, gate: Gate) -> None:
    for _ in range(6):
        rig.task("hold").apply_async((gate.path,), queue="crawl")
    # So little is held that six of them would fill it.
    rig.worker(
        *("-Q", "crawl,celery", "--queue-limit", "crawl=2", "--prefetch-multiplier", "1"),
        concurrency=4,
    )
    gate.wait_started(2)
    for _ in range(5):
        run_next(rig)
    assert len(gate.starts) == 2
    assert depth(rig, "crawl") == 4, "what may not run here is there for others"
    gate.release(2)
    gate.wait_started(4)
    run_next(rig)
    assert (len(gate.starts), depth(rig, "crawl")) == (4, 2)


@only_fastworker
@pytest.mark.shows("setting worker_queue_limits")
def test_what_one_worker_may_not_run_another_does(rig: Rig, gate: Gate) -> None:
    rig.configure(worker_queue_limits={"crawl": 1})
    for _ in range(2):
        rig.task("hold").apply_async((gate.path,), queue="crawl")
    rig.worker("-n", "one", "-Q", "crawl", concurrency=3)
    gate.wait_started(1)
    rig.worker("-n", "two", "-Q", "crawl", concurrency=3)
    assert len(set(gate.wait_started(2))) == 2


@only_fastworker
def test_limited_queue_goes_on_when_a_task_with_eta_or_a_retry_is_in_it(
    rig: Rig, tmp_path: Path
) -> None:
    path = str(tmp_path / "effects")
    for number in range(5):
        rig.task("record").apply_async((path, str(number)), queue="crawl", countdown=1)
    rig.worker("-Q", "crawl", "--queue-limit", "crawl=1")
    for number in range(5, 10):
        rig.task("record").apply_async((path, str(number)), queue="crawl")
    wait_until(lambda: len(read_lines(path)) == 10, "ten effects", TIMEOUT_S)
    assert sorted(map(int, read_lines(path))) == list(range(10))


@only_fastworker
@pytest.mark.shows("route --queue-weight", "setting worker_queue_weights")
def test_weights_are_the_shares_of_queues_that_have_work(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    for queue in ("heavy", "light"):
        rig.task("record").starmap_async(((path, queue) for _ in range(200)), queue=queue)
    rig.worker(
        *("-Q", "light,heavy", "--queue-weight", "heavy=4", "--prefetch-multiplier", "1"),
        concurrency=1,
    )
    wait_until(lambda: len(read_lines(path)) == 400, "all effects", TIMEOUT_S)
    first = read_lines(path)[:200]
    assert 155 <= first.count("heavy") <= 165, first.count("heavy")


@pytest.mark.shows("route add_consumer", "route cancel_consumer")
def test_queues_come_and_go_while_the_worker_runs(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    rig.worker()
    early = rig.task("record").apply_async((path, "before"), queue="late")
    run_next(rig)
    assert order(rig, "add_consumer", "late") == {"ok": "add consumer late"}
    early.get(timeout=TIMEOUT_S)
    run_next(rig, "late")
    inspect = rig.app.control.inspect(timeout=TIMEOUT_S, limit=1)
    [queues] = inspect.active_queues().values()
    assert [queue["name"] for queue in queues] == ["celery", "late"]

    assert order(rig, "cancel_consumer", "late") == {"ok": "no longer consuming from late"}
    rig.task("record").apply_async((path, "cancelled"), queue="late")
    run_next(rig)
    assert read_lines(path) == ["before"]
    order(rig, "add_consumer", "late")
    wait_until(lambda: read_lines(path) == ["before", "cancelled"], "what waited", TIMEOUT_S)


@only_fastworker
def test_what_is_held_of_a_cancelled_queue_goes_back_unless_it_runs(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    path = str(tmp_path / "effects")
    # What a child has ahead of its work, and what waits for its eta, is called back too.
    rig.configure(worker_eta_horizon=1000)
    running = rig.task("hold").apply_async((gate.path,), queue="crawl")
    rig.worker("-Q", "celery,crawl", concurrency=1)
    gate.wait_started()
    rig.task("record").apply_async((path, "later"), queue="crawl", countdown=600)
    for number in range(4):
        rig.task("record").apply_async((path, str(number)), queue="crawl")
    order(rig, "cancel_consumer", "crawl")
    wait_until(lambda: depth(rig, "crawl") == 5, "five messages in their queue", TIMEOUT_S)
    gate.release()
    assert running.get(timeout=TIMEOUT_S)
    run_next(rig)
    assert read_lines(path) == []


@only_fastworker
def test_queue_that_is_added_has_its_limit(rig: Rig, gate: Gate) -> None:
    rig.worker("--queue-limit", "crawl=1", concurrency=3)
    order(rig, "add_consumer", "crawl")
    for _ in range(3):
        rig.task("hold").apply_async((gate.path,), queue="crawl")
    gate.wait_started(1)
    run_next(rig)
    assert (len(gate.starts), depth(rig, "crawl")) == (1, 2)


@only_fastworker
@pytest.mark.shows("route pause_queue")
def test_paused_queue_is_fetched_by_nobody_until_it_is_resumed(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    worker = rig.worker("-Q", "celery,crawl")
    run_next(rig, "crawl")
    said = cli(rig, "control", "pause_queue", "crawl")
    assert said.returncode == 0
    assert "queue crawl is paused" in said.log
    rig.task("record").apply_async((path, "paused"), queue="crawl")
    run_next(rig)
    worker.stop()
    # It is the broker that remembers.
    rig.worker("-n", "later", "-Q", "celery,crawl")
    run_next(rig)
    assert read_lines(path) == []
    listed = json.loads(cli(rig, "queues", "-Q", "celery,crawl", "--json").log)
    assert listed == [
        {"name": "celery", "waiting": 0, "paused": False},
        {"name": "crawl", "waiting": 1, "paused": True},
    ]
    assert "paused" in cli(rig, "queues").log
    assert "'paused': True" in cli(rig, "inspect", "active_queues").log

    assert order(rig, "resume_queue", "crawl") == {"ok": "queue crawl is resumed"}
    wait_until(lambda: read_lines(path) == ["paused"], "what waited", TIMEOUT_S)
    assert rig.app.control.paused_queues() == []


@only_fastworker
def test_pause_calls_back_what_has_not_started(rig: Rig, gate: Gate, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    running = rig.task("hold").apply_async((gate.path,), queue="crawl")
    rig.worker("-Q", "celery,crawl", concurrency=1)
    gate.wait_started()
    rig.task("record").apply_async((path, "waits"), queue="crawl", countdown=1)
    order(rig, "pause_queue", "crawl")
    wait_until(lambda: depth(rig, "crawl") == 1, "the message in its queue", TIMEOUT_S)
    gate.release()
    assert running.get(timeout=TIMEOUT_S)
    run_next(rig)
    assert read_lines(path) == []
    rig.app.control.resume_queue("crawl")
    wait_until(lambda: read_lines(path) == ["waits"], "what waited", TIMEOUT_S)


@only_fastworker
def test_queue_can_be_paused_while_no_worker_runs(rig: Rig) -> None:
    said = cli(rig, "control", "--timeout", "0.2", "pause_queue", "crawl")
    assert said.returncode == 0
    assert "no node replied" in said.log
    assert rig.app.control.paused_queues() == ["crawl"]
    missing = cli(rig, "control", "pause_queue")
    assert missing.returncode == 2
    assert "takes the name of a queue" in missing.log


@only_fastworker
@pytest.mark.parametrize("value", ["crawl", "crawl=0", "crawl=x", "=2"])
def test_limit_that_is_none_is_refused(sqlite_rig: Rig, value: str) -> None:
    said = cli(sqlite_rig, "worker", "--queue-limit", value)
    assert said.returncode == 2
    assert f"{value!r}: expected a queue, =, and a whole number of at least 1" in said.log


@only_fastworker
def test_limit_in_the_settings_that_is_none_is_refused(sqlite_rig: Rig) -> None:
    sqlite_rig.configure(worker_queue_limits={"crawl": 0})
    said = cli(sqlite_rig, "worker")
    assert said.returncode == 2
    assert "worker_queue_limits is {'crawl': 0}: expected a dict of queues" in said.log
