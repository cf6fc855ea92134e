"""Priorities and the order of queues: the transport options that Celery documents, in both workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import Pair
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 30
ONE_BY_ONE = ("--prefetch-multiplier", "1")


def order_of(path: Path, count: int) -> list[str]:
    wait_until(lambda: len(read_lines(str(path))) >= count, f"{count} tasks", TIMEOUT_S)
    return read_lines(str(path))


@pytest.mark.parametrize(
    ("options", "lists"),
    [
        ({}, ["celery", "celery\x06\x163", "celery\x06\x169"]),
        ({"priority_steps": list(range(10)), "sep": ":"}, ["celery", "celery:5", "celery:9"]),
        ({"priority_steps": [0, 9], "sep": "-"}, ["celery", "celery-9"]),
    ],
)
def test_steps_and_separator_are_those_of_the_options(
    pair: Pair, tmp_path: Path, options: dict[str, Any], lists: list[str]
) -> None:
    for rig in (pair.publisher, pair.worker):
        rig.configure(broker_transport_options=options)
    path = tmp_path / "order"
    for priority in (9, 5, 0):
        pair.task("record").apply_async((str(path), str(priority)), priority=priority)
    redis = pair.publisher.redis()
    found = sorted(key.decode() for key in redis.keys("celery*") if redis.type(key) == b"list")
    assert found == lists
    pair.start(*ONE_BY_ONE, concurrency=1)
    expected = ["0", "5", "9"] if len(lists) == 3 else ["5", "0", "9"]
    assert order_of(path, 3) == expected


@pytest.mark.parametrize("framework", list(dict.fromkeys(("celery", PRODUCT))))
def test_sorted_queues_come_by_name(redis_rig: Rig, tmp_path: Path, framework: str) -> None:
    redis_rig.configure(broker_transport_options={"queue_order_strategy": "sorted"})
    path = tmp_path / "order"
    for queue in ("zeta", "alpha"):
        for _ in range(3):
            redis_rig.task("record").apply_async((str(path), queue), queue=queue)
    redis_rig.worker("-Q", "zeta,alpha", *ONE_BY_ONE, framework=framework, concurrency=1)
    assert order_of(path, 6) == ["alpha"] * 3 + ["zeta"] * 3


@pytest.mark.skipif(PRODUCT == "celery", reason="kombu keeps its queues in a set")
def test_first_queue_comes_first_with_the_strategy_priority(rig: Rig, tmp_path: Path) -> None:
    rig.configure(broker_transport_options={"queue_order_strategy": "priority"})
    path = tmp_path / "order"
    for queue in ("alpha", "mid", "zeta"):
        for _ in range(3):
            rig.task("record").apply_async((str(path), queue), queue=queue)
    rig.worker("-Q", "zeta,alpha,mid", *ONE_BY_ONE, concurrency=1)
    assert order_of(path, 9) == ["zeta"] * 3 + ["alpha"] * 3 + ["mid"] * 3
