"""Tasks with models: validated before the function runs, written as plain values on the way, as Celery does it."""

from __future__ import annotations

from typing import Any

import celery
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from fastworker import FastWorker
from fastworker.app import pydantic_models
from fastworker.errors import EncodeError, ImproperlyConfigured
from tests.support.memory_core import Memory


class Page(BaseModel):
    url: str
    depth: int = 0


class Named(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _with_task(cls, value: str, info: ValidationInfo) -> str:
        context = info.context or {}
        return f"{value} in {context['celery_task_name']} of {context['tenant']}"


class Strange(BaseModel):
    """Its validation does not give back what was written."""

    model_config = ConfigDict(extra="forbid")
    value: int

    @field_validator("value")
    @classmethod
    def _plus_one(cls, value: int) -> int:
        return value + 1


def crawl(page: Page, other: Page | None = None, count: int = 1) -> Page:
    assert isinstance(page, Page)
    assert other is None or isinstance(other, Page)
    return Page(url=page.url, depth=page.depth + count)


def named(who: Named) -> str:
    return who.name


def plain(page: Page):  # type: ignore[no-untyped-def]  # the point: no annotation
    return page


def strange(it: Strange) -> int:
    return it.value


def make(function: Any, **options: Any) -> tuple[Any, Any]:
    """The task in ours and in Celery's application, eager."""
    made = []
    for cls in (FastWorker, celery.Celery):
        app = cls("p", set_as_current=False)
        app.conf.update(task_always_eager=True, task_eager_propagates=True)
        made.append(app.task(name="p.t", pydantic=True, shared=False, **options)(function))
    return made[0], made[1]


@pytest.mark.shows("task pydantic")
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (({"url": "u"},), {}),
        ((Page(url="u", depth=2),), {}),
        (({"url": "u"}, Page(url="v")), {"count": 3}),
        ((), {"page": Page(url="u"), "other": None}),
    ],
)
def test_models_arrive_as_models_and_return_as_values(args: Any, kwargs: Any) -> None:
    ours, theirs = make(crawl)
    assert ours.apply_async(args, kwargs).get() == theirs.apply_async(args, kwargs).get()
    assert isinstance(ours.apply_async(args, kwargs).get(), dict)


def test_returned_model_without_annotation_is_left_alone() -> None:
    ours, theirs = make(plain)
    for task in (ours, theirs):
        assert task.apply(({"url": "u"},)).get() == Page(url="u")


def any_page(page: Page) -> Any:
    return page


def test_anything_may_be_announced(app: FastWorker) -> None:
    task = app.task(name="p.any", pydantic=True)(any_page)
    assert task.apply(({"url": "u"},)).get() == Page(url="u")


@pytest.mark.shows("task pydantic_strict")
def test_strict_refuses_what_lax_converts() -> None:
    values = ({"url": "u", "depth": "7"},)
    for task in make(crawl):
        assert task.apply(values).get()["depth"] == 8
    for task in make(crawl, pydantic_strict=True):
        with pytest.raises(ValidationError):
            task.apply(values).get()


@pytest.mark.shows("task pydantic_context")
def test_validators_see_the_context() -> None:
    for task in make(named, pydantic_context={"tenant": "a"}):
        assert task.apply(({"name": "n"},)).get() == "n in p.t of a"


@pytest.mark.shows("task pydantic_dump_kwargs")
def test_dump_arguments_are_passed_on() -> None:
    for task in make(crawl, pydantic_dump_kwargs={"exclude_defaults": True}):
        assert task.apply(({"url": "u"},), {"count": 0}).get() == {"url": "u"}


def test_models_travel_as_plain_values(app: FastWorker, memory: Memory) -> None:
    task = app.task(name="p.bound", bind=True, pydantic=True)(lambda self, page: None)
    task.run.__wrapped__.__annotations__["page"] = Page
    task.delay(Page(url="u"))
    app.task(name="p.plain", pydantic=True)(crawl).apply_async([Page(url="v", depth=1)])
    bodies = [message.body[0] for message in memory.messages]
    assert bodies == [[{"url": "u", "depth": 0}], [{"url": "v", "depth": 1}]]


def test_model_that_would_not_be_rebuilt_equal_is_the_serializers_to_refuse(
    app: FastWorker,
) -> None:
    task = app.task(name="p.strange", pydantic=True)(strange)
    with pytest.raises(EncodeError, match="Strange"):
        task.delay(Strange(value=1))


def test_wrong_number_of_arguments_is_refused_at_the_call(app: FastWorker) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'page'"):
        app.task(name="p.crawl", pydantic=True)(crawl).delay()


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(pydantic_models, "import_module", gone)
    app = FastWorker("p", set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'fastworker-rs\[pydantic\]'"):
        app.task(name="p.t", pydantic=True)(crawl).name  # noqa: B018
