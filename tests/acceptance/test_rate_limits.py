"""Rate limits: how often a task starts, and that nobody else is held up by it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.gate import read_lines
from tests.support.rig import Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

TIMEOUT_S = 30


def limited(rig: Rig, **limits: str) -> Rig:
    """Tasks with these rate limits, by name without ``proj.``."""
    annotations = {f"proj.{name}": {"rate_limit": limit} for name, limit in limits.items()}
    return rig.configure(task_annotations=annotations)


@pytest.mark.shows("task rate_limit")
def test_task_starts_no_more_often_than_its_rate_limit(rig: Rig) -> None:
    limited(rig, now="10/s")
    before = time.time()
    results = [rig.task("now").delay() for _ in range(11)]
    rig.worker()
    starts = [result.get(timeout=TIMEOUT_S) for result in results]
    assert max(starts) - before >= 1.0


def test_tasks_behind_a_limited_one_are_not_held_up(rig: Rig) -> None:
    limited(rig, record="1/h")
    held = [rig.task("record").delay(str(rig.directory / "effects"), str(n)) for n in range(20)]
    others = [rig.task("add").delay(number, 1) for number in range(20)]
    rig.worker(concurrency=1)
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(1, 21))
    assert sum(result.ready() for result in held) <= 1


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
