"""Backpressure: publishing of a stream waits while a queue is as long as its bound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fastworker import FastWorker, group
from fastworker.app import queue_room
from fastworker.app.queue_room import QueueRoom, bound_of
from tests.support.memory_core import Memory


@pytest.fixture
def double(app: FastWorker) -> Any:
    @app.task(name="proj.double", shared=False)
    def double(x: int) -> int:
        return 2 * x

    return double


class Consumer:
    """Takes ``each`` messages whenever a publisher looks at the queue, and notes how long it was."""

    def __init__(self, memory: Memory, each: int) -> None:
        self.memory = memory
        self.each = each
        self.lengths: list[int] = []
        self.taken: list[int] = []
        memory.on_depth = self.look

    def look(self, queue: str) -> None:
        self.lengths.append(len(self.memory.messages))
        self.taken += [message.body[0][0] for message in self.memory.messages[: self.each]]
        del self.memory.messages[: self.each]


def numbers(memory: Memory, consumer: Consumer) -> list[int]:
    return consumer.taken + [message.body[0][0] for message in memory.messages]


@pytest.mark.parametrize("way", ["map", "options", "group", "amap", "agroup"])
def test_a_queue_gets_no_longer_than_the_bound(double: Any, memory: Memory, way: str) -> None:
    consumer = Consumer(memory, 7)

    def calls() -> Iterator[Any]:
        return (double.s(n) for n in range(300))

    if way == "map":
        double.map_async(range(300), max_queue_length=20)
    elif way == "options":
        double.map_async(range(300), max_queue_length=20, priority=3)
    elif way == "group":
        group(calls()).apply_async(max_queue_length=20)
    elif way == "amap":
        asyncio.run(double.amap_async(range(300), max_queue_length=20))
    else:
        asyncio.run(group(calls()).aapply_async(max_queue_length=20))
    assert max(consumer.lengths) == 20
    assert numbers(memory, consumer) == list(range(300))


def test_a_list_of_members_waits_only_when_asked_to(double: Any, memory: Memory) -> None:
    double.app.conf.task_stream_max_queue_length = 10
    consumer = Consumer(memory, 5)
    group([double.s(n) for n in range(50)]).apply_async()
    assert consumer.lengths == []
    del memory.messages[:]
    group([double.s(n) for n in range(50)]).apply_async(max_queue_length=10)
    assert max(consumer.lengths) == 10


def test_the_setting_bounds_streams_and_zero_lifts_it(double: Any, memory: Memory) -> None:
    double.app.conf.task_stream_max_queue_length = 10
    consumer = Consumer(memory, 5)
    double.map_async(range(50))
    assert max(consumer.lengths) == 10
    consumer.lengths.clear()
    double.map_async(range(50), max_queue_length=0)
    group(double.s(n) for n in range(50)).apply_async(max_queue_length=0)
    assert consumer.lengths == []


def test_a_short_stream_costs_no_look(double: Any, memory: Memory) -> None:
    consumer = Consumer(memory, 0)
    double.map_async(range(1000))
    assert (len(memory.messages), consumer.lengths) == (1000, [])


def test_the_end_of_a_stream_does_not_wait_for_room(double: Any, memory: Memory) -> None:
    looks: list[str] = []
    memory.on_depth = looks.append
    assert len(double.map_async(range(20), max_queue_length=20)) == 20
    assert looks == ["celery"]


def test_each_queue_has_a_room_of_its_own(double: Any, memory: Memory) -> None:
    looked: list[str] = []

    def look(queue: str) -> None:
        looked.append(queue)
        memory.messages[:] = [one for one in memory.messages if one.queue != queue]

    memory.on_depth = look
    members = (double.s(n).set(queue="odd" if n % 2 else "even") for n in range(40))
    group(members).apply_async(max_queue_length=8)
    assert set(looked) == {"odd", "even"}
    assert len({message.queue for message in memory.messages}) == 2


@pytest.mark.parametrize("given", [-1, 1.5, "many", True])
def test_a_bound_that_is_none_is_refused_before_anything_leaves(
    double: Any, memory: Memory, given: Any
) -> None:
    for publish in (
        lambda: double.map_async(range(3), max_queue_length=given),
        lambda: group(double.s(n) for n in range(3)).apply_async(max_queue_length=given),
    ):
        with pytest.raises(ValueError, match="expected a number of messages, or 0"):
            publish()
    assert memory.messages == []


def test_in_a_task_only_a_bound_of_the_call_holds(
    app: FastWorker, double: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_room, "get_current_worker_task", lambda: double)
    assert bound_of(app, None) is None
    assert bound_of(app, 5) == 5


def test_a_queue_that_nobody_consumes_is_told_of_once(
    app: FastWorker, memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(queue_room, "_PATIENCE_S", 0.0)
    lengths = iter([9, 9, 9, 9, 2])
    room = QueueRoom(app, 5)
    monkeypatch.setattr(room, "_depth", lambda queue, policy: next(lengths))
    with caplog.at_level(logging.WARNING):
        assert room.take("q", 10, None) == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'q' has 9 messages" in caplog.text
