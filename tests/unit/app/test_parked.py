"""``app.parked`` on ``memory://``, with what comes between looking and acting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.contrib.testing.app import TestApp, setup_default_app
from fastworker.contrib.testing.worker import start_worker
from fastworker.errors import ImproperlyConfigured
from tests.support.waiting import wait_until

Park = Callable[..., Any]


@pytest.fixture
def app() -> Iterator[FastWorker]:
    made = TestApp(broker="memory://parked", backend="memory://parked")
    with setup_default_app(made):

        @made.task(name="add")
        def add(x: int, y: int) -> int:
            return x + y

        @made.task(name="quiet", ignore_result=True)
        def quiet() -> None: ...

        yield made
    _core.clear_memory("parked")


@pytest.fixture
def park(app: FastWorker) -> Park:
    """Publishes a task for tomorrow, and has a worker park it."""

    def parked(name: str, *args: Any, **options: Any) -> Any:
        before = app.parked.count()
        result = app.tasks[name].apply_async(args, countdown=86_400, **options)
        with start_worker(app):
            wait_until(lambda: app.parked.count() == before + 1, "it to be parked")
        return result

    return parked


def between(app: FastWorker, monkeypatch: pytest.MonkeyPatch, task_id: str, state: str) -> None:
    """Store ``state`` once after the next look at what is stored."""
    looks = [app.backend.revoked_document]

    def look(task_id_: str, seen: bytes | None) -> bytes | None:
        found = looks[0](task_id_, seen)
        monkeypatch.undo()
        app.backend.store_result(task_id, ValueError("meanwhile"), state)
        return found

    monkeypatch.setattr(app.backend, "revoked_document", look)


def test_revoked_is_stored_for_what_waits_only(app: FastWorker) -> None:
    assert app.backend.mark_waiting_as_revoked("nobody")
    assert app.AsyncResult("nobody").state == "REVOKED"
    for state, is_replaced in (("RETRY", True), ("STARTED", False), ("FAILURE", False)):
        app.backend.store_result(state, None if state == "STARTED" else ValueError("x"), state)
        assert app.backend.mark_waiting_as_revoked(state) is is_replaced
        assert app.AsyncResult(state).state == ("REVOKED" if is_replaced else state)


def test_what_is_stored_meanwhile_is_not_replaced(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(app, monkeypatch, "1", "FAILURE")
    assert not app.backend.mark_waiting_as_revoked("1")
    assert app.AsyncResult("1").state == "FAILURE"


@pytest.mark.parametrize(("state", "after"), [("RETRY", "REVOKED"), ("FAILURE", "FAILURE")])
def test_cancel_looks_again_when_something_is_stored_meanwhile(
    app: FastWorker, park: Park, monkeypatch: pytest.MonkeyPatch, state: str, after: str
) -> None:
    result = park("add", 1, 2)
    between(app, monkeypatch, result.id, state)
    assert app.parked.cancel(result.id) == 1
    assert (app.parked.count(), result.state) == (0, after)


def test_tasks_that_ignore_their_result_get_none(app: FastWorker, park: Park) -> None:
    quiet, told = park("quiet"), park("add", 1, 2, ignore_result=True)
    unknown = park("add", 1, 2)
    assert app.parked.cancel(quiet.id, told.id, unknown.id, unknown.id) == 3
    states = [app.backend.get_state(result.id) for result in (quiet, told, unknown)]
    assert states == ["PENDING", "PENDING", "REVOKED"]


def test_acting_on_what_was_listed(app: FastWorker, park: Park) -> None:
    park("add", 1, 2)
    kept = park("add", 3, 4)
    [first, second] = app.parked
    assert app.parked.release(first) == 1
    assert app.parked.cancel(first) == 0
    assert [task.id for task in app.parked] == [second.id] == [kept.id]
    with start_worker(app):
        assert app.AsyncResult(first.id).get(timeout=30) == 3


def test_a_choice_that_cannot_be_meant_is_refused(app: FastWorker) -> None:
    with pytest.raises(TypeError, match="not by both"):
        app.parked.cancel("1", task="add")
    for cursor in ("?", "", "bm8gY3Vyc29y"):
        with pytest.raises(ImproperlyConfigured, match="is no cursor of parked tasks"):
            next(app.parked.tasks(after=cursor))
