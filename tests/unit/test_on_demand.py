"""The thread behind ``await``: it comes with work, serves any number of coroutines, and is gone after a fork."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fastworker import on_demand
from fastworker.app.batch_publisher import BatchPublisher
from fastworker.app.link import Envelope
from fastworker.errors import OperationalError
from fastworker.results.watcher import ResultWatcher

ENVELOPE: Envelope = ("q", 0, b"x")


class Store:
    """A result store in memory whose ``news`` waits on a condition."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.watched: set[str] = set()
        self.told: dict[str, bytes] = {}
        self.failures: list[Exception] = []
        self.looks = 0

    def get_many(self, task_ids: list[str]) -> list[bytes | None]:
        return [self.documents.get(task_id) for task_id in task_ids]

    def watch(self, task_ids: list[str]) -> None:
        self.watched.update(task_ids)

    def unwatch(self, task_ids: list[str]) -> None:
        for task_id in task_ids:
            self.watched.discard(task_id)
            self.told.pop(task_id, None)

    def news(self, timeout_s: float) -> list[tuple[str, bytes]]:
        self.looks += 1
        if self.failures:
            raise self.failures.pop()
        new = {
            task_id: self.documents[task_id]
            for task_id in self.watched
            if self.documents.get(task_id) not in (None, self.told.get(task_id))
        }
        self.told.update(new)
        return list(new.items())


def test_many_coroutines_publish_in_few_calls_on_one_thread() -> None:
    calls: list[tuple[int, str]] = []
    first = threading.Event()

    def publish(envelopes: list[Envelope]) -> None:
        calls.append((len(envelopes), threading.current_thread().name))
        first.wait(20)

    async def main() -> None:
        batches = BatchPublisher(publish)
        waiting = [asyncio.ensure_future(batches.publish([ENVELOPE])) for _ in range(100)]
        await asyncio.sleep(0)
        first.set()
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert sum(count for count, _ in calls) == 100
    assert len(calls) <= 3
    assert {name for _, name in calls} == {"fastworker-publish"}


def test_refused_publish_is_told_to_everyone_who_waits() -> None:
    def publish(envelopes: list[Envelope]) -> None:
        raise OperationalError("refused by the test")

    async def main() -> list[Any]:
        batches = BatchPublisher(publish)
        return await asyncio.gather(
            *(batches.publish([ENVELOPE]) for _ in range(3)), return_exceptions=True
        )

    assert [str(outcome) for outcome in asyncio.run(main())] == ["refused by the test"] * 3


def test_idle_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "_IDLE_S", 0.0)
    batches = BatchPublisher(lambda envelopes: None)
    asyncio.run(batches.publish([ENVELOPE]))
    thread = batches._thread._thread
    if thread is not None:
        thread.join(20)
    assert batches._thread._thread is None
    asyncio.run(batches.publish([ENVELOPE]))


def test_closed_loop_harms_nobody() -> None:
    released = threading.Event()
    published = threading.Event()

    def publish(envelopes: list[Envelope]) -> None:
        released.wait(20)
        published.set()

    batches = BatchPublisher(publish)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batches.publish([ENVELOPE]), 0.01)

    asyncio.run(give_up())
    released.set()
    assert published.wait(20)
    asyncio.run(batches.publish([ENVELOPE]))


def test_forked_process_has_threads_of_its_own() -> None:
    batches = BatchPublisher(lambda envelopes: None)
    asyncio.run(batches.publish([ENVELOPE]))
    batches._thread.after_fork()  # what os.register_at_fork calls in the child
    assert batches._thread._thread is None
    asyncio.run(batches.publish([ENVELOPE]))


def test_result_is_told_to_all_who_await_it() -> None:
    store = Store()
    watcher = ResultWatcher(lambda: store)

    async def main() -> list[bytes]:
        waits = [asyncio.ensure_future(watcher.change("a", None)) for _ in range(50)]
        waits.append(asyncio.ensure_future(watcher.change("b", b"old")))
        await asyncio.sleep(0)
        store.documents.update(a=b"1", b=b"new")
        first = await asyncio.gather(*waits)
        # Watched by somebody already: who joins is told what is there.
        other = asyncio.ensure_future(watcher.change("a", b"1"))
        while "a" not in store.watched:
            await asyncio.sleep(0)
        joined = await watcher.change("a", None)
        other.cancel()
        return [*first, joined]

    assert asyncio.run(main()) == [b"1"] * 50 + [b"new", b"1"]


def test_who_stops_waiting_is_not_watched_for() -> None:
    store = Store()
    watcher = ResultWatcher(lambda: store)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(watcher.change("never", None), 0.02)
        while "never" in store.watched:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert not watcher._waiting


def test_store_that_comes_back_in_time_is_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastworker.results.watcher._PAUSE_S", 0.0)
    store = Store()
    store.failures = [OperationalError("away")] * 3
    store.documents["a"] = b"1"
    watcher = ResultWatcher(lambda: store)
    assert asyncio.run(watcher.change("a", None)) == b"1"


def test_store_that_stays_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastworker.results.watcher._PAUSE_S", 0.0)
    monkeypatch.setattr("fastworker.results.watcher._PATIENCE_S", 0.0)
    store = Store()
    store.failures = [OperationalError("away")] * 1000
    with pytest.raises(OperationalError, match="away"):
        asyncio.run(ResultWatcher(lambda: store).change("a", None))


def test_store_that_cannot_be_opened_is_said_at_once() -> None:
    def no_store() -> Store:
        raise NotImplementedError("no result backend")

    with pytest.raises(NotImplementedError, match="no result backend"):
        asyncio.run(ResultWatcher(no_store).change("a", None))


def test_who_blocks_waits_as_coroutines_do() -> None:
    store = Store()
    watcher = ResultWatcher(lambda: store)
    assert watcher.wait("a", None, 0.0) is None
    threading.Timer(0.02, store.documents.update, kwargs={"a": b"1"}).start()
    assert watcher.wait("a", None, 20) == b"1"
    assert not watcher._waiting


def test_who_blocks_hears_that_the_store_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastworker.results.watcher._PAUSE_S", 0.0)
    monkeypatch.setattr("fastworker.results.watcher._PATIENCE_S", 0.0)
    store = Store()
    store.failures = [OperationalError("away")] * 1000
    with pytest.raises(OperationalError, match="away"):
        ResultWatcher(lambda: store).wait("a", None, 20)
