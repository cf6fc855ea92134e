"""``BulkResult``: many results, whose ids nobody keeps."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import TimeoutError
from fastworker.result import BulkResult, ChunkedResult
from fastworker.results.stream_ids import StreamIds
from tests.support.memory_core import Memory

SEED = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def real() -> Iterator[FastWorker]:
    """An application whose store is the one in memory, which can wait."""
    with FastWorker(
        "proj", broker="memory://", backend="cache+memory://", set_as_current=False
    ) as made:
        yield made


@pytest.fixture
def bulk(app: FastWorker) -> BulkResult:
    return BulkResult(StreamIds(SEED, range(2500)), app)


def id_of(place: int) -> str:
    return str(uuid.uuid5(uuid.UUID(SEED), str(place)))


def finish(app: FastWorker, bulk: BulkResult, numbers: Any) -> None:
    for number in numbers:
        app.backend.store_result(bulk[number].id, number, "SUCCESS")


def test_join_returns_values_in_order_whatever_the_order_of_arrival(
    app: FastWorker, memory: Memory, bulk: BulkResult
) -> None:
    finish(app, bulk, range(1, 2500, 2))
    waits: list[str] = []

    def arrive(task_id: str) -> None:
        waits.append(task_id)
        finish(app, bulk, range(0, 2500, 2))

    memory.on_wait = arrive
    assert bulk.join(timeout=30) == list(range(2500))
    assert waits == [bulk[0].id]


def test_values_are_given_as_soon_as_they_are_there(app: FastWorker, bulk: BulkResult) -> None:
    finish(app, bulk, range(10))
    values = bulk.iter_values(timeout=0)
    assert [next(values) for _ in range(10)] == list(range(10))
    with pytest.raises(TimeoutError, match="join operation timed out"):
        next(values)


def test_failure_is_raised_or_given(app: FastWorker, bulk: BulkResult) -> None:
    three = bulk[:3]
    finish(app, bulk, (0, 2))
    app.backend.store_result(three[1].id, KeyError("x"), "FAILURE")
    with pytest.raises(KeyError):
        three.join()
    values = three.join(propagate=False)
    assert (values[0], repr(values[1]), values[2]) == (0, "KeyError('x')", 2)
    assert (three.ready(), three.successful(), three.completed_count()) == (True, False, 2)


def test_bulk_is_a_sequence(bulk: BulkResult) -> None:
    assert len(bulk) == 2500
    assert bulk[-1] == id_of(2499)
    assert [r.id for r in bulk[1:3]] == [id_of(1), id_of(2)]
    assert next(bulk.ids()) == id_of(0)
    assert sum(1 for _ in bulk) == 2500
    with pytest.raises(IndexError):
        bulk[2500]


def test_forget_removes_all(app: FastWorker, memory: Memory, bulk: BulkResult) -> None:
    finish(app, bulk, range(5))
    bulk.forget()
    assert memory.documents == {}


def test_ignored_results_are_none_at_once(app: FastWorker, bulk: BulkResult) -> None:
    assert BulkResult(StreamIds(SEED, range(1)), app, ignored=True).join() == [None]


def test_parts_are_parts_of_the_same_calls(bulk: BulkResult) -> None:
    part = bulk[10:2000:7][::-1][3:5]
    assert [result.id for result in part] == [bulk[1998 - 3 * 7].id, bulk[1998 - 4 * 7].id]
    assert list(bulk.ids()) == [id_of(place) for place in range(2500)]


def test_coroutines_get_the_values_in_order(real: FastWorker) -> None:
    bulk = BulkResult(StreamIds(SEED, range(2500)), real)
    finish(real, bulk, range(2500))

    async def run() -> None:
        assert await bulk.aget(timeout=20) == list(range(2500))
        assert [value async for value in bulk[5:8].aiter_values()] == [5, 6, 7]

    asyncio.run(run())


def test_values_of_chunks_are_given_one_by_one(app: FastWorker) -> None:
    chunked = ChunkedResult(StreamIds(SEED, range(3)), app, chunksize=4, calls=10)
    app.backend.store_result(chunked[0].id, [0, 1, 2, 3], "SUCCESS")
    app.backend.store_result(chunked[1].id, KeyError("x"), "FAILURE")
    app.backend.store_result(chunked[2].id, [8, 9], "SUCCESS")
    values = chunked.join(propagate=False)
    assert [value for value in values if isinstance(value, int)] == [0, 1, 2, 3, 8, 9]
    assert [repr(value) for value in values[4:8]] == ["KeyError('x')"] * 4
    with pytest.raises(KeyError):
        chunked.get()
    seen = chunked.progress()
    assert (seen.completed, seen.failed, seen.total) == (6, 4, 10)
    with pytest.raises(TypeError, match="cannot be sliced"):
        chunked[1:]
