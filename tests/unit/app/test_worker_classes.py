"""Classes of Celery's worker that a task may name: refused with what to use in their place."""

from __future__ import annotations

import pytest

from fastworker import FastWorker, Task
from fastworker.errors import ImproperlyConfigured


class MyRequest: ...


class Watched(Task):
    """As Celery's documentation has it."""

    Request = MyRequest


def make() -> FastWorker:
    return FastWorker("proj", broker="memory://classes", set_as_current=False)


@pytest.mark.shows("task Request")
def test_a_request_class_is_refused_wherever_it_is_named() -> None:
    words = r"Request is 'MyRequest'.*on_failure and on_timeout are Task.on_failure"
    task = make().task(name="t", base=Watched)(lambda: None)
    with pytest.raises(ImproperlyConfigured, match=words):
        task.name  # noqa: B018
    task = make().task(name="t", Request=MyRequest)(lambda: None)
    with pytest.raises(ImproperlyConfigured, match=words):
        task.name  # noqa: B018
    with pytest.raises(ImproperlyConfigured, match=words):
        make().register_task(type("Mine", (Watched,), {"name": "mine"}))


@pytest.mark.shows("task Strategy")
def test_a_strategy_is_refused_with_what_decides_instead() -> None:
    task = make().task(name="t", Strategy="mine:Strategy")(lambda: None)
    with pytest.raises(ImproperlyConfigured, match=r"'t': Strategy is 'mine:Strategy'.*rate_limit"):
        task.name  # noqa: B018
