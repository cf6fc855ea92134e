"""Workflows with a real worker on each broker, and with Celery's when the suite runs against it."""

from __future__ import annotations

import importlib

import pytest

from tests.support.rig import PRODUCT, Rig

canvas = importlib.import_module(f"{PRODUCT}.canvas")

TIMEOUT_S = 20


def test_a_group_gives_the_results_of_its_members(running: Rig) -> None:
    add = running.task("add")
    result = canvas.group(add.s(i, i) for i in range(10)).apply_async()
    assert result.get(timeout=TIMEOUT_S) == [2 * i for i in range(10)]
    assert (result.completed_count(), result.successful(), len(result)) == (10, True, 10)


@pytest.mark.shows("verb progress")
@pytest.mark.skipif(PRODUCT != "fastworker", reason="Celery has none")
def test_a_group_tells_how_far_it_is(running: Rig) -> None:
    add, fail = running.task("add"), running.task("fail")
    result = canvas.group(add.s(1, 1), add.s(2, 2), fail.s("no")).apply_async()
    assert len(result.get(timeout=TIMEOUT_S, propagate=False, progress=True)) == 3
    seen = result.progress()
    assert (seen.completed, seen.failed, seen.total, seen.waiting) == (2, 1, 3, 0)


def test_a_chain_may_end_in_a_group(running: Rig) -> None:
    add = running.task("add")
    result = (add.s(1, 1) | canvas.group(add.s(10), add.s(20) | add.s(1))).apply_async()
    assert result.get(timeout=TIMEOUT_S) == [12, 23]
    assert result.parent.get(timeout=TIMEOUT_S) == 2


def test_several_callbacks_all_run(running: Rig) -> None:
    add = running.task("add")
    callbacks = [add.s(10), add.s(20)]
    results = [callback.freeze() for callback in callbacks]
    add.apply_async((1, 1), link=callbacks)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [12, 22]


@pytest.mark.shows("verb map")
def test_map_calls_the_task_for_each_item(running: Rig) -> None:
    result = running.task("length").map(["a", "bb", "ccc"]).delay()
    assert result.get(timeout=TIMEOUT_S) == [1, 2, 3]


@pytest.mark.shows("verb starmap")
def test_starmap_calls_the_task_with_each_items_arguments(running: Rig) -> None:
    assert running.task("add").starmap([(1, 2), (3, 4)]).delay().get(timeout=TIMEOUT_S) == [3, 7]


@pytest.mark.shows("verb chunks")
def test_chunks_are_a_group_of_calls(running: Rig) -> None:
    result = running.task("add").chunks([(i, i) for i in range(5)], 2)()
    assert result.get(timeout=TIMEOUT_S) == [[0, 2], [4, 6], [8]]


def test_a_group_that_a_task_published_is_its_child(running: Rig) -> None:
    result = running.task("begin_group").delay(3)
    assert result.get(timeout=TIMEOUT_S) is None
    (child,) = result.children
    assert child.get(timeout=TIMEOUT_S) == [0, 2, 4]
    collected = [value for _, value in result.collect()]
    assert collected == [None, [0, 2, 4], 0, 2, 4]
