"""A worker in a thread of the test's process: the whole worker, on every broker, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fastworker import FastWorker, chain
from fastworker.contrib.testing import worker as testing_worker
from fastworker.contrib.testing.app import TestApp, setup_default_app
from fastworker.contrib.testing.worker import start_worker
from fastworker.errors import Ignore, ImproperlyConfigured, Reject

SOON_S = 20.0


@contextlib.contextmanager
def _app(broker: str | None) -> Iterator[FastWorker]:
    made = TestApp(broker=broker, backend=broker)
    with setup_default_app(made):
        _define_tasks(made)
        yield made


def _define_tasks(made: FastWorker) -> None:
    @made.task
    def add(x: int, y: int) -> int:
        return x + y

    @made.task(bind=True)
    def parent(self: Any) -> list[Any]:
        child = add.delay(1, 1)
        return [child.id, self.request.id, threading.current_thread().name, os.getpid()]

    @made.task(bind=True, max_retries=2)
    def fails_twice(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @made.task(bind=True)
    def says_how_far(self: Any, gate: str) -> str:
        self.update_state(state="HALFWAY", meta={"done": 50})
        GATES[gate].wait(SOON_S)
        return "done"

    @made.task
    def waits(gate: str) -> str:
        STARTED[gate].set()
        GATES[gate].wait(SOON_S)
        return gate

    @made.task
    def raises() -> None:
        raise KeyError("no such thing")

    @made.task
    def ignores() -> None:
        raise Ignore

    @made.task
    def rejects() -> None:
        raise Reject("not mine")


GATES: dict[str, threading.Event] = {}
STARTED: dict[str, threading.Event] = {}


@pytest.fixture
def gate() -> Iterator[str]:
    """Name of an event that a task waits for; set at the end."""
    name = f"gate-{len(GATES)}"
    GATES[name], STARTED[name] = threading.Event(), threading.Event()
    yield name
    GATES[name].set()


@pytest.fixture(params=["memory", "redis", "sqlite"])
def app(request: pytest.FixtureRequest) -> Iterator[FastWorker]:
    """An application on each broker."""
    kind = request.param
    url = None if kind == "memory" else str(request.getfixturevalue(f"{kind}_url"))
    with _app(url) as made:
        yield made


@pytest.fixture
def memory_app() -> Iterator[FastWorker]:
    """An application in memory."""
    with _app(None) as made:
        yield made


def _task(app: FastWorker, name: str) -> Any:
    return app.tasks[f"{__name__}.{name}"]


def test_tasks_run_in_a_thread_of_this_process(app: FastWorker) -> None:
    with start_worker(app) as worker:
        result = _task(app, "parent").delay()
        child, own, thread, pid = result.get(timeout=SOON_S)
        assert app.AsyncResult(child).get(timeout=SOON_S) == 2
        assert own == result.id
        assert pid == os.getpid()
        assert thread.startswith(worker.hostname)
        assert [each.id for each in result.children] == [child]


def test_what_a_worker_does_is_done(app: FastWorker, gate: str) -> None:
    with start_worker(app):
        assert _task(app, "fails_twice").delay().get(timeout=SOON_S) == 2
        add = _task(app, "add")
        assert chain(add.s(1, 2), add.s(3))().get(timeout=SOON_S) == 6
        failed = _task(app, "raises").delay()
        with pytest.raises(KeyError, match="no such thing"):
            failed.get(timeout=SOON_S)
        assert "Traceback" in failed.traceback
        _task(app, "ignores").delay()
        _task(app, "rejects").delay()
        halfway = _task(app, "says_how_far").delay(gate)
        while halfway.state != "HALFWAY":
            assert not halfway.ready()
        assert halfway.info == {"done": 50}
        GATES[gate].set()
        assert halfway.get(timeout=SOON_S) == "done"


def test_the_client_thread_publishes_on_its_own_while_a_task_runs(
    memory_app: FastWorker, gate: str
) -> None:
    add = _task(memory_app, "add")
    with start_worker(memory_app, pool="threads", concurrency=2):
        running = _task(memory_app, "waits").delay(gate)
        assert STARTED[gate].wait(SOON_S)
        assert add.delay(1, 1).get(timeout=SOON_S) == 2
        _task(memory_app, "parent").delay().get(timeout=SOON_S)
        assert add.delay(1, 2).get(timeout=SOON_S) == 3
        GATES[gate].set()
        running.get(timeout=SOON_S)
        assert not running.children


def test_threads_run_as_many_tasks_as_they_are(memory_app: FastWorker) -> None:
    barrier = threading.Barrier(3)

    @memory_app.task(shared=False, name="meet")
    def meet() -> str:
        barrier.wait(SOON_S)
        return threading.current_thread().name

    with start_worker(memory_app, pool="threads", concurrency=3):
        results = [meet.delay() for _ in range(3)]
        assert len({result.get(timeout=SOON_S) for result in results}) == 3


def test_getting_a_result_in_a_task_is_refused_as_in_a_process(memory_app: FastWorker) -> None:
    @memory_app.task(shared=False, name="waiter")
    def waiter() -> Any:
        return _task(memory_app, "add").delay(1, 1).get(timeout=1)

    with start_worker(memory_app), pytest.raises(RuntimeError, match="within a task"):
        waiter.delay().get(timeout=SOON_S)


def test_a_worker_reloads_to_learn_of_new_tasks(memory_app: FastWorker) -> None:
    with start_worker(memory_app) as worker:

        @memory_app.task(shared=False, name="late")
        def late(x: int) -> int:
            return x * x

        worker.reload()
        assert late.delay(4).get(timeout=SOON_S) == 16


def test_only_the_named_queues_are_consumed(memory_app: FastWorker) -> None:
    add = _task(memory_app, "add")
    with start_worker(memory_app, queues="high, low") as worker:
        assert worker.settings.queues == ["high", "low"]
        assert add.apply_async((1, 1), queue="low").get(timeout=SOON_S) == 2
        add.delay(1, 1)
    assert memory_app.publishing.publisher.depth("celery") == 1


# ----------------------------------------------------------------------------------------- the end


class _Interrupted(BaseException):
    """Stands for Ctrl-C in a test."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, _Interrupted])
