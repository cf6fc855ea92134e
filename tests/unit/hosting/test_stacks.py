"""Celery's stacks say and keep the same when they are looked at with less work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import pytest
from celery import Celery, current_task
from celery.app.trace import build_tracer
from celery.utils.threads import _LocalStack

from fastworker.hosting import stacks
from fastworker.hosting.stacks import QuickStack, look_at_stacks_quickly

Step = Callable[[_LocalStack], Any]


@pytest.fixture
def celerys_stacks() -> Iterator[None]:
    """As Celery has them, before and after."""
    before = {name: vars(_LocalStack)[name] for name in stacks.CELERYS_OWN}
    for name, own in stacks.CELERYS_OWN.items():
        setattr(_LocalStack, name, own)
    yield
    for name, own in before.items():
        setattr(_LocalStack, name, own)


def empty(stack: _LocalStack) -> None:
    stack.stack.clear()


def look_elsewhere(stack: _LocalStack) -> Any:
    answers: list[Any] = []

    def look() -> None:
        answers.append((stack.top, stack.pop(), len(stack), stack.push("theirs"), stack.top))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return answers


def look_from_a_greenlet(stack: _LocalStack) -> Any:
    def look() -> Any:
        return [stack.top, stack.pop(), len(stack), stack.push("theirs"), stack.top]

    return greenlet.greenlet(look).switch()


def keep_another(stack: _LocalStack) -> None:
    stack._local.another = 1


PUSH_A: Step = lambda stack: stack.push("a")  # noqa: E731
PUSH_B: Step = lambda stack: stack.push("b")  # noqa: E731
POP: Step = lambda stack: stack.pop()  # noqa: E731
STORIES: list[list[Step]] = [
    [],
    [POP],
    [PUSH_A],
    [PUSH_A, PUSH_B],
    [PUSH_A, PUSH_B, POP],
    [PUSH_A, PUSH_B, POP, POP],
    [PUSH_A, POP, POP, PUSH_B],
    [PUSH_A, empty],
    [PUSH_A, empty, PUSH_B],
    [PUSH_A, empty, POP],
    [keep_another],
    [keep_another, POP],
    [keep_another, PUSH_A],
    [keep_another, PUSH_A, POP],
    [PUSH_A, look_elsewhere],
    [PUSH_A, look_elsewhere, POP],
    [PUSH_A, look_from_a_greenlet],
    [PUSH_A, look_from_a_greenlet, POP],
]


def told(stack: _LocalStack, steps: list[Step]) -> list[Any]:
    answers = []
    for step in steps:
        try:
            answer = step(stack)
        except IndexError as exc:
            answer = str(exc)
        answers.append(str(answer))
    kept = sorted(str(own) for _, own in stack._local)
    return [*answers, stack.top, list(stack.stack), len(stack), kept]


@pytest.mark.parametrize("steps", STORIES)
def test_both_say_and_keep_the_same(steps: list[Step], celerys_stacks: None) -> None:
    assert told(QuickStack(), steps) == told(_LocalStack(), steps)


def test_the_tasks_that_run_are_seen_as_before(celerys_stacks: None) -> None:
    app = Celery("seen", broker="memory://", set_as_current=False)

    @app.task(bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def inner(self: Any) -> Any:
        return [current_task.name, self.request.id, len(self.request_stack)]

    @app.task(bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def outer(self: Any) -> Any:
        called = inner.apply(task_id="inner").get()
        return [called, current_task.name, self.request.id, app.current_worker_task.name]

    def run() -> Any:
        ended = build_tracer(outer.name, outer, app=app)("outer", [], {}, {"id": "outer"})
        assert ended.info is None, ended
        return ended.retval

    celerys = run()
    look_at_stacks_quickly()
    assert vars(_LocalStack)["push"] is vars(QuickStack)["push"]
    assert run() == celerys
    assert (len(outer.request_stack), current_task._get_current_object()) == (0, None)


def test_other_ways_are_left_alone(celerys_stacks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def push(_self: _LocalStack, _obj: Any) -> None:
        return None

    monkeypatch.setattr(_LocalStack, "push", push)
    look_at_stacks_quickly()
    assert vars(_LocalStack)["push"] is push
    assert vars(_LocalStack)["pop"] is stacks.CELERYS_OWN["pop"]


def test_another_stack_of_celerys_is_left_alone(
    celerys_stacks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pop(_self: _LocalStack) -> Any:
        return "other"

    monkeypatch.setattr(_LocalStack, "pop", pop)
    monkeypatch.setitem(stacks.CELERYS_OWN, "pop", pop)
    look_at_stacks_quickly()
    assert vars(_LocalStack)["pop"] is pop
