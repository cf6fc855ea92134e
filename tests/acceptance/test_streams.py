"""Streams with a real worker on each broker: many calls, of which nobody keeps any."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fastworker.canvas import chord, group
from fastworker.result import ChunkedResult, StreamResult
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="Celery has no streams")

TIMEOUT_S = 60
#: More than are kept of a generator's members.
LONG = 10_500


@pytest.fixture
def rig(running: Rig) -> Rig:
    return running


@pytest.mark.shows("verb progress")
def test_the_values_of_a_long_stream_come_in_order(rig: Rig) -> None:
    add = rig.task("add")
    result = group(add.s(n, n) for n in range(LONG)).apply_async()
    assert isinstance(result, StreamResult)
    expected = [2 * n for n in range(LONG)]
    assert list(result.iter_values(timeout=TIMEOUT_S)) == expected
    result.save()
    restored = rig.app.GroupResult.restore(result.id)
    assert restored.get(timeout=TIMEOUT_S) == expected
    seen = restored.progress()
    assert (seen.completed, seen.failed, seen.total) == (LONG, 0, LONG)
    assert restored.successful()


def test_a_chord_over_a_long_stream_is_joined(rig: Rig) -> None:
    add, total = rig.task("add"), rig.task("total")
    result = chord((add.s(n, 1) for n in range(LONG)), total.s()).apply_async()
    assert result.get(timeout=TIMEOUT_S) == sum(range(LONG)) + LONG
    assert isinstance(result.parent, StreamResult)
    assert result.parent[LONG - 1].get(timeout=TIMEOUT_S) == LONG


@pytest.mark.shows("verb map_async", "verb starmap_async")
def test_chunks_of_calls_share_a_message_and_give_their_values_one_by_one(rig: Rig) -> None:
    result = rig.task("add").starmap_async(((n, n) for n in range(100)), chunksize=30)
    assert isinstance(result, ChunkedResult)
    assert (len(result), result.calls) == (4, 100)
    assert result.get(timeout=TIMEOUT_S) == [2 * n for n in range(100)]
    assert result[3].get(timeout=TIMEOUT_S) == [2 * n for n in range(90, 100)]
    lengths = rig.task("length").map_async(["a", "bb", "ccc"], 2)
    assert lengths.get(timeout=TIMEOUT_S) == [1, 2, 3]


@pytest.mark.shows("verb amap_async", "verb astarmap_async")
def test_coroutines_publish_what_they_have_to_await(rig: Rig) -> None:
    async def words() -> AsyncIterator[str]:
        for word in ("a", "bb", "ccc"):
            await asyncio.sleep(0)
            yield word

    async def run() -> list[Any]:
        plain = await rig.task("length").amap_async(words())
        chunked = await rig.task("length").amap_async(words(), chunksize=2)
        pairs = await rig.task("add").astarmap_async((n, n) for n in range(600))
        return [await one.aget(timeout=TIMEOUT_S) for one in (plain, chunked, pairs)]

    assert asyncio.run(run()) == [[1, 2, 3], [1, 2, 3], [2 * n for n in range(600)]]


@pytest.mark.parametrize("way", ["map", "group", "amap", "agroup"])
@pytest.mark.shows("setting task_stream_max_queue_length")
def test_publishing_waits_for_the_workers(rig: Rig, way: str) -> None:
    """Nobody consumes the queue until the publisher is known to wait."""
    add, queue = rig.task("add"), f"later_{way}"
    bound, calls = 50, 400
    given: list[int] = []
    results: list[Any] = []

    def numbers() -> Iterator[int]:
        for number in range(calls):
            given.append(number)
            yield number

    def publish() -> None:
        options: dict[str, Any] = {"max_queue_length": bound}
        pairs = ((n, n) for n in numbers())
        members = group(add.s(n, n).set(queue=queue) for n in numbers())
        if way == "map":
            results.append(add.starmap_async(pairs, queue=queue, **options))
        elif way == "amap":
            results.append(asyncio.run(add.astarmap_async(pairs, queue=queue, **options)))
        elif way == "group":
            results.append(members.apply_async(**options))
        else:
            results.append(asyncio.run(members.aapply_async(**options)))

    publisher = threading.Thread(target=publish)
    publisher.start()
    depth = rig.app.publishing.publisher.depth
    wait_until(lambda: depth(queue) == bound, what="a full queue")
    assert publisher.is_alive(), "it waits"
    assert len(given) <= 256 + 1, "a batch is read ahead"
    rig.worker("-Q", queue)
    publisher.join(TIMEOUT_S)
    assert results[0].get(timeout=TIMEOUT_S) == [2 * n for n in range(calls)]
