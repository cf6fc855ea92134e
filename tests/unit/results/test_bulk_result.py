"""``BulkResult``: many results for 16 bytes each."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import TimeoutError
from fastworker.result import BulkResult
from tests.support.memory_core import Memory


@pytest.fixture
def bulk(app: FastWorker) -> BulkResult:
    return BulkResult(b"".join(uuid.UUID(int=n).bytes for n in range(2500)), app)


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
    assert bulk[-1] == str(uuid.UUID(int=2499))
    assert [r.id for r in bulk[1:3]] == [str(uuid.UUID(int=1)), str(uuid.UUID(int=2))]
    assert next(bulk.ids()) == str(uuid.UUID(int=0))
    assert sum(1 for _ in bulk) == 2500
    with pytest.raises(IndexError):
        bulk[2500]


def test_forget_removes_all(app: FastWorker, memory: Memory, bulk: BulkResult) -> None:
    finish(app, bulk, range(5))
    bulk.forget()
    assert memory.documents == {}


def test_ignored_results_are_none_at_once(app: FastWorker, bulk: BulkResult) -> None:
    assert BulkResult(uuid.UUID(int=1).bytes, app, ignored=True).join() == [None]
