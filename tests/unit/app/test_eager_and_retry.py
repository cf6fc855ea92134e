"""``apply()``, ``task_always_eager`` and ``retry()``."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fastworker import FastWorker, chain
from fastworker.app.autoretry import backoff_s
from fastworker.app.context import Context
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.errors import (
    EncodeError,
    Ignore,
    ImproperlyConfigured,
    MaxRetriesExceededError,
    OperationalError,
    Reject,
    Retry,
)
from fastworker.signals import task_failure, task_postrun, task_prerun, task_success
from tests.support.memory_core import Memory


@pytest.mark.shows("verb apply", "request is_eager")
def test_apply_runs_the_task_with_a_request(app: FastWorker) -> None:
    @app.task(bind=True, name="t", shared=False)
    def task(self: Any, x: int) -> Any:
        request = self.request
        return request.id, request.is_eager, request.args, request.called_directly, x

    result = task.apply((3,), task_id="7")
    assert result.get() == ("7", True, (3,), False, 3)
    assert (result.state, result.id, result.successful()) == ("SUCCESS", "7", True)


def test_apply_keeps_the_failure_or_throws_it(app: FastWorker) -> None:
    @app.task(name="t", shared=False)
    def task() -> None:
        raise KeyError("x")

    result = task.apply()
    assert result.failed()
    assert "KeyError: 'x'" in (result.traceback or "")
    assert isinstance(result.get(propagate=False), KeyError)
    for call in (result.get, lambda: task.apply(throw=True)):
        with pytest.raises(KeyError):
            call()


def test_handlers_and_signals_are_called_in_order(app: FastWorker) -> None:
    order: list[str] = []

    class Base(app.Task):  # type: ignore[name-defined, misc]
        def before_start(self, *args: Any) -> None:
            order.append("before_start")

        def on_success(self, *args: Any) -> None:
            order.append("on_success")
            raise RuntimeError("a handler's error does not change the outcome")

        def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            order.append(f"on_failure {einfo.exception!r}")

        def after_return(self, status: str, *args: Any) -> None:
            order.append(f"after_return {status}")

    signals = (task_prerun, task_postrun, task_success, task_failure)
    for signal in signals:
        signal.connect(
            lambda signal, **_: order.append(signal.name), weak=False, dispatch_uid="order"
        )
    try:
        app.task(base=Base, name="ok", shared=False)(lambda: 1).apply()
        succeeded, order[:] = list(order), []
        app.task(base=Base, name="bad", shared=False)(lambda: 1 / 0).apply()
    finally:
        for signal in signals:
            signal.disconnect(dispatch_uid="order")
    assert succeeded == [
        "task_prerun",
        "before_start",
        "on_success",
        "task_success",
        "after_return SUCCESS",
        "task_postrun",
    ]
    assert order == [
        "task_prerun",
        "before_start",
        "on_failure ZeroDivisionError('division by zero')",
        "task_failure",
        "after_return FAILURE",
        "task_postrun",
    ]


@pytest.mark.shows("setting task_always_eager")
def test_always_eager_sends_arguments_through_the_serializer(
    app: FastWorker, memory: Memory
) -> None:
    app.conf.task_always_eager = True

    @app.task(name="t", shared=False)
    def task(x: Any) -> Any:
        return x

    assert task.delay((1, 2)).get() == [1, 2]
    assert memory.messages == []
    with pytest.raises(EncodeError, match="positional argument 1"):
        task.delay(object())
    with pytest.warns(UserWarning, match="task_always_eager has no effect"):
        app.send_task("t", (1,))
    assert len(memory.messages) == 1


@pytest.mark.shows("verb Retry")
def test_eager_task_retries_until_it_works_or_gives_up(app: FastWorker) -> None:
    @app.task(bind=True, name="t", shared=False, max_retries=3)
    def task(self: Any, works_at: int) -> Any:
        if self.request.retries < works_at:
            raise self.retry(exc=ValueError(f"attempt {self.request.retries}"))
        return self.request.retries

    assert task.apply((2,)).get() == 2
    with pytest.raises(ValueError, match="attempt 3"):
        task.apply((9,)).get()


@pytest.mark.shows("task autoretry_for", "task dont_autoretry_for", "task retry_kwargs")
def test_autoretry_retries_what_it_names(app: FastWorker) -> None:
    attempts: list[type[BaseException]] = []

    @app.task(
        name="t",
        shared=False,
        autoretry_for=(LookupError,),
        dont_autoretry_for=(KeyError,),
        max_retries=2,
    )
    def task(kind: str) -> None:
        error = {"i": IndexError, "k": KeyError, "v": ValueError}[kind]
        attempts.append(error)
        raise error(kind)

    with pytest.raises(IndexError):
        task.apply(("i",)).get()
    assert attempts == [IndexError] * 3
    for kind in ("k", "v"):
        assert task.apply((kind,)).failed()
    assert len(attempts) == 5


@pytest.mark.parametrize(("retries", "expected"), [(0, 2), (3, 16), (20, 60)])
@pytest.mark.shows("task retry_backoff", "task retry_backoff_max", "task retry_jitter")
def test_backoff_doubles_up_to_a_bound(retries: int, expected: int) -> None:
    assert backoff_s(2, retries, 60, full_jitter=False) == expected
    assert 0 <= backoff_s(2, retries, 60, full_jitter=True) <= expected


def in_worker(task: Any, **request: Any) -> Any:
    """Call ``task.run`` as a worker's child would; returns what it raised."""
    given = {"id": "7", "args": [1], "kwargs": {}, "called_directly": False, "retries": 0}
    push_current_task(task._get_current_object())
    task.request_stack.push(Context({**given, **request}))
    try:
        task.run(*given["args"])
    except Exception as exc:
        return exc
    finally:
        task.request_stack.pop()
        pop_current_task()


