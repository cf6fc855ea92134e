"""What the attributes of a task and of its application do that no message shows."""

from __future__ import annotations

from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.signals import task_sent
from fastworker.worker.settings import task_settings
from tests.support.memory_core import Memory


@pytest.mark.shows("task lazy")
def test_task_may_be_made_at_once(app: FastWorker) -> None:
    app.task(name="later", shared=False)(lambda: 1)
    assert "later" not in app.unfinalized_tasks
    app.task(name="now", shared=False, lazy=False)(lambda: 1)
    assert "now" in app.unfinalized_tasks


@pytest.mark.shows("task shared")
def test_shared_task_is_every_applications(app: FastWorker) -> None:
    app.task(name="mine", shared=False)(lambda: 1)
    app.task(name="ours")(lambda: 1)
    other = FastWorker("other", set_as_current=False)
    assert "ours" in other.tasks
    assert "mine" not in other.tasks


@pytest.mark.shows("task filter")
def test_filter_gets_the_task(app: FastWorker) -> None:
    wrapped = app.task(name="t", shared=False, filter=lambda task: ("wrapped", task.name))
    assert wrapped(lambda: 1) == ("wrapped", "t")


@pytest.mark.shows("task backend")
def test_task_may_have_a_store_of_its_own(app: FastWorker) -> None:
    store = object()
    task = app.task(name="t", shared=False)(lambda: 1)
    assert task.backend is app.backend
    task.backend = store
    assert task.AsyncResult("7").backend is store


@pytest.mark.shows("handler on_bound", "handler shadow_name")
def test_class_may_act_on_binding_and_name_its_calls(app: FastWorker, memory: Memory) -> None:
    bound: list[Any] = []

    class Base(app.Task):  # type: ignore[name-defined, misc]
        @classmethod
        def on_bound(cls, app: FastWorker) -> None:
            bound.append((cls.name, app))

        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return f"{self.name} of {args[0]}"

    app.task(name="t", base=Base, shared=False)(lambda x: x).delay("u")
    assert ("t", app) in bound
    assert memory.messages[0].headers["shadow"] == "t of u"


@pytest.mark.shows("task trail", "call add_to_parent")
def test_children_are_remembered_unless_told_otherwise(app: FastWorker) -> None:
    child = app.task(name="child", shared=False)(lambda: 1)
    kept = app.task(name="kept", shared=False)(lambda: 1)
    dropped = app.task(name="dropped", shared=False, trail=False)(lambda: 1)
    for parent, expected in ((kept, 1), (dropped, 0)):
        parent.push_request(id="p", called_directly=False)
        push_current_task(parent)
        try:
            child.delay()
            child.apply_async(add_to_parent=False)
            assert len(parent.request.children) == expected
        finally:
            pop_current_task()
            parent.pop_request()


@pytest.mark.shows("request get")
def test_request_is_asked_by_name(app: FastWorker) -> None:
    task = app.task(name="t", shared=False)(lambda: 1)
    task.push_request(id="7", tenant="a")
    assert (task.request.get("tenant"), task.request.get("none", "d")) == ("a", "d")
    task.pop_request()


@pytest.mark.shows("verb signature")
def test_signature_is_published_later(app: FastWorker, memory: Memory) -> None:
    task = app.task(name="t", shared=False)(lambda *args: args)
    task.signature((2,), queue="q").apply_async((1,))
    task.si(3).delay("dropped")
    assert [(m.queue, m.body[0]) for m in memory.messages] == [("q", [1, 2]), ("celery", [3])]


@pytest.mark.shows("signal task_sent")
def test_task_sent_is_still_sent(app: FastWorker) -> None:
    seen: list[dict[str, Any]] = []
    task_sent.connect(
        lambda sender=None, signal=None, **facts: seen.append(facts), weak=False, dispatch_uid="t"
    )
    try:
        app.task(name="t", shared=False)(lambda x: x).apply_async((1,), task_id="7")
    finally:
        task_sent.disconnect(dispatch_uid="t")
    assert seen == [
        {"task_id": "7", "task": "t", "args": (1,), "kwargs": {}, "eta": None, "taskset": None}
    ]


@pytest.mark.shows("setting task_inherit_parent_priority")
def test_child_inherits_the_priority_of_its_parent(app: FastWorker, memory: Memory) -> None:
    app.conf.task_inherit_parent_priority = True
    task = app.task(name="t", shared=False)(lambda: 1)
    task.push_request(id="p", called_directly=False, delivery_info={"priority": 4})
    push_current_task(task)
    try:
        task.delay()
        task.apply_async(priority=6)
    finally:
        pop_current_task()
        task.pop_request()
    assert [message.priority for message in memory.messages] == [4, 6]


@pytest.mark.shows("setting task_eager_propagates")
def test_eager_errors_are_raised_when_told_to(app: FastWorker) -> None:
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    with pytest.raises(ZeroDivisionError):
        app.task(name="t", shared=False)(lambda: 1 / 0).delay()


@pytest.mark.shows(
    "task acks_on_failure_or_timeout",
    "setting task_store_errors_even_if_ignored",
)
def test_worker_is_told_what_the_task_or_the_setting_says(app: FastWorker) -> None:
    app.conf.task_store_errors_even_if_ignored = True
    for name, options in {
        "plain": {},
        "both": {"acks_on_failure_or_timeout": False},
        "failure": {"acks_on_failure_or_timeout": False, "acks_on_failure": True},
    }.items():
        app.task(name=name, shared=False, **options)(lambda: 1)
    told = {task.name: task for task in task_settings(app)}
    assert [told[name].acks_on_failure for name in ("plain", "both", "failure")] == [
        True,
        False,
        True,
    ]
    assert told["plain"].stores_errors
