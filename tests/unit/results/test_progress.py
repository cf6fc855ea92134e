"""How far the tasks of a group are."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fastworker import FastWorker, _core, states
from fastworker.results import progress_bar
from fastworker.results.bulk_result import BulkResult
from fastworker.results.progress import Pace, Progress
from fastworker.results.stream_ids import StreamIds
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


def store(app: FastWorker, ids: Any, failing: bool = False) -> None:
    for task_id in ids:
        if failing:
            app.backend.mark_as_failure(task_id, ValueError(task_id))
        else:
            app.backend.mark_as_done(task_id, 1)


def kinds(app: FastWorker, size: int) -> dict[str, Any]:
    seed = _core.new_id()
    members = StreamMembers(app, seed, size)
    return {
        "bulk": BulkResult(StreamIds(seed, range(size)), app),
        "stream": StreamResult("g", members),
        "group": app.GroupResult("g", list(members)),
    }


@pytest.mark.parametrize("kind", ["bulk", "stream", "group"])
def test_few_are_counted(real: FastWorker, kind: str) -> None:
    result = kinds(real, 20)[kind]
    ids = [one.id for one in result]
    store(real, ids[:7])
    store(real, ids[7:9], failing=True)
    real.backend.mark_as_started(ids[9])
    for seen in (result.progress(), asyncio.run(result.aprogress())):
        assert (seen.completed, seen.failed, seen.total) == (7, 2, 20)
        assert (seen.ended, seen.waiting, seen.fraction, seen.is_estimate) == (9, 11, 0.45, False)


@pytest.mark.parametrize("kind", ["bulk", "stream", "group"])
def test_many_are_estimated_from_two_round_trips(
    app: FastWorker, memory: Memory, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    size = 40_000
    result = kinds(app, size)[kind]
    ids = [one.id for one in result][:10_000]
    document = app.backend.document("x", 1, states.SUCCESS)
    memory.documents.update(dict.fromkeys(ids, document))
    asked: list[int] = []
    store = app.backend.store
    get_many = store.get_many
    monkeypatch.setattr(store, "get_many", lambda ids: (asked.append(len(ids)), get_many(ids))[1])
    seen = result.progress()
    assert asked == [1000, 1000]
    assert (seen.completed, seen.failed, seen.total, seen.is_estimate) == (10_000, 0, size, True)
    exact = result.progress(exact=True)
    assert (exact.completed, exact.is_estimate) == (10_000, False)


def test_a_group_in_a_group_counts_as_one(app: FastWorker) -> None:
    inner = app.GroupResult("inner", [app.AsyncResult("a"), app.AsyncResult("b")])
    outer = app.GroupResult("outer", [inner, app.AsyncResult("c")])
    store(app, ["a"])
    assert outer.progress().ended == 0
    store(app, ["b"], failing=True)
    seen = outer.progress()
    assert (seen.completed, seen.failed, seen.total) == (0, 1, 2)


def test_ignored_results_have_no_progress(app: FastWorker) -> None:
    bulk = BulkResult(StreamIds(_core.new_id(), range(3)), app, ignored=True)
    with pytest.raises(ValueError, match="ignore_result"):
        bulk.progress()


def test_the_rate_is_that_of_the_last_minute() -> None:
    pace = Pace(began=0.0)
    assert pace.rate(10.0, 100) == 10.0
    assert pace.rate(50.0, 500) == 10.0
    assert pace.rate(70.0, 620) == pytest.approx(520 / 60)
    assert pace.rate(200.0, 620) == pytest.approx(0)
    unknown = Pace()
    assert unknown.rate(5.0, 30) is None
    assert unknown.rate(6.0, 50) == 20.0


def test_the_end_is_told_from_the_rate() -> None:
    seen = Progress(completed=200, failed=50, total=1000, rate=25.0)
    assert (seen.seconds_left, seen.ends_at) == (30.0, seen.at + timedelta(seconds=30))
    assert str(seen) == "250 of 1,000 (25.0%), 50 failed, 25.0/s, 0:00:30 left"
    assert Progress(1, 0, 2).ends_at is None
    assert Progress(1, 0, 2, rate=1e-300).ends_at is None
    assert Progress(2, 0, 2).seconds_left == 0.0
    assert str(Progress(5, 0, 10, is_estimate=True)) == "about 5 of 10 (50.0%)"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["bulk", "stream", "group"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_is_drawn_in_a_terminal_only(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch, kind: str, is_terminal: bool
) -> None:
    screen = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    result = kinds(app, 3)[kind]
    ids = [one.id for one in result]
    store(app, ids[:2])
    store(app, ids[2:], failing=True)
    assert len(result.get(timeout=20, propagate=False, progress=True)) == 3
    if is_terminal:
        assert "3/3" in screen.getvalue()
        assert "1 failed" in screen.getvalue()
    else:
        assert screen.getvalue() == ""


def test_no_bar_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    with progress_bar.bar(False, 10) as shown:
        shown.step(False)
