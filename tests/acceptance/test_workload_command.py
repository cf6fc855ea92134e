"""``inspect workload``: what workers keep of each task, with real workers on Redis and SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="fastworker's own command")


def workload(rig: Rig, workers: int = 1) -> dict[str, dict[str, Any]]:
    """Tasks by node."""
    replies = rig.app.control.broadcast("workload", reply=True, limit=workers, timeout=10.0)
    answers = {name: answer for reply in replies for name, answer in reply.items()}
    assert len(answers) == workers
    return {name: answer["lanes"][0]["tasks"] for name, answer in answers.items()}


def ran(rig: Rig, name: str, count: int, workers: int = 1) -> list[dict[str, Any]]:
    """What each worker keeps of a task, once so many runs are counted."""

    def kept() -> list[dict[str, Any]] | None:
        tasks = [
            one[f"proj.{name}"] for one in workload(rig, workers).values() if f"proj.{name}" in one
        ]
        return tasks if sum(task["run_s"]["count"] for task in tasks) == count else None

    found = wait_until(kept, f"{count} runs of {name}")
    assert found is not None
    return found


def counted(tasks: list[dict[str, Any]], bins: str) -> int:
    return sum(sum(task[bins][1]) for task in tasks)


def test_two_workers_count_every_call_once(redis_rig: Rig) -> None:
    for name in ("one@here", "two@here"):
        redis_rig.worker("-n", name)
    add = redis_rig.task("add")
    for result in [add.delay(number, 1) for number in range(40)]:
        result.get(timeout=20)
    kept = ran(redis_rig, "add", 40, workers=2)
    assert sum(task["arrivals"] for task in kept) == 40
    assert counted(kept, "seconds") == counted(kept, "hours") == 40
    assert sum(task["wait_s"]["count"] for task in kept) == 40
    # The first calls of a child have their processor time measured, and some of those after.
    assert (
        0 < sum(task["cpu_us"] for task in kept) <= 1.2 * sum(task["cpu_run_us"] for task in kept)
    )


def test_a_retry_comes_again_and_runs_again(redis_rig: Rig) -> None:
    redis_rig.worker()
    redis_rig.task("flaky").delay(2).get(timeout=20)
    (kept,) = ran(redis_rig, "flaky", 3)
    assert kept["arrivals"] == 3


def test_nobody_waits_before_it_is_due(rig: Rig) -> None:
    rig.worker()
    rig.task("add").apply_async((1, 2), countdown=2).get(timeout=20)
    (kept,) = ran(rig, "add", 1)
    assert kept["arrivals"] == 1
    assert kept["wait_s"]["p50"] < 1.5


def test_what_goes_back_to_its_queue_is_counted_where_it_runs(
    redis_rig: Rig, tmp_path: Path
) -> None:
    """The first worker's only slot is taken: it gives back what it fetched ahead, and the second one runs it."""
    redis_rig.worker("-n", "busy@here", concurrency=1)
    with Gate(tmp_path) as gate:
        redis_rig.task("hold").delay(gate.path)
        gate.wait_started()
        add = redis_rig.task("add")
        results = [add.delay(number, 1) for number in range(5)]
        redis_rig.worker("-n", "idle@here")
        for result in results:
            result.get(timeout=20)
        assert ran(redis_rig, "add", 5, workers=2)
        kept = workload(redis_rig, 2)
    assert kept["idle@here"]["proj.add"]["arrivals"] == 5
    assert kept["busy@here"].get("proj.add", {"arrivals": 0})["arrivals"] == 0


def test_a_task_that_its_limit_ends_has_run_as_long(redis_rig: Rig, tmp_path: Path) -> None:
    redis_rig.worker()
    with Gate(tmp_path) as gate:
        redis_rig.task("hold").apply_async((gate.path,), time_limit=1)
        (kept,) = ran(redis_rig, "hold", 1)
    assert kept["run_s"]["p50"] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("pool", "is_measured"), [("solo", True), ("threads", False), ("asyncio", False)]
)
def test_only_where_tasks_run_one_by_one_is_processor_time_measured(
    sqlite_rig: Rig, pool: str, is_measured: bool
) -> None:
    sqlite_rig.worker("--pool", pool)
    add = sqlite_rig.task("add")
    for result in [add.delay(number, 1) for number in range(3)]:
        result.get(timeout=20)
    (kept,) = ran(sqlite_rig, "add", 3)
    assert (kept["cpu_run_us"] > 0) == is_measured