def test_an_error_in_the_block_ends_the_worker(
    memory_app: FastWorker, error: type[BaseException]
) -> None:
    before = set(threading.enumerate())
    with pytest.raises(error), start_worker(memory_app):
        raise error
    assert set(threading.enumerate()) == before


def test_a_running_task_is_finished_and_waiting_ones_stay(
    memory_app: FastWorker, gate: str
) -> None:
    waits, add = _task(memory_app, "waits"), _task(memory_app, "add")
    with start_worker(memory_app):
        running = waits.delay(gate)
        assert STARTED[gate].wait(SOON_S)
        add.delay(1, 1)
        threading.Timer(0.1, GATES[gate].set).start()
    assert running.get(timeout=0.1) == gate
    assert memory_app.publishing.publisher.depth("celery") == 1


def test_a_task_that_goes_on_is_named_and_goes_back(memory_app: FastWorker, gate: str) -> None:
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:
        stack.enter_context(start_worker(memory_app, shutdown_timeout=0.2))
        _task(memory_app, "waits").delay(gate)
        assert STARTED[gate].wait(SOON_S)
        with pytest.raises(RuntimeError, match=r"task thread 1.*shutdown_timeout"):
            stack.close()
    assert memory_app.publishing.publisher.depth("celery") == 1
    (left,) = set(threading.enumerate()) - before
    GATES[gate].set()
    left.join(SOON_S)
    assert not left.is_alive()


def test_signals_of_the_process_are_left_alone(memory_app: FastWorker) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    with start_worker(memory_app):
        assert [signal.getsignal(number) for number in numbers] == before


def _open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def _assert_none_leaks(app: FastWorker, cycles: int, **arguments: Any) -> None:
    """What a client opens once and keeps is not counted: a leak is one for each worker."""
    with start_worker(app):
        pass
    descriptors, threads = _open_descriptors(), set(threading.enumerate())
    for _ in range(cycles):
        with start_worker(app, **arguments):
            pass
    assert _open_descriptors() - descriptors < cycles / 2
    assert set(threading.enumerate()) == threads


def test_two_hundred_workers_leave_nothing_behind(memory_app: FastWorker) -> None:
    _assert_none_leaks(memory_app, 200, perform_ping_check=False)
    assert len(os.listdir("/proc/self/task")) < 100, "threads that Python does not know of"


def test_workers_on_a_real_broker_leave_nothing_behind(app: FastWorker) -> None:
    _assert_none_leaks(app, 10, pool="threads", concurrency=3)


# ---------------------------------------------------------------------------------------- refusals


def test_what_belongs_to_processes_is_refused(memory_app: FastWorker) -> None:
    with (
        pytest.raises(ImproperlyConfigured, match="solo, threads"),
        start_worker(memory_app, pool="prefork"),
    ):
        pass
    with (
        pytest.raises(TypeError, match="max_tasks_per_child"),
        start_worker(memory_app, max_tasks_per_child=1),
    ):
        pass


def test_time_limits_are_said_to_be_left_out(
    memory_app: FastWorker, caplog: pytest.LogCaptureFixture
) -> None:
    @memory_app.task(shared=False, name="limited", time_limit=30)
    def limited() -> int:
        return 1

    with caplog.at_level(logging.WARNING, "fastworker"), start_worker(memory_app):
        assert limited.apply_async(soft_time_limit=20).get(timeout=SOON_S) == 1
    assert "not enforced on tasks that run in threads: limited" in caplog.text
    assert "message of task limited has a time limit" in caplog.text


def test_a_ping_without_results_says_what_to_do(sqlite_url: str) -> None:
    app = FastWorker("proj", broker=sqlite_url, backend="disabled", set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match="result backend"), start_worker(app):
        pass


def test_a_broker_that_is_away_is_named_and_nothing_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = set(threading.enumerate())
    monkeypatch.setattr(testing_worker, "_START_TIMEOUT_S", 0.3)
    app = FastWorker("proj", broker="redis://127.0.0.1:1/0", set_as_current=False)
    with (
        pytest.raises(TimeoutError, match="not ready after"),
        start_worker(app, perform_ping_check=False),
    ):
        pytest.fail("there is no broker")
    assert set(threading.enumerate()) == before


def test_lifespan_belongs_to_the_one_thread_that_runs_tasks(memory_app: FastWorker) -> None:
    seen: list[str] = []

    @memory_app.lifespan
    async def opens(app: FastWorker) -> AsyncIterator[None]:
        seen.append(threading.current_thread().name)
        yield
        seen.append("left")

    @memory_app.task
    async def where() -> str:
        return threading.current_thread().name

    with start_worker(memory_app):
        assert [where.delay().get(timeout=SOON_S)] == seen
    assert seen[1:] == ["left"]
    with (
        pytest.raises(ImproperlyConfigured, match=r"has lifespans.*expected one; try pool='solo'"),
        start_worker(memory_app, pool="threads", concurrency=2),
    ):
        pass
