"""The short cut of ``delay()``: when it is taken, and what closes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.app import link
from fastworker.results.async_result import AsyncResult
from fastworker.serialize import registry
from tests.support.memory_core import Memory


@pytest.fixture
def add(app: FastWorker) -> Any:
    @app.task(name="proj.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    return add


def test_one_plan_serves_many_calls(add: Any, memory: Memory) -> None:
    for number in range(5):
        result = add.delay(number, 1)
        assert isinstance(result, AsyncResult)
    assert (memory.plans, len(memory.messages)) == (1, 5)


CHANGES: dict[str, Callable[[FastWorker, Any], object]] = {
    "a setting": lambda app, add: app.conf.update(task_default_queue="other"),
    "an attribute of the task": lambda app, add: setattr(add, "queue", "other"),
    "another link or process": lambda app, add: link.set_link(None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_plan_is_made_anew_after_a_change(
    app: FastWorker, add: Any, memory: Memory, change: str
) -> None:
    add.delay(1, 2)
    CHANGES[change](app, add)
    add.delay(1, 2)
    assert memory.plans == 2
    assert memory.messages[1].queue == ("celery" if "link" in change else "other")


def test_fork_makes_plans_anew(add: Any) -> None:
    before = link.state.epoch
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(link.state.epoch).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert int(os.read(reading, 20)) == before + 1
    os.close(reading)
    os.close(writing)


LONG_ROADS: dict[str, dict[str, Any]] = {
    "a route function": {"task_routes": lambda *args, **kwargs: None},
    "compression": {"task_compression": "gzip"},
    "another serializer": {"task_serializer": "pickle"},
    "inherited priority": {"task_inherit_parent_priority": True},
}


@pytest.mark.parametrize("road", LONG_ROADS)
def test_long_road_is_taken_for(app: FastWorker, add: Any, memory: Memory, road: str) -> None:
    app.conf.update(LONG_ROADS[road])
    add.delay(1, 2)
    assert (memory.plans, len(memory.messages)) == (0, 1)


def test_replaced_json_is_respected(
    add: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "_custom", set())
    registry.register("json", lambda value: b'["mine"]', lambda data: data, "application/json")
    add.delay(1, 2)
    assert memory.messages[0].body == ["mine"]


def test_task_that_shadows_its_name_takes_the_long_road(app: FastWorker, memory: Memory) -> None:
    class Shadowed(app.Task):  # type: ignore[name-defined, misc]
        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return f"add-{args[0]}"

    app.task(base=Shadowed, name="proj.shadow", shared=False)(lambda x: x).delay(7)
    assert memory.messages[0].headers["shadow"] == "add-7"


class FakeLink:
    """A child's link that can be switched off."""

    def __init__(self, memory: Memory) -> None:
        self.is_usable = True
        self.publish = memory.publish


def test_child_publishes_through_its_link_while_it_is_usable(
    add: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeLink(memory)
    link.set_link(fake, add.app.broker.read_address)  # type: ignore[arg-type]
    try:
        add.delay(1, 2)
        add.publish((1, 2))
        assert memory.publishers == []
        fake.is_usable = False
        add.delay(1, 2)
        add.publish((1, 2))
        assert len(memory.publishers) == 1
    finally:
        link.set_link(None)
    assert len(memory.messages) == 4


def test_threads_share_one_connection(add: Any, memory: Memory) -> None:
    threads = [threading.Thread(target=add.delay, args=(n, 1)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(memory.publishers), len(memory.messages)) == (1, 4)


@pytest.mark.shows("verb map_async")
def test_map_async_publishes_one_call_an_item(app: FastWorker, memory: Memory) -> None:
    @app.task(name="proj.one", shared=False)
    def one(x: Any) -> Any:
        return x

    results = one.map_async(iter([(1, 2), "b", 3]))
    assert [m.body[0] for m in memory.messages] == [[[1, 2]], ["b"], [3]]
    assert [r.id for r in results] == [m.headers["id"] for m in memory.messages]
    assert (len(results), results[-1].id, len(results[1:])) == (
        3,
        memory.messages[2].headers["id"],
        2,
    )
    one.map_async([1, 2], queue="other")
    assert [m.queue for m in memory.messages[3:]] == ["other", "other"]


@pytest.mark.shows("verb starmap_async")
def test_starmap_async_names_the_bad_call(add: Any, memory: Memory) -> None:
    from fastworker.errors import EncodeError

    with pytest.raises(EncodeError, match="positional argument 2 of type 'object'"):
        add.starmap_async([(1, 2), (3, object())])
    assert len(memory.messages) == 1
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        add.starmap_async([(1,)])


@pytest.mark.shows("verb map_async", "verb starmap_async")
def test_bulk_with_options_is_published_in_batches_too(
    app: FastWorker, add: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    publish = memory.publish
    monkeypatch.setattr(
        memory, "publish", lambda messages: (sizes.append(len(messages)), publish(messages))
    )
    results = add.starmap_async(((n, 1) for n in range(600)), countdown=5, queue="q")
    assert sizes == [256, 256, 88]
    assert [message.headers["id"] for message in memory.messages] == list(results.ids())
    assert {message.queue for message in memory.messages} == {"q"}
    assert memory.messages[0].headers["eta"]


def test_bulk_publishes_what_came_before_a_bad_call(
    app: FastWorker, add: Any, memory: Memory
) -> None:
    with pytest.raises(TypeError):
        add.starmap_async([(1, 2), (3, 4, 5, 6)], queue="q")
    assert [message.body[0] for message in memory.messages] == [[1, 2]]
