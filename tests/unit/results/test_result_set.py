"""Groups of results: few round trips, values in order, what is raised when, and what is remembered."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.errors import TimeoutError
from fastworker.result import EagerResult, GroupResult, ResultSet, result_from_tuple

STORES = ["memory", "sqlite", "redis"]


@pytest.fixture(params=STORES)
def app(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """An application on each of the real stores."""
    urls = {"memory": "cache+memory://", "sqlite": f"sqlite:///{tmp_path / 'results.db'}"}
    url = urls.get(request.param) or request.getfixturevalue("redis_url")
    with FastWorker("proj", broker="memory://", backend=url, set_as_current=False) as made:
        yield made


def some(app: FastWorker, count: int) -> GroupResult:
    results = [app.AsyncResult(_core.new_id()) for _ in range(count)]
    return app.GroupResult(_core.new_id(), results)  # type: ignore[no-any-return]


def finish(app: FastWorker, results: Sequence[Any], *, failing: int | None = None) -> None:
    for number, result in enumerate(results):
        if number == failing:
            app.backend.mark_as_failure(result.id, ValueError(number))
        else:
            app.backend.mark_as_done(result.id, number)


class Asked:
    """How often a store was asked for documents."""

    def __init__(self, app: FastWorker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        store = app.backend.store

        class Counting:
            def get_many(_, task_ids: Sequence[str]) -> Any:
                self.sizes.append(len(task_ids))
                return store.get_many(task_ids)

            def __getattr__(_, name: str) -> Any:
                return getattr(store, name)

        monkeypatch.setattr(app.backend._local, "store", Counting())


def test_many_that_are_there_cost_a_round_trip_a_thousand(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = some(app, 2500)
    finish(app, group.results)
    asked = Asked(app, monkeypatch)
    assert group.get(timeout=20) == list(range(2500))
    assert asked.sizes == [1000, 1000, 500]
    assert (group.ready(), group.successful(), group.completed_count()) == (True, True, 2500)
    assert asked.sizes == [1000, 1000, 500]  # final documents are asked for once


def test_ready_asks_no_further_than_the_first_that_is_not(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = some(app, 2500)
    asked = Asked(app, monkeypatch)
    assert (group.ready(), group.waiting(), group.failed()) == (False, True, False)
    assert asked.sizes == [1000, 1000, 1000, 1000, 500]


def test_what_comes_later_is_pushed(app: FastWorker) -> None:
    group = some(app, 300)
    finish(app, group.results[:100])
    came: list[str] = []

    def finish_the_rest() -> None:
        if not came or len(came) == 100:
            for number in reversed(range(100, 300)):
                app.backend.mark_as_done(group[number].id, number)

    values = group.get(timeout=20, interval=0.05, on_interval=finish_the_rest)
    assert values == list(range(300))


def test_the_first_failure_that_is_seen_is_raised_at_once(app: FastWorker) -> None:
    group = some(app, 5)
    finish(app, group.results[:3], failing=1)
    with pytest.raises(ValueError, match="1"):
        group.get(timeout=20)
    finish(app, group.results, failing=1)
    values = group.get(timeout=20, propagate=False)
    assert [type(v).__name__ for v in values] == ["int", "ValueError", "int", "int", "int"]
    assert (group.failed(), group.successful(), group.completed_count()) == (True, False, 4)


def test_time_is_for_all_together(app: FastWorker) -> None:
    group = some(app, 3)
    finish(app, group.results[:1])
    with pytest.raises(TimeoutError, match="2 results are missing"):
        group.get(timeout=0.05)


def test_callbacks_get_each_and_nothing_is_returned(app: FastWorker) -> None:
    group = some(app, 3)
    finish(app, group.results)
    seen: list[Any] = []
    assert group.get(timeout=20, callback=lambda *pair: seen.append(pair)) is None
    assert sorted(seen) == sorted((r.id, n) for n, r in enumerate(group.results))
    seen.clear()
    assert group.join(timeout=20, callback=lambda *pair: seen.append(pair)) == []
    assert seen == [(r.id, n) for n, r in enumerate(group.results)]
    assert {i for i, meta in group.iter_native() if meta["status"] == "SUCCESS"} == {
        r.id for r in group.results
    }


def test_groups_in_groups_keep_their_shape(app: FastWorker) -> None:
    inner, outer = some(app, 2), some(app, 1)
    outer.results.append(inner)
    outer.results.append(EagerResult("e", "eager", "SUCCESS"))
    finish(app, [outer[0], *inner.results])
    assert outer.get(timeout=20) == [0, [1, 2], "eager"]
    assert outer.completed_count() == 4


def test_a_saved_group_is_restored_and_deleted(app: FastWorker) -> None:
    group = some(app, 3)
    group.parent = app.AsyncResult("before")
    group.save()
    again = app.GroupResult.restore(group.id)
    assert again == group
    assert again.parent == group.parent
    again.delete()
    assert app.GroupResult.restore(group.id) is None


def test_forgetting_a_group_removes_every_document(app: FastWorker) -> None:
    group = some(app, 3)
    finish(app, group.results)
    assert group.get(timeout=20) == [0, 1, 2]
    group.forget()
    assert not any(result.exists() for result in group.results)
    assert not group.ready()


def test_trees_survive_tuples_and_pickle(app: FastWorker) -> None:
    group = some(app, 2)
    group.parent = app.AsyncResult("p")
    app.set_current()
    for again in (result_from_tuple(group.as_tuple(), app), pickle.loads(pickle.dumps(group))):
        assert (again.id, again.results, again.parent) == (group.id, group.results, group.parent)


def test_members_come_and_go(app: FastWorker) -> None:
    results = ResultSet([app.AsyncResult("a")], app=app)
    results.add(app.AsyncResult("a"))
    results.update([app.AsyncResult("a"), app.AsyncResult("b")])
    assert [r.id for r in results] == ["a", "b"]
    results.remove("a")
    results.discard("a")
    with pytest.raises(KeyError):
        results.remove("a")
    assert [r.id for r in results] == ["b"]
    results.clear()
    assert len(results) == 0


def test_then_is_called_once_somebody_knows(app: FastWorker) -> None:
    group = some(app, 2)
    seen: list[Any] = []
    group[0].then(seen.append)
    group.then(seen.append)
    finish(app, group.results[:1])
    assert group[0].get(timeout=20) == 0
    assert seen == [group[0]]
    finish(app, group.results)
    group.get(timeout=20)
    assert seen == [group[0], group]
    group.then(seen.append)
    assert len(seen) == 3


def test_coroutines_wait_for_groups(app: FastWorker) -> None:
    group, late = some(app, 50), some(app, 50)
    finish(app, group.results)

    async def run() -> tuple[Any, list[str]]:
        waiting = asyncio.ensure_future(late.aget(timeout=20))
        values = await group.aget(timeout=20)
        await asyncio.sleep(0)
        await asyncio.to_thread(finish, app, late.results, failing=None)
        order = [result.id async for result in late]
        assert await waiting == list(range(50))
        return values, order

    values, order = asyncio.run(run())
    assert values == list(range(50))
    assert sorted(order) == sorted(result.id for result in late.results)

    async def fail() -> None:
        broken = some(app, 3)
        await asyncio.to_thread(finish, app, broken.results[:2], failing=1)
        with pytest.raises(ValueError, match="1"):
            await broken.aget(timeout=20)
        with pytest.raises(TimeoutError, match="missing"):
            await some(app, 2).aget(timeout=0.01)

    asyncio.run(fail())


def after_a_header(app: FastWorker, count: int) -> tuple[Any, GroupResult]:
    """The result of a chord's body, and of its header."""
    header = some(app, count)
    return app.AsyncResult(_core.new_id(), parent=header), header


