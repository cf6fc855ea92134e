"""From settings and the command line to what the Rust half is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.options import WorkerOptions
from fastworker.worker.patience import patience, retrying_s
from fastworker.worker.settings import prefetch_of
from fastworker.worker.startup import queues_of, size_of, worker_settings


def app_with(**conf: Any) -> FastWorker:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    app.conf.update(conf)
    return app


@pytest.mark.shows("route -Q", "route -X", "setting task_queues")
def test_queues_are_those_of_the_options_else_of_the_settings() -> None:
    app = app_with(task_queues={"a": {}, "b": {}, "c": {}})
    assert queues_of(app, WorkerOptions("w@h")) == ["a", "b", "c"]
    assert queues_of(app, WorkerOptions("w@h", exclude_queues=("b",))) == ["a", "c"]
    assert queues_of(app, WorkerOptions("w@h", queues=("x:1", "a", "x:1"))) == ["x:1", "a"]
    with pytest.raises(ImproperlyConfigured, match="-X excludes 'z'"):
        queues_of(app, WorkerOptions("w@h", exclude_queues=("z",)))
    with pytest.raises(ImproperlyConfigured, match="every queue"):
        queues_of(app, WorkerOptions("w@h", queues=("a",), exclude_queues=("a",)))


@pytest.mark.shows("setting worker_prefetch", "setting worker_prefetch_multiplier")
def test_prefetch_follows_the_settings() -> None:
    assert prefetch_of(app_with(worker_prefetch=7), 2, None)[0] == 7
    assert prefetch_of(app_with(worker_prefetch_multiplier=4), 2, None)[0] == 8
    assert prefetch_of(app_with(worker_prefetch_multiplier=4), 2, 1)[0] == 2
    assert prefetch_of(app_with(worker_disable_prefetch=True), 2, 4)[0] == 2


@pytest.mark.parametrize(
    ("retries", "waited_s"),
    # Celery pauses for 2, 4, … 30 s, and 30 s from then on.
    [(0, 0), (1, 2), (3, 12), (15, 240), (16, 270), (100, 2790)],
)
def test_retries_are_counted_as_the_time_that_they_take_in_celery(
    retries: int, waited_s: int
) -> None:
    app = app_with(broker_connection_max_retries=retries)
    assert patience(app.conf) == (waited_s, f"broker_connection_max_retries={retries}")
    assert patience(app_with(broker_connection_max_retries=None).conf)[0] is None


def test_the_pauses_are_kombus() -> None:
    from kombu.utils.functional import retry_over_time

    paused: list[float] = []

    def fail() -> None:
        raise ConnectionError

    def pause(_exc: Exception, intervals: Any, _retries: int) -> float:
        paused.append(next(intervals))
        return 0.0

    with pytest.raises(ConnectionError):
        retry_over_time(
            fail,
            ConnectionError,
            errback=pause,
            max_retries=20,
            interval_start=2,
            interval_step=2,
            interval_max=30,
        )
    assert sum(paused) == retrying_s(20)


@pytest.mark.parametrize("pool", ["asyncio", "gevent", "eventlet"])
def test_pools_that_wait_run_a_hundred_tasks_in_a_process(pool: str) -> None:
    size = size_of(app_with(worker_processes=2), WorkerOptions("w@h", pool=pool))
    assert (size.concurrency, size.slots) == (2, 100)
    chosen = size_of(app_with(worker_concurrency=7), WorkerOptions("w@h", pool=pool))
    assert (chosen.concurrency, chosen.slots) == (1, 7)


@pytest.mark.parametrize(
    ("said", "concurrency", "expected"),
    [
        # Most and fewest tasks at once; most and fewest processes, and tasks in each.
        ((800, 100), 100, ((8, 1), 100)),
        ((250, 90), 100, ((3, 2), 84)),
        ((1000, 10), None, ((10, 1), 100)),
        ((10, 3), None, ((1, 1), 10)),
        ((10, 0), 4, ((3, 1), 4)),
    ],
)
def test_bounds_of_an_autoscaled_pool_are_of_tasks_at_once(
    said: tuple[int, int], concurrency: int | None, expected: tuple[tuple[int, int], int]
) -> None:
    options = WorkerOptions("w@h", pool="gevent", autoscale=said, concurrency=concurrency)
    size = size_of(app_with(), options)
    assert (size.autoscale, size.slots) == expected
    assert size.autoscale is not None
    assert size.concurrency == size.autoscale[1]


@pytest.mark.shows("setting worker_eta_horizon", "setting worker_lease_life")
def test_times_are_seconds_whatever_they_are_written_as() -> None:
    app = app_with(worker_eta_horizon=timedelta(minutes=1), worker_lease_life=3)
    options = WorkerOptions("w@h", concurrency=1)
    told = worker_settings(app, options, size_of(app, options), ["celery"], False)
    assert (told.eta_horizon_s, told.lease_life_s) == (60.0, 3.0)
