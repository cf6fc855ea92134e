"""Results as an accelerated Celery client reads them, beside the same client as it was."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, exceptions, group
from celery.result import AsyncResult, GroupResult

import fastworker
from tests.support.apps import AppSpec
from tests.support.celery_client import celery_client
from tests.support.redis_server import RedisServer
from tests.support.rig import Rig

# Of Celery, with redis-py 8.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
BOTH = pytest.mark.parametrize("accelerated", [False, True], ids=["celery", "accelerated"])
TIMEOUT_S = 20


@pytest.fixture
def worker(redis_url: str) -> Iterator[Celery]:
    """An application that stores results, as a worker does."""
    with celery_client(redis_url, accelerated=False) as app:
        yield app


def soon(act: Callable[[], object]) -> threading.Thread:
    """Do it in a thread, when whoever calls this has begun to wait, or before."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


@BOTH
def test_state_and_result_at_each_step(redis_url: str, worker: Celery, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        result = app.AsyncResult("1")
        seen = [(result.state, result.result, result.ready())]
        for state, value in (
            ("STARTED", {"pid": 1}),
            ("PROGRESS", {"done": 3}),
            ("SUCCESS", [1, 2]),
        ):
            worker.backend.store_result("1", value, state)
            seen.append((result.state, result.result, result.ready()))
        assert result.get(timeout=TIMEOUT_S) == [1, 2]
        assert result.date_done is not None
        assert not app.AsyncResult("other").exists()
        assert result.exists()
        result.forget()
        assert app.AsyncResult("1").state == "PENDING"
    assert seen == [
        ("PENDING", None, False),
        ("STARTED", {"pid": 1}, False),
        ("PROGRESS", {"done": 3}, False),
        ("SUCCESS", [1, 2], True),
    ]


@BOTH
def test_failures_are_raised(redis_url: str, worker: Celery, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        worker.backend.store_result("1", KeyError("it"), "FAILURE", traceback="the traceback")
        result = app.AsyncResult("1")
        with pytest.raises(KeyError, match="it"):
            result.get(timeout=TIMEOUT_S)
        assert result.traceback == "the traceback"
        assert isinstance(result.get(propagate=False), KeyError)
        worker.backend.store_result("2", exceptions.TaskRevokedError("revoked"), "REVOKED")
        with pytest.raises(exceptions.TaskRevokedError):
            app.AsyncResult("2").get(timeout=TIMEOUT_S)


@BOTH
def test_get_hears_of_what_is_stored_later(
    redis_url: str, worker: Celery, accelerated: bool
) -> None:
    with celery_client(redis_url, accelerated) as app:
        result = app.AsyncResult("1")
        heard: list[Any] = []
        begun = threading.Event()

        def store() -> None:
            begun.wait(TIMEOUT_S)
            worker.backend.store_result("1", None, "STARTED")
            worker.backend.store_result("1", 42, "SUCCESS")

        storing = soon(store)
        value = result.get(
            timeout=TIMEOUT_S,
            on_message=lambda meta: heard.append(meta["status"]),
            on_interval=begun.set,
        )
        storing.join()
    assert value == 42
    assert heard[-1] == "SUCCESS"


@BOTH
def test_get_ends_when_its_time_is_over(redis_url: str, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        result = app.AsyncResult("1")
        with pytest.raises(exceptions.TimeoutError):
            result.get(timeout=0.1)
        app.backend.store_result("1", 1, "SUCCESS")
        assert result.get(timeout=TIMEOUT_S) == 1


@BOTH
@pytest.mark.parametrize("method", ["get", "join", "join_native"])
def test_groups_are_joined_in_order(
    redis_url: str, worker: Celery, accelerated: bool, method: str
) -> None:
    with celery_client(redis_url, accelerated) as app:
        results = [app.AsyncResult(f"member-{n}") for n in range(300)]
        joined = GroupResult("group", results, app=app)
        for n in range(0, 300, 2):
            worker.backend.store_result(f"member-{n}", n, "SUCCESS")
        assert joined.completed_count() == 150
        assert not joined.ready()

        def store() -> None:
            for n in range(1, 300, 2):
                worker.backend.store_result(f"member-{n}", n, "SUCCESS")

        storing = soon(store)
        assert getattr(joined, method)(timeout=TIMEOUT_S) == list(range(300))
        storing.join()
        assert joined.successful()


@BOTH
def test_group_fails_with_its_member(redis_url: str, worker: Celery, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        joined = GroupResult("group", [app.AsyncResult(name) for name in "abc"], app=app)
        worker.backend.store_result("a", 1, "SUCCESS")
        worker.backend.store_result("b", ValueError("b"), "FAILURE")
        worker.backend.store_result("c", 3, "SUCCESS")
        with pytest.raises(ValueError, match="b"):
            joined.get(timeout=TIMEOUT_S)


@BOTH
def test_groups_are_saved_and_restored(redis_url: str, worker: Celery, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        GroupResult("group", [app.AsyncResult("a"), app.AsyncResult("b")], app=app).save()
        restored = GroupResult.restore("group", app=app)
        for name in "ab":
            worker.backend.store_result(name, name, "SUCCESS")
        assert restored.get(timeout=TIMEOUT_S) == ["a", "b"]


@BOTH
def test_promises_are_kept(redis_url: str, worker: Celery, accelerated: bool) -> None:
    with celery_client(redis_url, accelerated) as app:
        result, told = app.AsyncResult("1"), []
        result.then(lambda ready: told.append(ready.id))
        worker.backend.store_result("1", 1, "SUCCESS")
        assert result.get(timeout=TIMEOUT_S) == 1
    assert told == ["1"]


@pytest.mark.parametrize(
    "conf",
    [
        {"result_backend_transport_options": {"global_keyprefix": "app"}},
        {"result_serializer": "pickle", "accept_content": ["json", "pickle"]},
        {"result_compression": "zlib"},
    ],
)
def test_results_in_other_forms_are_read(redis_url: str, conf: Any) -> None:
    with celery_client(redis_url, accelerated=False, **conf) as worker:
        worker.backend.store_result("1", ["x" * 5000], "SUCCESS")
        with celery_client(redis_url, accelerated=True, **conf) as app:
            assert app.AsyncResult("1").get(timeout=TIMEOUT_S) == ["x" * 5000]


def test_results_that_nobody_waits_for_leave_nothing_behind(redis_url: str) -> None:
    with celery_client(redis_url, accelerated=True) as app:
        for _ in range(100):
            app.send_task("proj.any")
        consumer = app.backend.result_consumer
        assert not consumer._wanted
        assert not consumer._changed


def test_threads_wait_at_the_same_time(redis_url: str, worker: Celery) -> None:
    found: list[Any] = []
    with celery_client(redis_url, accelerated=True) as app:
        threads = [
            soon(lambda n=n: found.append(app.AsyncResult(f"t{n}").get(timeout=TIMEOUT_S)))  # type: ignore[misc]
            for n in range(8)
        ]
        for n in range(8):
            worker.backend.store_result(f"t{n}", n, "SUCCESS")
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(8))


def _read_in_fork(app: Celery, awaited: AsyncResult, waits: Any) -> None:
    assert awaited.get(timeout=TIMEOUT_S, on_interval=waits.set) == "first"
    assert app.AsyncResult("second").get(timeout=TIMEOUT_S) == "second"


def test_forked_processes_read_on_connections_of_their_own(redis_url: str, worker: Celery) -> None:
    fork = multiprocessing.get_context("fork")
    with celery_client(redis_url, accelerated=True) as app:
        # The parent watches it when it forks.
        awaited = app.AsyncResult("first")
        with pytest.raises(exceptions.TimeoutError):
            awaited.get(timeout=0.1)
        waits = [fork.Event() for _ in range(3)]
        children = [
            fork.Process(target=_read_in_fork, args=(app, awaited, event)) for event in waits
        ]
        for child in children:
            child.start()
        assert all(event.wait(TIMEOUT_S) for event in waits)
        for name in ("first", "second"):
            worker.backend.store_result(name, name, "SUCCESS")
        assert awaited.get(timeout=TIMEOUT_S) == "first"
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]


def test_a_wait_survives_a_restart_of_the_server(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = RedisServer(tmp_path, is_durable=True)
    server.start()
    request.addfinalizer(server.kill)
    url = f"{server.url}/0"
    with (
        celery_client(url, accelerated=True) as app,
        celery_client(url, accelerated=False) as worker,
    ):
        result = app.AsyncResult("1")
        with pytest.raises(exceptions.TimeoutError):
            result.get(timeout=0.1)
        begun = threading.Event()

        def restart() -> None:
            begun.wait(TIMEOUT_S)
            server.kill()
            server.start()
            worker.backend.store_result("1", 1, "SUCCESS")

        restarting = soon(restart)
        assert result.get(timeout=TIMEOUT_S, on_interval=begun.set) == 1
        restarting.join()


def test_a_real_worker_and_the_canvas(redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        rig = Rig(AppSpec("celery", redis_url, redis_url), tmp_path, stack)
        stack.callback(fastworker.accelerate(rig.app).restore)
        rig.worker(concurrency=2)
        add, total = rig.task("add"), rig.task("total")
        assert add.delay(1, 2).get(timeout=TIMEOUT_S) == 3
        doubled = [2 * n for n in range(300)]
        assert group(add.s(n, n) for n in range(300))().get(timeout=60) == doubled
        assert chain(add.s(1, 2), add.s(3))().get(timeout=TIMEOUT_S) == 6
        assert chord([add.s(n, n) for n in range(300)], total.s())().get(timeout=60) == sum(doubled)