@pytest.fixture
def again(app: FastWorker) -> Any:
    @app.task(bind=True, name="proj.again", shared=False)
    def again(self: Any, x: int) -> None:
        raise self.retry(exc=ValueError("no"), countdown=60)

    assert again.name
    return again


def test_retry_publishes_the_same_call_to_where_it_came_from(again: Any, memory: Memory) -> None:
    exc = in_worker(
        again,
        root_id="r",
        parent_id=None,
        group="g",
        group_index=2,
        chain=[{"task": "next", "args": [], "kwargs": {}, "options": {}}],
        callbacks=[again.si(5)],
        timelimit=[9, 5],
        expires="2099-01-01T00:00:00+00:00",
        reply_to="them",
        origin="gen1@there",
        ignore_result=False,
        headers={"mine": 1, "x-death": []},
        delivery_info={"exchange": "", "routing_key": "other", "priority": 6},
    )
    assert isinstance(exc, Retry)
    assert str(exc) == "Retry in 60s: ValueError('no')"
    (message,) = memory.messages
    headers = message.headers
    assert (message.queue, message.priority) == ("other", 6)
    assert {
        "id": "7",
        "retries": 1,
        "root_id": "r",
        "parent_id": "7",
        "group": "g",
        "group_index": 2,
        "timelimit": [9, 5],
        "expires": "2099-01-01T00:00:00+00:00",
        "origin": "gen1@there",
        "ignore_result": False,
        "mine": 1,
    }.items() <= headers.items()
    assert "x-death" not in headers
    assert message.properties["reply_to"] == "them"
    eta = dt.datetime.fromisoformat(headers["eta"]) - dt.datetime.now(dt.timezone.utc)
    assert 50 < eta.total_seconds() <= 60
    args, _, embed = message.body
    assert args == [1]
    assert embed["chain"][0]["task"] == "next"
    assert embed["callbacks"][0]["args"] == [5]


def test_retry_beyond_the_limit_raises_the_cause_or_says_so(app: FastWorker, again: Any) -> None:
    assert isinstance(in_worker(again, retries=3), ValueError)

    @app.task(bind=True, name="proj.bare", shared=False, max_retries=0)
    def bare(self: Any, x: int) -> None:
        self.retry()

    exc = in_worker(bare)
    assert isinstance(exc, MaxRetriesExceededError)
    assert str(exc).startswith("Can't retry proj.bare[7] args:")


def test_retry_that_cannot_be_published_rejects(
    app: FastWorker, again: Any, memory: Memory
) -> None:
    app.conf.task_publish_retry = False
    memory.refusals = 1
    exc = in_worker(again)
    assert isinstance(exc, Reject)
    assert isinstance(exc.reason, OperationalError)
    assert exc.requeue is False


def test_direct_call_raises_the_cause(again: Any) -> None:
    with pytest.raises(ValueError, match="no"):
        again(1)


def test_retry_with_other_arguments_keeps_those_that_fit(app: FastWorker, memory: Memory) -> None:
    @app.task(bind=True, name="proj.swap", shared=False)
    def swap(self: Any, a: Any, b: Any = None) -> None:
        raise self.retry(kwargs={"a": 5}, countdown=1)

    in_worker(swap, kwargs={"b": 2})
    assert memory.messages[0].body[:2] == [[5], {}]


def test_ignore_and_reject_are_no_failures(app: FastWorker) -> None:
    def raises(exc: Exception) -> Any:
        raise exc

    task = app.task(name="t", shared=False)(raises)
    assert task.apply((Ignore(),)).state == "IGNORED"
    assert task.apply((Reject("why"),)).state == "REJECTED"


@pytest.mark.shows("task store_eager_result", "setting task_store_eager_result")
def test_eager_result_is_stored_when_told_to(app: FastWorker, memory: Memory) -> None:
    app.conf.task_store_eager_result = True
    app.task(name="t", shared=False)(lambda: 5).apply(task_id="7")
    assert app.AsyncResult("7").get() == 5


def test_request_groups_unknown_headers_as_the_users() -> None:
    request = Context({"id": "1", "timelimit": [9, 5], "mine": 2, "lang": "py"})
    assert request.headers == {"mine": 2}
    assert (request.time_limit, request.soft_time_limit) == (9, 5)
    assert (request.get("nothing", 4), request.children) == (4, [])


@pytest.mark.shows("verb replace")
def test_eager_task_is_replaced_where_it_runs(app: FastWorker) -> None:
    add = app.task(name="add", shared=False)(lambda x, y: x + y)

    @app.task(name="replaced", bind=True, shared=False)
    def replaced(self: Any) -> Any:
        return self.replace(add.s(1, 2) | add.s(10))

    assert replaced.apply().get() == 13
    with pytest.raises(ImproperlyConfigured, match="chord"):
        replaced.replace(add.s(1, 2).set(chord={}))
    with pytest.raises(ImproperlyConfigured, match="empty chain"):
        replaced.replace(chain())
