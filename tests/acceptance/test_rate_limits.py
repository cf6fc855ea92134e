"""Rate limits: how often a task starts, and that nobody else is held up by it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from tests.support.apps import build
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

TIMEOUT_S = 30
MANY = 3_000

only_fastworker = pytest.mark.skipif(
    PRODUCT == "celery", reason="Celery has no lanes and no bulk calls"
)


def limited(rig: Rig, **limits: str) -> Rig:
    """Tasks with these rate limits, by name without ``proj.``."""
    annotations = {f"proj.{name}": {"rate_limit": limit} for name, limit in limits.items()}
    return rig.configure(task_annotations=annotations)


def laned(rig: Rig) -> int:
    """How many messages wait in lanes of the default queue."""
    if rig.is_redis:
        return int(rig.redis().hget("fastworker:laned", "celery") or 0)
    with contextlib.closing(sqlite3.connect(rig.spec.broker.removeprefix("sqlite:///"))) as file:
        return int(file.execute("SELECT count(*) FROM laned").fetchone()[0])


@pytest.mark.shows("task rate_limit")
def test_task_starts_no_more_often_than_its_rate_limit(rig: Rig) -> None:
    limited(rig, now="10/s")
    before = time.time()
    results = [rig.task("now").delay() for _ in range(11)]
    rig.worker()
    starts = [result.get(timeout=TIMEOUT_S) for result in results]
    assert max(starts) - before >= 1.0


@only_fastworker
def test_tasks_behind_a_limited_one_are_not_held_up(rig: Rig) -> None:
    limited(rig, record="1/h")
    path = str(rig.directory / "effects")
    # More than a worker holds: they must not use up its prefetch.
    rig.task("record").starmap_async((path, str(number)) for number in range(MANY))
    others = [rig.task("add").delay(number, 1) for number in range(20)]
    rig.worker(concurrency=1)
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(1, 21))
    assert len(read_lines(path)) <= 1


@only_fastworker
def test_messages_of_one_key_hold_up_nobody(rig: Rig) -> None:
    limited(rig, visit="1/h")
    path = str(rig.directory / "effects")
    rig.task("visit").starmap_async((path, "big") for _ in range(MANY))
    for number in range(20):
        rig.task("visit").delay(path, f"small {number}")
    rig.worker(concurrency=1)
    expected = {"big", *(f"small {number}" for number in range(20))}
    wait_until(lambda: expected <= set(read_lines(path)), "a visit to every host", TIMEOUT_S)
    assert len(read_lines(path)) == len(expected)


def test_limit_of_a_key_holds_for_all_workers_together(rig: Rig) -> None:
    limited(rig, visit="4/s")
    path = str(rig.directory / "effects")
    for name in ("one", "two"):
        rig.worker("-n", name, concurrency=1)
    before = time.time()
    results = [rig.task("visit").delay(path, host) for host in "ab" * 7]
    for starts in (
        [result.get(timeout=TIMEOUT_S) for result in results[first::2]] for first in (0, 1)
    ):
        assert max(starts) - before >= 1.5


def test_limit_of_a_task_holds_for_the_cluster_if_it_says_so(rig: Rig) -> None:
    rig.configure(
        task_annotations={"proj.now": {"rate_limit": "4/s", "rate_limit_scope": "cluster"}}
    )
    for name in ("one", "two"):
        rig.worker("-n", name, concurrency=1)
    before = time.time()
    results = [rig.task("now").delay() for _ in range(9)]
    # Each by itself, they would need half of this.
    assert max(result.get(timeout=TIMEOUT_S) for result in results) - before >= 2.0


@only_fastworker
def test_what_waits_for_a_permit_survives_the_death_of_the_node(rig: Rig) -> None:
    limited(rig, visit="1/h")
    path = str(rig.directory / "effects")
    for _ in range(20):
        rig.task("visit").delay(path, "host")
    worker = rig.worker()
    publisher = rig.app.publishing.publisher
    wait_until(lambda: read_lines(path), "the first visit")
    wait_until(lambda: laned(rig) == 19, "nineteen messages in the lane")
    worker.kill_node()
    unpark = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", "unpark"),
        environment=rig.spec.environment(),
    )
    assert unpark.wait_ended() == 0
    assert "Put back 19 messages from lanes of celery." in unpark.log
    rig.worker("--disable-rate-limits")
    wait_until(lambda: len(read_lines(path)) >= 20, "all visits", TIMEOUT_S)
    assert publisher.depth("celery") == 0


@only_fastworker
def test_purge_counts_what_waits_for_a_permit(rig: Rig) -> None:
    limited(rig, visit="1/h")
    path = str(rig.directory / "effects")
    for _ in range(5):
        rig.task("visit").delay(path, "host")
    rig.worker()
    publisher = rig.app.publishing.publisher
    wait_until(lambda: laned(rig) == 4, "four messages in the lane")
    assert publisher.depth("celery") == 4
    assert publisher.purge("celery") == 4
    assert publisher.depth("celery") == 0


def test_celery_runs_what_has_a_key(redis_rig: Rig) -> None:
    result = redis_rig.task("visit").delay(str(redis_rig.directory / "effects"), "host")
    redis_rig.worker(framework="celery")
    assert result.get(timeout=TIMEOUT_S) > 0


def test_what_celery_published_counts_for_the_task_as_a_whole(redis_rig: Rig) -> None:
    limited(redis_rig, visit="4/s")
    path = str(redis_rig.directory / "effects")
    celery = build(redis_rig.spec.of("celery"))
    redis_rig.worker(concurrency=1)
    before = time.time()
    results = [celery.tasks["proj.visit"].delay(path, f"host {n}") for n in range(5)]
    assert max(result.get(timeout=TIMEOUT_S) for result in results) - before >= 1.0


@pytest.mark.shows("setting task_default_rate_limit", "setting worker_disable_rate_limits")
def test_limited_tasks_survive_their_worker(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    rig.configure(task_default_rate_limit="1/h")
    for number in range(5):
        rig.task("record").delay(path, str(number))
    worker = rig.worker()
    wait_until(lambda: read_lines(path), "the first effect")
    worker.stop()
    rig.worker("--disable-rate-limits")
    wait_until(lambda: len(read_lines(path)) == 5, "five effects")
    assert sorted(read_lines(path)) == ["0", "1", "2", "3", "4"]


def test_bad_rate_limit_stops_the_worker_at_its_start(rig: Rig) -> None:
    limited(rig, record="10/x")
    worker = rig.run(
        command("fastworker"),
        *("-A", "tests.support.worker_app", "worker"),
        environment=rig.spec.environment(),
    )
    assert worker.wait_ended() != 0
    assert "rate limit '10/x' for task 'proj.record'" in worker.log
