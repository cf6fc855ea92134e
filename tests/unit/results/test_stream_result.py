"""``StreamResult``: the result of a long stream."""

from __future__ import annotations

import asyncio
import pickle
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.errors import TimeoutError
from fastworker.result import GroupResult, result_from_tuple
from fastworker.results.stream_members import StreamMembers
from fastworker.results.stream_result import StreamResult
from tests.support.memory_core import Memory


@pytest.fixture
def real() -> Iterator[FastWorker]:
    """An application whose store is the one in memory, which can wait."""
    with FastWorker(
        "proj", broker="memory://", backend="cache+memory://", set_as_current=False
    ) as made:
        yield made


def stream(app: FastWorker, size: int) -> StreamResult:
    return StreamResult("g", StreamMembers(app, _core.new_id(), size))


def finish(app: FastWorker, result: Any, failing: int | None = None) -> None:
    for place, member in enumerate(result):
        if place == failing:
            app.backend.mark_as_failure(member.id, ValueError(str(place)))
        else:
            app.backend.mark_as_done(member.id, place)


def test_ids_are_made_of_the_seed(app: FastWorker) -> None:
    members = StreamMembers(app, _core.new_id(), 3)
    expected = [str(uuid.uuid5(uuid.UUID(members.seed), str(place))) for place in range(3)]
    assert [member.id for member in members] == expected
    assert [members[place].id for place in (0, 1, 2, -1)] == [*expected, expected[-1]]
    assert [member.id for member in members[1:]] == expected[1:]
    with pytest.raises(IndexError, match="member 3 of a stream of 3"):
        members[3]


def test_members_of_another_making_are_kept(app: FastWorker) -> None:
    members = StreamMembers(app)
    own = app.AsyncResult(members.next_id())
    members.take(own)
    members.take(app.AsyncResult("mine"))
    inner = app.GroupResult("inner", [app.AsyncResult("a"), app.AsyncResult("b")])
    members.take(inner)
    members.take(app.AsyncResult(members.next_id()))
    assert [member.id for member in members][:3] == [own.id, "mine", "inner"]
    assert members.has_groups
    assert members[3].id == str(uuid.uuid5(uuid.UUID(members.seed), "3"))


def test_values_come_in_order_and_in_memory_of_a_thousand(app: FastWorker) -> None:
    result = stream(app, 2500)
    finish(app, result)
    assert result.get(timeout=20) == list(range(2500))
    assert list(result.iter_values(timeout=20)) == list(range(2500))
    told: list[Any] = []
    assert result.join(timeout=20, callback=lambda task_id, value: told.append(value)) == []
    assert told == list(range(2500))
    assert sorted(meta["result"] for _, meta in result.iter_native(timeout=20)) == told
    assert (result.ready(), result.successful(), result.completed_count()) == (True, True, 2500)


def test_a_failure_is_raised_or_given(app: FastWorker) -> None:
    result = stream(app, 1200)
    finish(app, result, failing=1100)
    with pytest.raises(ValueError, match="1100"):
        result.get(timeout=20)
    values = result.get(timeout=20, propagate=False)
    assert (values[1099], repr(values[1100])) == (1099, "ValueError('1100')")
    assert (result.failed(), result.successful()) == (True, False)
    with pytest.raises(ValueError, match="1100"):
        result.maybe_throw()


def test_time_is_for_all_together(real: FastWorker) -> None:
    result = stream(real, 1500)
    finish(real, result.results[:1200])
    values = result.iter_values(timeout=0)
    assert [next(values) for _ in range(1200)] == list(range(1200))
    with pytest.raises(TimeoutError):
        next(values)


def test_coroutines_wait_for_it(real: FastWorker) -> None:
    result = stream(real, 1200)
    finish(real, result)

    async def run() -> None:
        assert await result.aget(timeout=20) == list(range(1200))
        assert [value async for value in result.aiter_values(timeout=20)] == list(range(1200))
        assert sorted([each.result async for each in result]) == list(range(1200))

    asyncio.run(run())


def test_what_is_stored_of_it_does_not_grow(app: FastWorker, memory: Memory) -> None:
    result = stream(app, 10_000_000)
    result.save()
    assert len(memory.groups["g"]) < 300
    restored = app.GroupResult.restore("g")
    assert isinstance(restored, StreamResult)
    assert isinstance(restored, GroupResult)
    assert restored == result
    assert restored[9_999_999].id == result[-1].id
    again = result_from_tuple(result.as_tuple(), app)
    assert again.results == result.results


def test_kept_members_travel_too(app: FastWorker) -> None:
    members = StreamMembers(app)
    members.take(app.GroupResult("inner", [app.AsyncResult("a"), app.AsyncResult("b")]))
    members.take(app.AsyncResult(members.next_id()))
    travelled = _core.loads(_core.dumps((("g", None), members.stored())))
    stored = result_from_tuple(travelled, app)
    assert [member.id for member in stored.results] == [member.id for member in members]
    assert [inner.id for inner in stored.results[0]] == ["a", "b"]


def test_a_frozen_stream_that_is_short_is_stored_in_celerys_form(app: FastWorker) -> None:
    members = StreamMembers(app, size=2)
    ids = [member.id for member in members]
    assert StreamResult("g", members).as_tuple() == (
        ("g", None),
        [((task_id, None), None) for task_id in ids],
    )


def test_it_is_pickled_as_little(app: FastWorker) -> None:
    app.set_current()
    pickled = pickle.dumps(stream(app, 10_000_000))
    assert len(pickled) < 500
    assert len(pickle.loads(pickled)) == 10_000_000


def test_what_cannot_be_said_of_many_is_refused(app: FastWorker) -> None:
    result = stream(app, 60_000)
    with pytest.raises(TypeError, match=r"chord\(members, body\)"):
        result.then(print)
    with pytest.raises(ValueError, match="revoke_by_stamped_headers"):
        result.revoke()
    assert repr(result) == "<StreamResult: g of 60000>"
    with pytest.raises(ValueError, match="fastworker stream"):
        result_from_tuple((("g", None), {"unknown": 1}), app)


def test_forget_removes_all(app: FastWorker, memory: Memory) -> None:
    result = stream(app, 1500)
    finish(app, result)
    result.forget()
    assert memory.documents == {}


def test_who_waits_for_what_follows_does_not_look_at_each(app: FastWorker) -> None:
    body = app.AsyncResult(_core.new_id())
    body.parent = stream(app, 10_000_000)
    app.backend.mark_as_done(body.id, 5)
    assert body.get(timeout=20) == 5
