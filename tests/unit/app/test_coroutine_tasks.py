"""``async def`` tasks in the client: eager calls, automatic retries, models; and the application's lifespans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastworker import FastWorker


@pytest.fixture
def app() -> FastWorker:
    return FastWorker("proj", broker="memory://", set_as_current=False)


@pytest.mark.shows("verb apply")
def test_coroutine_runs_eagerly(app: FastWorker) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        await asyncio.sleep(0)
        return x + y

    assert add.apply((1, 2)).get() == 3


def test_coroutine_runs_eagerly_where_a_loop_runs(app: FastWorker) -> None:
    @app.task(bind=True)
    async def own_id(self: Any) -> str:
        await asyncio.sleep(0)
        return str(self.request.id)

    async def main() -> Any:
        return own_id.apply(task_id="one").get()

    assert asyncio.run(main()) == "one"


def test_coroutine_that_fails_eagerly_has_failed(app: FastWorker) -> None:
    @app.task
    async def fail() -> None:
        raise ValueError("on purpose")

    result = fail.apply()
    assert (result.state, str(result.result)) == ("FAILURE", "on purpose")


def test_coroutine_is_retried_by_itself(app: FastWorker) -> None:
    @app.task(bind=True, autoretry_for=(KeyError,), retry_kwargs={"countdown": 0})
    async def flaky(self: Any) -> int:
        await asyncio.sleep(0)
        if self.request.retries < 2:
            raise KeyError("again")
        return int(self.request.retries)

    assert flaky.apply().get() == 2


def test_coroutine_called_as_a_function_is_awaited_by_its_caller(app: FastWorker) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    assert asyncio.run(add(1, 2)) == 3  # type: ignore[arg-type]


def test_models_of_a_coroutine_are_made_and_dumped(app: FastWorker) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Point(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        x: int

    async def move(point: Point) -> Point:
        await asyncio.sleep(0)
        return Point(x=point.x + 1)

    move.__annotations__ = {"point": Point, "return": Point}
    task = app.task(pydantic=True)(move)
    assert task.apply(({"x": 1},)).get() == {"x": 2}


def test_lifespans_are_entered_in_order_and_left_in_reverse(app: FastWorker) -> None:
    seen = []

    @app.lifespan
    async def first(given: FastWorker) -> AsyncIterator[None]:
        assert given is app
        seen.append("first")
        yield
        seen.append("first left")

    @app.lifespan
    @asynccontextmanager
    async def second(given: FastWorker) -> AsyncIterator[None]:
        seen.append("second")
        yield
        seen.append("second left")

    async def main() -> None:
        async with app.lifespans.entered(app):
            seen.append("inside")

    asyncio.run(main())
    assert seen == ["first", "second", "inside", "second left", "first left"]
