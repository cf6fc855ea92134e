"""Groups of generators: nothing is kept of a long one."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from fastworker import FastWorker, chord, group
from fastworker.canvas.lazy import LazyList
from fastworker.result import GroupResult, StreamResult
from tests.support.memory_core import Memory

#: Members that are kept in these tests, and more than those.
KEPT, LONG = 500, 800


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("canvas.lazy", "canvas.group", "results.stream_members"):
        monkeypatch.setattr(import_module(f"fastworker.{module}"), "KEPT", KEPT)


@pytest.fixture
def add(app: FastWorker) -> Any:
    @app.task(name="proj.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    return add


@pytest.fixture
def total(app: FastWorker) -> Any:
    @app.task(name="proj.total", shared=False)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


class Watched:
    """Makes members, and counts how many of them are alive."""

    def __init__(self, add: Any, size: int) -> None:
        self._add = add
        self._size = size
        self._alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = 0

    def __iter__(self) -> Iterator[Any]:
        for number in range(self._size):
            sig = _Sig(self._add.s(number, 1))
            self._alive.add(sig)
            self.most = max(self.most, len(self._alive))
            yield sig


class _Sig(dict[str, Any]):
    """A signature as a plain mapping that can be watched."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def ids(memory: Memory) -> list[str]:
    return [message.headers["id"] for message in memory.messages]


def test_a_short_stream_is_a_group_like_any_other(add: Any, memory: Memory) -> None:
    some = group(add.s(n, n) for n in range(300))
    first, second = some.apply_async(), some.apply_async()
    assert type(first) is type(second) is add.app.GroupResult
    assert [result.id for result in first] + [result.id for result in second] == ids(memory)
    assert len(set(ids(memory))) == 600


@pytest.mark.parametrize("way", ["group", "chord", "pipe", "frozen", "agroup"])
def test_the_result_of_a_long_stream_knows_all_ids(
    add: Any, total: Any, memory: Memory, way: str
) -> None:
    members = group(add.s(n, 1) for n in range(LONG))
    if way == "group":
        result = members.apply_async()
    elif way == "chord":
        result = chord(members, total.s()).apply_async().parent
    elif way == "pipe":
        result = (members | total.s()).apply_async().parent
    elif way == "frozen":
        frozen = members.freeze()
        result = members.apply_async()
        assert frozen == result
    else:
        result = asyncio.run(members.aapply_async())
    assert isinstance(result, StreamResult)
    assert isinstance(result, GroupResult)
    assert len(result) == len(members) == LONG
    assert [one.id for one in result.results] == ids(memory)
    assert {message.headers["group"] for message in memory.messages} == {result.id}
    if way in ("chord", "pipe"):
        assert memory.chord_sizes == {result.id: LONG}


@pytest.mark.parametrize("way", ["group", "chord", "frozen"])
def test_members_are_let_go_of_as_they_are_published(
    add: Any, total: Any, memory: Memory, way: str
) -> None:
    watched = Watched(add, 3_000)
    members = group(iter(watched), app=add.app)
    if way == "frozen":
        members.freeze()
    gc.collect()
    (members if way != "chord" else chord(members, total.s())).apply_async()
    assert len(memory.messages) == 3_000
    assert watched.most < 2 * KEPT


def test_memory_of_the_client_does_not_grow(
    add: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "publish", lambda messages: None)

    def peak(size: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        result = group(add.s(n, 1) for n in range(size)).apply_async()
        assert len(result) == size
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak(300)
        once, twice = peak(2_000), peak(4_000)
    finally:
        tracemalloc.stop()
    assert twice < once * 1.05


def test_a_long_stream_is_read_only_once(add: Any, memory: Memory) -> None:
    members = group(add.s(n, 1) for n in range(LONG))
    members.apply_async()
    for again in (members.apply_async, lambda: list(members.tasks), lambda: members.tasks[0]):
        with pytest.raises(
            RuntimeError, match=f"{LONG} items or more was published .* make it anew"
        ):
            again()
    assert len(memory.messages) == LONG
    assert repr(members.tasks) == f"<LazyList: {LONG} items, not kept>"


def test_a_frozen_stream_grows_as_it_is_published(add: Any, memory: Memory) -> None:
    def members() -> Iterator[Any]:
        for number in range(LONG):
            if number == 600:
                totals.append(frozen.progress().total)
            yield add.s(number, 1)

    totals: list[int] = []
    some = group(members())
    frozen = some.freeze()
    assert frozen.progress().total <= 1  # the first has been read, for its application
    some.apply_async()
    assert totals == [pytest.approx(600, abs=2)]
    assert frozen.progress().total == LONG


def test_members_with_ids_of_their_own_and_groups_are_known(add: Any, memory: Memory) -> None:
    def members() -> Iterator[Any]:
        yield add.s(1, 1).set(task_id="mine")
        yield add.s(1, 1) | group(add.s(2), add.s(3))
        yield group(add.s(4, 4), add.s(5, 5))
        yield from (add.s(n, 1) for n in range(LONG))

    result = group(members()).apply_async()
    assert isinstance(result, StreamResult)
    assert len(result) == LONG + 4
    assert result[0].id == "mine"
    assert len(result[1].results) == 2
    assert [one.id for one in result[2:]] == ids(memory)[2:]


def test_ignored_results_are_known_to_be(app: FastWorker, memory: Memory) -> None:
    @app.task(name="proj.fire", shared=False, ignore_result=True)
    def fire(x: int) -> None: ...

    assert group(fire.s(n) for n in range(3)).apply_async().get(timeout=0) == [None] * 3
    long = group(fire.s(n) for n in range(LONG)).apply_async()
    assert list(long.iter_values(timeout=0)) == [None] * LONG


def test_a_stream_in_a_task_is_told_in_few_bytes(add: Any, memory: Memory) -> None:
    result = group(add.s(n, 1) for n in range(LONG)).apply_async()
    body = add.app.AsyncResult("body", parent=result)
    assert len(str(body.as_tuple())) < 300


def test_draining_keeps_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastworker.canvas.lazy.KEPT", 3)
    few, many = LazyList(iter("abc")), LazyList(iter("abcde"))
    assert list(few.drain()) == list(few) == list("abc")
    assert list(many.drain()) == list("abcde")
    assert (len(many), bool(many), many.is_complete) == (5, True, True)
    begun = LazyList(iter("abcdefg"))
    assert begun[5] == "f"
    assert list(begun.drain()) == list("abcdefg")
    for use in (
        lambda: list(many),
        lambda: many[0],
        lambda: many[-1],
        lambda: many[:],
        lambda: "a" in many,
        lambda: many.append("f"),
        lambda: many.map(str),
        lambda: next(many.drain()),
        lambda: many == [],
    ):
        with pytest.raises(RuntimeError, match="not kept"):
            use()
