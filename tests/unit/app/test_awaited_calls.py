"""``adelay`` and ``aapply_async``: the same messages, checks, signals and retries as of the blocking calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.errors import EncodeError, OperationalError
from fastworker.signals import after_task_publish, before_task_publish
from tests.support.memory_core import Memory


@pytest.fixture
def add(app: FastWorker) -> Any:
    return app.task(name="proj.add", shared=False)(lambda x, y: x + y)


@pytest.mark.shows("verb adelay", "verb aapply_async")
def test_awaited_call_is_the_same_message(add: Any, memory: Memory) -> None:
    options = {"task_id": "7", "countdown": 3, "queue": "q", "headers": {"tenant": "a"}}

    async def main() -> Any:
        return await add.aapply_async((1, 2), {}, **options)

    result = asyncio.run(main())
    add.apply_async((1, 2), {}, **options)
    awaited, blocking = memory.messages
    assert result.id == "7"
    assert (awaited.queue, awaited.body) == (blocking.queue, blocking.body)
    assert awaited.headers.pop("eta") <= blocking.headers.pop("eta")
    assert awaited.headers == blocking.headers


def test_refused_publish_is_repeated_without_blocking_the_loop(
    app: FastWorker, add: Any, memory: Memory
) -> None:
    policy = {"max_retries": 2, "interval_start": 0.01, "interval_step": 0, "interval_max": 0.01}

    async def main() -> int:
        ticks = 0
        call = asyncio.ensure_future(add.aapply_async((1, 2), retry_policy=policy))
        while not call.done():
            ticks += 1
            await asyncio.sleep(0)
        await call
        return ticks

    memory.refusals = 2
    assert asyncio.run(main()) > 2
    assert len(memory.messages) == 1
    memory.refusals = 3
    with pytest.raises(OperationalError):
        asyncio.run(main())


def test_wrong_calls_are_refused_before_anything_is_published(add: Any, memory: Memory) -> None:
    with pytest.raises(TypeError, match="missing 1 required"):
        asyncio.run(add.adelay(1))
    with pytest.raises(EncodeError, match="positional argument 2"):
        asyncio.run(add.adelay(1, object()))
    assert memory.messages == []


def test_receivers_are_told_around_the_publish(add: Any, memory: Memory) -> None:
    told: list[tuple[str, int]] = []
    for signal in (before_task_publish, after_task_publish):
        signal.connect(
            lambda signal, **_: told.append((signal.name, len(memory.messages))),
            weak=False,
            dispatch_uid="awaited",
        )
    try:
        asyncio.run(add.adelay(1, 2))
    finally:
        for signal in (before_task_publish, after_task_publish):
            signal.disconnect(dispatch_uid="awaited")
    assert told == [("before_task_publish", 0), ("after_task_publish", 1)]


def test_awaited_call_inside_a_task_is_its_child(add: Any, memory: Memory) -> None:
    add.push_request(id="parent", root_id="root", called_directly=False)
    push_current_task(add)
    try:
        result = asyncio.run(add.adelay(1, 2))
        assert add.request.children == [result]
    finally:
        pop_current_task()
        add.pop_request()
    headers = memory.messages[0].headers
    assert (headers["parent_id"], headers["root_id"]) == ("parent", "root")


def test_eager_task_runs_where_it_is_awaited(app: FastWorker, add: Any) -> None:
    app.conf.task_always_eager = True

    async def main() -> Any:
        return await (await add.adelay(1, 2)).aget()

    assert asyncio.run(main()) == 3


@pytest.mark.shows("verb adelay", "verb aapply_async", "verb asend_task")
def test_signatures_and_names_are_awaited_too(app: FastWorker, add: Any, memory: Memory) -> None:
    async def main() -> Any:
        await app.asend_task("no.such", (1,))
        await app.signature("not.here", args=(2,)).adelay()
        await add.s(3).aapply_async((4,), queue="q")
        return await (add.s(5, 6) | add.s(7)).adelay()

    last = asyncio.run(main())
    assert [(m.headers["task"], m.body[0]) for m in memory.messages] == [
        ("no.such", [1]),
        ("not.here", [2]),
        ("proj.add", [4, 3]),
        ("proj.add", [5, 6]),
    ]
    (following,) = memory.messages[3].body[2]["chain"]
    assert following["options"]["task_id"] == last.id
    assert last.parent.id == memory.messages[3].headers["id"]
