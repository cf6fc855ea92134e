"""``worker_deduplicate_successful_tasks``: what is delivered again, and has succeeded, is not run again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig

TIMEOUT_S = 30


@pytest.fixture
def apart_rig(redis_url: str, sqlite_url: str, tmp_path: Path) -> Iterator[Rig]:
    """Messages in Redis, results elsewhere: there a worker can die between the two."""
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("fastworker", redis_url, sqlite_url), tmp_path, stack)


pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="the message is put back by hand")


def deliver_again(rig: Rig) -> None:
    """What waits in the queue is one that a worker had and did not acknowledge, as kombu puts it back."""
    client = rig.redis()
    for raw in client.lrange("celery", 0, -1):
        message = json.loads(raw)
        message["headers"]["redelivered"] = True
        message["properties"]["delivery_info"]["redelivered"] = True
        client.lrem("celery", 1, raw)
        client.rpush("celery", json.dumps(message))


@pytest.mark.shows("setting worker_deduplicate_successful_tasks")
@pytest.mark.parametrize("deduplicates", [True, False])
def test_a_task_that_has_succeeded_is_not_run_again(
    apart_rig: Rig, tmp_path: Path, deduplicates: bool
) -> None:
    path = str(tmp_path / "effects")
    apart_rig.configure(worker_deduplicate_successful_tasks=deduplicates)
    done = apart_rig.task("record").delay(path, "done")
    apart_rig.app.backend.store_result(done.id, "stored", "SUCCESS")
    fresh = apart_rig.task("record").delay(path, "fresh")
    deliver_again(apart_rig)
    worker = apart_rig.worker(concurrency=1)
    assert fresh.get(timeout=TIMEOUT_S) is None
    assert worker.stop() == 0
    ran = ["fresh"] if deduplicates else ["done", "fresh"]
    assert sorted(read_lines(path)) == ran
    if deduplicates:
        assert done.result == "stored"
        assert "ignored: Task already completed successfully" in worker.log


def test_what_follows_is_published_if_nobody_has_done_so(apart_rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    apart_rig.configure(worker_deduplicate_successful_tasks=True)
    add, record = apart_rig.task("add"), apart_rig.task("record")
    first = add.apply_async((1, 1), link=record.si(path, "callback"))
    apart_rig.app.backend.store_result(first.id, 2, "SUCCESS")
    last = add.delay(2, 2)
    deliver_again(apart_rig)
    worker = apart_rig.worker(concurrency=1)
    assert last.get(timeout=TIMEOUT_S) == 4
    assert apart_rig.task("add").delay(3, 3).get(timeout=TIMEOUT_S) == 6
    assert worker.stop() == 0
    assert read_lines(path) == ["callback"]


def test_a_chord_counts_a_member_that_is_not_run_again(apart_rig: Rig, tmp_path: Path) -> None:
    from fastworker import chord

    path = str(tmp_path / "effects")
    apart_rig.configure(worker_deduplicate_successful_tasks=True)
    record, length = apart_rig.task("record"), apart_rig.task("echo")
    result = chord([record.si(path, "one"), record.si(path, "two")], length.s()).apply_async()
    member = result.parent.results[0]
    apart_rig.app.backend.store_result(member.id, "stored", "SUCCESS")
    deliver_again(apart_rig)
    apart_rig.worker(concurrency=1)
    assert "stored" in str(result.get(timeout=TIMEOUT_S))
    assert read_lines(path) == ["two"]
