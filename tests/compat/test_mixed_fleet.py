"""Workers of both kinds on one queue at the same time, and what each leaves behind when it is
killed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TASKS = 4000

# Celery's restorer normally looks once in 100 s, for messages an hour old.
EAGER_RESTORE = {
    "visibility_timeout": 4,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
LATE = {"task_acks_late": True, "task_reject_on_worker_lost": True}


@pytest.fixture
def fleet(redis_url: str, tmp_path: Path) -> Iterator[tuple[Rig, Rig]]:
    """The product's rig and Celery's, on one database."""
    with contextlib.ExitStack() as stack:
        conf: dict[str, Any] = {"broker_transport_options": EAGER_RESTORE, **LATE}
        spec = AppSpec(PRODUCT, redis_url, redis_url, conf)
        yield Rig(spec, tmp_path, stack), Rig(spec.of("celery"), tmp_path, stack)


@pytest.mark.shows("setting broker_transport_options")
def test_mixed_fleet_runs_every_task_once(fleet: tuple[Rig, Rig], tmp_path: Path) -> None:
    ours, celerys = fleet
    path = str(tmp_path / "effects")
    for number in range(TASKS):
        publisher = (ours, celerys)[number % 2]
        publisher.task("record_by").apply_async((path, str(number)), ignore_result=True)
    workers = (celerys.worker("-n", "c@x"), ours.worker("-n", "f@x"))
    # Ours is much faster and might leave nothing: what comes later is shared out while both run.
    for number in range(TASKS, TASKS + 400):
        publisher = (ours, celerys)[number % 2]
        publisher.task("record_by").apply_async((path, str(number)), ignore_result=True)
    wait_until(lambda: len(read_lines(path)) >= TASKS + 400, "every effect", 90)
    client = ours.redis()
    wait_until(lambda: client.hlen("unacked") == 0, "nothing leased")
    assert client.zcard("unacked_index") == 0
    numbers, nodes = zip(*(line.split() for line in read_lines(path)), strict=True)
    assert Counter(map(int, numbers)) == Counter(range(TASKS + 400))
    shares = Counter(nodes)
    print(f"shares of the fleet: {dict(shares)}")
    assert set(shares) == {"c@x", "f@x"}
    for worker in workers:
        assert worker.stop() == 0


def test_killed_celery_worker_loses_nothing_to_ours(fleet: tuple[Rig, Rig], gate: Gate) -> None:
    ours, celerys = fleet
    dying = celerys.worker(concurrency=1)
    held = [ours.task("hold").delay(gate.path) for _ in range(4)]
    gate.wait_started()
    wait_until(lambda: ours.redis().hlen("unacked") == 4, "four leased messages")
    dying.kill_node()
    gate.release(100)
    ours.worker()
    for result in held:
        assert result.get(timeout=60)


def test_killed_worker_of_ours_loses_nothing_to_celery(fleet: tuple[Rig, Rig], gate: Gate) -> None:
    ours, celerys = fleet
    dying = ours.worker(concurrency=1)
    held = [celerys.task("hold").delay(gate.path) for _ in range(4)]
    gate.wait_started()
    dying.kill_node()
    gate.release(100)
    celerys.worker()
    for result in held:
        assert result.get(timeout=60)


def test_celery_leaves_our_long_tasks_alone(fleet: tuple[Rig, Rig], gate: Gate) -> None:
    """Leases are refreshed: a task that takes longer than the visibility timeout is not run
    twice.
    """
    if PRODUCT == "celery":
        pytest.skip("Celery delivers it twice")
    ours, celerys = fleet
    ours.worker(concurrency=1)
    held = ours.task("hold").delay(gate.path)
    gate.wait_started()
    celerys.worker()
    # Three visibility timeouts by the restorer's own clock, seen from a worker that is at work. Each
    # of its own messages is much younger than the timeout: one that Celery restores to itself at
    # its eta runs twice there and, one time in ten, keeps Celery's warm shutdown from ending.
    server = ours.redis()
    until_s = server.time()[0] + 3 * EAGER_RESTORE["visibility_timeout"] + 1
    while server.time()[0] < until_s:
        celerys.task("add").apply_async((1, 1), countdown=0.5).get(timeout=30)
    assert len(gate.starts) == 1
    gate.release()
    assert held.get(timeout=20)
    assert len(gate.starts) == 1
