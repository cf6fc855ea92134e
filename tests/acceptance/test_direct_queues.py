"""``worker_direct``: a queue that leads to one worker, as Celery's clients know it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import AppSpec
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT, Rig

TIMEOUT_S = 30


@pytest.mark.shows("setting worker_direct")
def test_a_task_goes_to_the_worker_that_is_named(rig: Rig) -> None:
    rig.configure(worker_direct=True)
    for name in ("w1@here", "w2@here"):
        rig.worker("-n", name, "-Q", "celery", concurrency=1)
    who = rig.task("who")
    for name in ("w1@here", "w2@here", "w1@here"):
        seen = who.apply_async(queue=f"{name}.dq2").get(timeout=TIMEOUT_S)
        assert seen["hostname"] == name


@pytest.mark.skipif(
    PRODUCT == "celery", reason="Celery's Redis transport needs the binding in its own words"
)
def test_the_exchange_and_the_name_lead_there_too(redis_rig: Rig) -> None:
    redis_rig.configure(worker_direct=True)
    redis_rig.worker("-n", "w1@here", concurrency=1)
    result = redis_rig.task("who").apply_async(exchange="C.dq2", routing_key="w1@here")
    assert result.get(timeout=TIMEOUT_S)["hostname"] == "w1@here"


@pytest.mark.skipif(PRODUCT == "celery", reason="lanes are ours")
def test_with_lanes_it_comes_to_the_first(redis_rig: Rig) -> None:
    redis_rig.configure(worker_direct=True)
    lanes = ("--lane", "a=celery,processes,1", "--lane", "b=other,threads,1")
    redis_rig.worker("-n", "w1@here", *lanes, concurrency=None)
    who = redis_rig.task("who").apply_async(queue="w1@here.dq2").get(timeout=TIMEOUT_S)
    assert who["hostname"] == "w1@here"


@pytest.fixture
def rabbit_rig(rabbit: VirtualHost, sqlite_url: str, tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(AppSpec("fastworker", rabbit.url, sqlite_url), tmp_path, stack)


@pytest.mark.skipif(PRODUCT == "celery", reason="results are in SQLite")
def test_it_is_declared_as_celery_declares_it(rabbit_rig: Rig, rabbit: VirtualHost) -> None:
    rabbit_rig.configure(worker_direct=True)
    rabbit_rig.worker("-n", "w1@here", concurrency=1)
    assert rabbit.exchanges()["C.dq2"] == "direct"
    declared = rabbit.queue("w1@here.dq2")
    assert (declared["durable"], declared["auto_delete"]) == ("true", "false")
    assert declared["arguments"] == "[]"
