"""Both products on one RabbitMQ: workers share the queues, and each runs what the other publishes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TASKS = 2000
LATE = {"task_acks_late": True, "task_reject_on_worker_lost": True}
TIMEOUT_S = 90


@pytest.fixture(params=["classic", "priorities", "quorum"])
def fleet(
    request: pytest.FixtureRequest, rabbit: VirtualHost, redis_url: str, tmp_path: Path
) -> Iterator[tuple[Rig, Rig]]:
    """The product's rig and Celery's, on one virtual host; results are in one Redis."""
    conf: dict[str, Any] = {
        "classic": {},
        "priorities": {"task_queue_max_priority": 10},
        "quorum": {"task_default_queue_type": "quorum"},
    }[request.param]
    with contextlib.ExitStack() as stack:
        spec = AppSpec(PRODUCT, rabbit.url, redis_url, {**LATE, **conf})
        yield Rig(spec, tmp_path, stack), Rig(spec.of("celery"), tmp_path, stack)


@pytest.mark.shows("setting task_queue_max_priority")
def test_mixed_fleet_runs_every_task_once(fleet: tuple[Rig, Rig], tmp_path: Path) -> None:
    ours, celerys = fleet
    path = str(tmp_path / "effects")
    workers = (celerys.worker("-n", "c@x"), ours.worker("-n", "f@x"))
    for number in range(TASKS):
        publisher = (ours, celerys)[number % 2]
        publisher.task("record_by").apply_async((path, str(number)), ignore_result=True)
    wait_until(lambda: len(read_lines(path)) >= TASKS, "every effect", TIMEOUT_S)
    numbers, nodes = zip(*(line.split() for line in read_lines(path)), strict=True)
    assert Counter(map(int, numbers)) == Counter(range(TASKS))
    print(f"shares of the fleet: {dict(Counter(nodes))}")
    assert set(nodes) == {"c@x", "f@x"}
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.parametrize("worker", [PRODUCT, "celery"])
def test_celerys_client_may_delay_what_goes_to_a_quorum_queue(
    rabbit: VirtualHost, redis_url: str, tmp_path: Path, worker: str
) -> None:
    """The exchanges that it needs are declared by the worker."""
    queue = {
        "exchange": "topics",
        "exchange_type": "topic",
        "routing_key": "jobs.*",
        "queue_arguments": {"x-queue-type": "quorum"},
    }
    conf = {
        "task_queues": {"jobs": queue},
        "task_default_queue": "jobs",
        "task_default_exchange": "topics",
        "task_default_exchange_type": "topic",
        "task_default_routing_key": "jobs.any",
    }
    with contextlib.ExitStack() as stack:
        client = Rig(AppSpec("celery", rabbit.url, redis_url, conf), tmp_path, stack)
        client.worker(framework=worker)
        add = client.task("add")
        assert add.apply_async((1, 1)).get(timeout=TIMEOUT_S) == 2
        assert add.apply_async((2, 2), countdown=2).get(timeout=TIMEOUT_S) == 4
        assert sum("delayed" in name for name in rabbit.types()) == 28


def test_each_runs_what_the_other_publishes(fleet: tuple[Rig, Rig]) -> None:
    ours, celerys = fleet
    worker = ours.worker("-n", "f@x")
    assert [celerys.task("add").delay(n, n).get(timeout=TIMEOUT_S) for n in range(5)] == [
        0,
        2,
        4,
        6,
        8,
    ]
    assert celerys.app.control.ping(["f@x"], timeout=5) == [{"f@x": {"ok": "pong"}}]
    assert worker.stop() == 0
    celerys.worker("-n", "c@x")
    assert [ours.task("add").delay(n, n).get(timeout=TIMEOUT_S) for n in range(5)] == [
        0,
        2,
        4,
        6,
        8,
    ]
    assert ours.app.control.ping(["c@x"], timeout=5) == [{"c@x": {"ok": "pong"}}]
