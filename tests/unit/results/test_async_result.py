"""``AsyncResult``: waiting, states, errors, and what may not be done inside a task."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.errors import TimeoutError
from fastworker.result import (
    AsyncResult,
    EagerResult,
    GroupResult,
    ResultSet,
    allow_join_result,
    denied_join_result,
    result_from_tuple,
)
from tests.support.memory_core import Memory


def done(app: FastWorker, task_id: str, value: Any, state: str = "SUCCESS", **kwargs: Any) -> None:
    app.backend.store_result(task_id, value, state, **kwargs)


def test_get_waits_for_a_final_state(app: FastWorker, memory: Memory) -> None:
    steps = iter([("STARTED", {"pid": 1}), ("PROGRESS", 50), ("SUCCESS", [1, 2])])

    def advance(task_id: str) -> None:
        state, value = next(steps)
        done(app, task_id, value, state)

    memory.on_wait = advance
    messages: list[str] = []
    result = app.AsyncResult("7")
    assert result.get(timeout=5, on_message=lambda meta: messages.append(meta["status"])) == [1, 2]
    assert messages == ["STARTED", "PROGRESS", "SUCCESS"]
    memory.on_wait = None
    memory.documents.clear()
    assert (result.get(), result.state) == ([1, 2], "SUCCESS")


def test_pending_result_times_out(app: FastWorker) -> None:
    result = app.AsyncResult("7")
    assert (result.state, result.result, result.ready()) == ("PENDING", None, False)
    with pytest.raises(TimeoutError, match="The operation timed out"):
        result.get(timeout=0)


def test_interval_is_called_while_waiting(app: FastWorker, memory: Memory) -> None:
    calls: list[int] = []

    def finish() -> None:
        calls.append(1)
        done(app, "7", 1)

    assert app.AsyncResult("7").get(interval=0.01, on_interval=finish) == 1
    assert calls == [1]


def test_failure_is_raised_as_itself_with_the_remote_traceback(app: FastWorker) -> None:
    done(app, "7", KeyError("x", 2), "FAILURE", traceback="Traceback (remote)\n  boom")
    result = app.AsyncResult("7")
    with pytest.raises(KeyError) as caught:
        result.get()
    assert caught.value.args == ("x", 2)
    assert "Traceback (remote)" in str(caught.value.__cause__)
    assert isinstance(result.get(propagate=False), KeyError)
    assert (result.failed(), result.successful()) == (True, False)
    assert result.traceback == "Traceback (remote)\n  boom"


def test_callback_gets_id_and_value(app: FastWorker) -> None:
    done(app, "7", 5)
    got: list[Any] = []
    app.AsyncResult("7").get(callback=lambda *a: got.append(a))
    assert got == [("7", 5)]


def test_parents_failure_ends_the_wait(app: FastWorker) -> None:
    done(app, "parent", ValueError("first"), "FAILURE")
    child = app.AsyncResult("child", parent=app.AsyncResult("parent"))
    with pytest.raises(ValueError, match="first"):
        child.get(timeout=5)
    with pytest.raises(TimeoutError):
        child.get(timeout=0, follow_parents=False)


def test_get_inside_a_task_is_refused_unless_allowed(app: FastWorker) -> None:
    done(app, "7", 1)
    result = app.AsyncResult("7")
    with denied_join_result():
        with pytest.raises(RuntimeError, match=r"Never call result.get\(\) within a task"):
            result.get()
        assert result.get(disable_sync_subtasks=False) == 1
        with allow_join_result():
            assert result.get() == 1


def test_eager_task_may_not_wait_either(app: FastWorker) -> None:
    app.conf.task_always_eager = True
    inner = app.task(name="inner", shared=False)(lambda: 1)
    outer = app.task(name="outer", shared=False)(lambda: inner.delay().get())
    with pytest.raises(RuntimeError, match="Never call"):
        outer.delay().get()


def test_children_are_results(app: FastWorker) -> None:
    class Request:
        children = ("a", AsyncResult("b"))
        group = "g"
        parent_id = "p"

    done(app, "7", 1, request=Request())
    result = app.AsyncResult("7")
    assert [child.id for child in result.children] == ["a", "b"]
    assert all(child.app is app for child in result.children)
    assert [r.id for _, r in result.iterdeps(intermediate=True)] == ["7", "a", "b"]


@pytest.mark.shows("setting result_extended")
def test_extended_results_tell_about_the_call(app: FastWorker) -> None:
    app.conf.result_extended = True

    class Request:
        children = ()
        task, hostname, retries = "t", "w@h", 3
        args = (1,)

        def __init__(self) -> None:
            self.kwargs = {"k": 2}
            self.delivery_info = {"routing_key": "q"}

    done(app, "7", 1, request=Request())
    result = app.AsyncResult("7")
    assert (result.name, result.args, result.kwargs) == ("t", [1], {"k": 2})
    assert (result.worker, result.retries, result.queue) == ("w@h", 3, "q")
    assert result.date_done is not None
    assert result.date_done.tzinfo is not None


def test_forget_removes_the_document(app: FastWorker, memory: Memory) -> None:
    done(app, "7", 1)
    result = app.AsyncResult("7")
    assert result.exists()
    result.forget()
    assert memory.documents == {}
    assert not result.exists()


def test_results_are_equal_by_id(app: FastWorker) -> None:
    result = app.AsyncResult("7")
    assert result == AsyncResult("7") == "7"
    assert (str(result), repr(result), hash(result)) == ("7", "<AsyncResult: 7>", hash("7"))
    assert copy.copy(result) == result
    assert pickle.loads(pickle.dumps(result)) == result
    assert not hasattr(result, "__dict__")
    with pytest.raises(ValueError, match="requires valid id"):
        AsyncResult(None)  # type: ignore[arg-type]


def test_tuples_name_parents(app: FastWorker) -> None:
    result = app.AsyncResult("b", parent=app.AsyncResult("a"))
    assert result.as_tuple() == (("b", (("a", None), None)), None)
    again = result_from_tuple(result.as_tuple(), app)
    assert isinstance(again, AsyncResult)
    assert again.as_list() == ["b", "a"]
    group = result_from_tuple([["g", None], [[["x", None], None]]], app)
    assert isinstance(group, GroupResult)
    assert (group.id, [r.id for r in group]) == ("g", ["x"])


def test_result_set_joins_in_order(app: FastWorker) -> None:
    for number in range(3):
        done(app, str(number), number * 10)
    results = ResultSet([app.AsyncResult(str(n)) for n in range(3)], app=app)
    assert results.join(timeout=5) == [0, 10, 20]
    assert (results.ready(), results.successful(), results.completed_count()) == (True, True, 3)


def test_without_a_backend_results_are_refused_clearly(memory: Memory) -> None:
    app = FastWorker("p", broker="redis://h/0", set_as_current=False)
    with pytest.raises(NotImplementedError, match="No result backend is configured"):
        app.AsyncResult("7").get()
    app.backend.store_result("7", 1, "SUCCESS")
    assert memory.documents == {}


def test_eager_result_is_there() -> None:
    result: EagerResult[int] = EagerResult("7", 5, "SUCCESS")
    assert (result.get(), result.ready(), result.result) == (5, True, 5)
    result.revoke()
    assert result.state == "REVOKED"


def test_without_a_store_the_broker_is_asked_whether_an_id_is_known(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def holds(_: Any, task_id: str, queues: list[str]) -> bool:
        asked.append((task_id, queues))
        return task_id == "x"

    monkeypatch.setattr(_core.Publisher, "holds", holds, raising=False)
    with FastWorker("proj", broker="redis://nowhere/0", set_as_current=False) as app:
        app.conf.result_backend = "disabled://"
        app.task(name="proj.routed", shared=False, queue="routed")(lambda: None)
        app.conf.task_routes = {"celery.map": {"queue": "maps"}}
        assert app.AsyncResult("x").known("mine")
        assert not app.AsyncResult("y").known()
    assert {"mine", "celery", "routed", "maps"} <= set(asked[0][1])
    assert "mine" not in asked[1][1]
