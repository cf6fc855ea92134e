"""Children that are replaced after so many tasks or beyond a size, and pools that grow and shrink."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of
from tests.support.waiting import wait_until

TIMEOUT_S = 30

ours_only = pytest.mark.skipif(PRODUCT == "celery", reason="Celery keeps no spare process")


@pytest.mark.needs("max-per-child")
@pytest.mark.shows("setting worker_max_tasks_per_child")
def test_no_child_runs_more_tasks_than_it_may(rig: Rig) -> None:
    rig.worker("--max-tasks-per-child", "7", concurrency=2)
    results = [rig.task("who").delay() for _ in range(100)]
    pids = Counter(result.get(timeout=TIMEOUT_S)["pid"] for result in results)
    assert sum(pids.values()) == 100
    assert max(pids.values()) <= 7


@pytest.mark.each_pool
@pytest.mark.needs("max-per-child")
def test_bound_on_tasks_may_come_from_the_settings(rig: Rig) -> None:
    rig.configure(worker_max_tasks_per_child=1).worker(concurrency=1)
    results = [rig.task("who").delay() for _ in range(5)]
    assert len({result.get(timeout=TIMEOUT_S)["pid"] for result in results}) == 5


@pytest.mark.needs("max-per-child")
@ours_only
def test_successor_is_warm_while_the_last_task_runs_and_does_not_work_beside_it(
    rig: Rig, gate: Gate
) -> None:
    worker = rig.worker("--max-tasks-per-child", "1", concurrency=1)
    results = [rig.task("hold").delay(gate.path) for _ in range(2)]
    [first] = gate.wait_started(1)
    wait_until(lambda: len(children_of(worker.pid)) == 2, "a warm successor")
    assert gate.starts == [first]
    gate.release(2)
    assert len({result.get(timeout=TIMEOUT_S) for result in results}) == 2


@pytest.mark.needs("max-per-child")
@pytest.mark.shows("setting worker_max_memory_per_child")
def test_child_that_has_grown_too_large_is_replaced_after_its_task(rig: Rig) -> None:
    rig.worker("--max-memory-per-child", "200000", concurrency=1)
    [small, other] = [rig.task("who").delay() for _ in range(2)]
    pid = small.get(timeout=TIMEOUT_S)["pid"]
    assert other.get(timeout=TIMEOUT_S)["pid"] == pid
    assert rig.task("fill_memory").delay(250).get(timeout=TIMEOUT_S) == pid
    assert rig.task("who").delay().get(timeout=TIMEOUT_S)["pid"] != pid


@pytest.mark.needs("own-process")
def test_autoscaled_pool_grows_while_work_waits_and_shrinks_when_it_is_quiet(
    rig: Rig, gate: Gate
) -> None:
    worker = rig.worker("--autoscale", "3,1", AUTOSCALE_KEEPALIVE="1")
    results = [rig.task("hold").delay(gate.path) for _ in range(4)]
    gate.wait_started(3)
    assert len(set(gate.starts)) == 3
    gate.release(4)
    for result in results:
        result.get(timeout=TIMEOUT_S)
    if PRODUCT != "celery":
        wait_until(lambda: len(children_of(worker.pid)) == 1, "the pool to shrink", TIMEOUT_S)
    assert rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