def test_the_result_of_a_chord_can_be_awaited(app: FastWorker) -> None:
    body, header = after_a_header(app, 3)
    # As of ``a | group | b``.
    header.parent = app.AsyncResult(_core.new_id())
    finish(app, [header.parent, *header.results, body])
    assert asyncio.run(body.aget(timeout=20)) == 4
    late, header = after_a_header(app, 3)

    async def fail() -> None:
        waiting = asyncio.ensure_future(late.aget(timeout=20))
        await asyncio.to_thread(finish, app, header.results, failing=2)
        with pytest.raises(ValueError, match="2"):
            await waiting

    asyncio.run(fail())


def test_a_header_is_looked_at_once_and_watched(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, header = after_a_header(app, 1_500)
    finish(app, header.results[:100])
    asked = Asked(app, monkeypatch)
    with pytest.raises(TimeoutError):
        body.get(timeout=0)
    assert asked.sizes == [1000], "its time was over then"
    asked.sizes.clear()

    def fail_one() -> None:
        app.backend.mark_as_failure(header[700].id, ValueError("one"))

    with pytest.raises(ValueError, match="one"):
        body.get(timeout=20, interval=0.05, on_interval=fail_one)
    assert asked.sizes == [900, 500]


def test_a_failed_step_ends_the_wait_for_those_after_it_at_once(app: FastWorker) -> None:
    first, last = app.AsyncResult(_core.new_id()), app.AsyncResult(_core.new_id())
    last.parent = app.AsyncResult(_core.new_id(), parent=first)
    messages: list[Any] = []
    began = threading.Event()

    def fail() -> None:
        began.wait(20)
        app.backend.mark_as_started(last.id)
        app.backend.mark_as_failure(first.id, ValueError("first"))

    failing = threading.Thread(target=fail)
    failing.start()
    started = time.monotonic()
    began.set()
    with pytest.raises(ValueError, match="first"):
        last.get(timeout=60, interval=1800, on_message=messages.append)
    failing.join()
    assert time.monotonic() - started < 20
    assert {message["task_id"] for message in messages} <= {last.id}


def test_ready_results_are_there_however_short_the_time(app: FastWorker) -> None:
    group = some(app, 50)
    finish(app, group.results)
    fresh = app.GroupResult(group.id, [app.AsyncResult(result.id) for result in group])
    single = app.AsyncResult(group[7].id)

    async def run() -> None:
        assert await single.aget(timeout=0) == 7
        assert await fresh.aget(timeout=0) == list(range(50))
        mixed = app.ResultSet([app.AsyncResult(group[1].id), app.AsyncResult(_core.new_id())])
        with pytest.raises(TimeoutError, match="1 results are missing"):
            await mixed.aget(timeout=0)

    asyncio.run(run())


def test_waits_of_one_thread_share_the_news(app: FastWorker) -> None:
    first, second = some(app, 3), some(app, 2)
    shared = app.AsyncResult(second[0].id)
    both = app.ResultSet([*first, shared])
    seen = []
    waiting = iter(both.iter_native(timeout=20))

    def finish_all() -> None:
        finish(app, [*first.results, *second.results])

    finish(app, first.results[:1])
    seen.append(next(waiting)[0])
    app.backend.mark_as_done(first[1].id, 1)
    seen.append(next(waiting)[0])  # now it watches
    assert second.get(timeout=20, interval=0.01, on_interval=finish_all) == [3, 4]
    assert app.ResultSet([shared]).get(timeout=20) == [3], "is watched, and was told before"
    seen += [task_id for task_id, _ in waiting]
    assert sorted(seen) == sorted(result.id for result in both)


def test_nothing_is_watched_when_nobody_waits(app: FastWorker) -> None:
    group = some(app, 3)
    finish(app, group.results[:1], failing=0)
    waiting = group.iter_native(timeout=20)
    assert next(waiting)[0] == group[0].id
    with pytest.raises(ValueError, match="0"):
        group.get(timeout=20)
    waiting.close()
    with pytest.raises(TimeoutError):
        some(app, 2).get(timeout=0.05)
    assert app.backend.store.news(0) == []
    assert app.backend.shared_news._waits == {}


@pytest.mark.parametrize("of", ["one", "group"])
def test_on_interval_is_called_while_documents_come(app: FastWorker, of: str) -> None:
    group = some(app, 1)
    ticks: list[int] = []
    states = iter(range(1_000_000))

    def report(_: Any) -> None:
        if ticks:
            app.backend.mark_as_done(group[0].id, "done")
        else:
            app.backend.store_result(group[0].id, {"at": next(states)}, "PROGRESS")

    report(None)
    waited: Any = group[0] if of == "one" else group
    value = waited.get(
        timeout=20, interval=0.05, on_message=report, on_interval=lambda: ticks.append(1)
    )
    assert value == ("done" if of == "one" else ["done"])
    assert len(ticks) >= 1


def test_then_is_called_once_and_guarded(app: FastWorker) -> None:
    result = app.AsyncResult(_core.new_id())
    twice = app.ResultSet([result, result])
    called: list[Any] = []
    twice.then(called.append)
    finish(app, [result])
    assert twice.get(timeout=20) == [0, 0]
    assert called == [twice]
    errors: list[BaseException] = []

    def broken(_: Any) -> None:
        raise KeyError("broken")

    twice.then(broken, on_error=errors.append)
    assert [repr(error) for error in errors] == ["KeyError('broken')"]
