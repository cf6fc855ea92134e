"""What the rivals' processes share: marks, tasks, and the program that publishes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker.bench.rivals.adapters.rival_apps.marks import Marks, create
from fastworker.bench.rivals.stage import most_at_once

Import = Callable[[str], Any]


def test_marks_of_another_process_are_seen(tmp_path: Path) -> None:
    marks = create(tmp_path / "marks", 10)
    child = os.fork()
    if child == 0:
        own = Marks(tmp_path / "marks")
        own.begin(3)
        own.end(3)
        own.begin(3)
        os._exit(0)
    os.waitpid(child, 0)
    assert (marks.starts[3], marks.ends[3]) == (2, 1)
    assert marks.began[3] > 0
    assert sum(marks.starts) == 2
    assert marks.capacity == 10


def test_a_mark_counts_no_further_than_a_byte(tmp_path: Path) -> None:
    marks = create(tmp_path / "marks", 1)
    for _ in range(300):
        marks.end(0)
    assert marks.ends[0] == 255


def test_every_task_marks_its_call(adapter: Import) -> None:
    tasks = adapter("tasks")
    arguments = {"noop": [], "echo": ["text"], "sleep": [0.0], "spin": [0.0]}
    assert tasks.BLOCKING.keys() == tasks.COROUTINES.keys() == arguments.keys()
    for number, (name, rest) in enumerate(arguments.items()):
        said = tasks.BLOCKING[name](number, *rest)
        assert asyncio.run(tasks.COROUTINES[name](number, *rest)) == said
        assert said == ("text" if name == "echo" else None)
        assert (tasks.marks.starts[number], tasks.marks.ends[number]) == (2, 2)
        assert tasks.marks.began[number] <= tasks.marks.ended[number]


def sync_client() -> tuple[SimpleNamespace, list[tuple[str, Any]]]:
    """An adapter with a bulk call, and what was sent."""
    sent: list[tuple[str, Any]] = []
    return (
        SimpleNamespace(
            send=lambda task, call: sent.append((task, call)),
            send_many=lambda task, calls: sent.append((f"{task}s", list(calls))),
        ),
        sent,
    )


def test_a_load_is_published_one_by_one_and_then_in_bulk(adapter: Import) -> None:
    publish = adapter("publish")
    fake, sent = sync_client()
    order = {"task": "echo", "rest": ["x"], "first": 5, "count": 9}
    said = publish._run(publish.publish(publish.Client(fake), order))
    # The first connects; half of the others go one by one.
    assert [call for name, call in sent if name == "echo"] == [[n, "x"] for n in range(5, 10)]
    assert sent[-1] == ("echos", [[n, "x"] for n in range(10, 14)])
    assert (said["one"], said["many"]) == (4, 4)


def test_without_a_bulk_call_all_go_one_by_one(adapter: Import) -> None:
    publish = adapter("publish")
    fake, sent = sync_client()
    del fake.send_many
    order = {"task": "noop", "rest": [], "first": 0, "count": 9}
    said = publish._run(publish.publish(publish.Client(fake), order))
    assert [call for _, call in sent] == [[number] for number in range(9)]
    assert (said["one"], said["many"]) == (8, 0)


def test_a_client_that_is_awaited_sends_many_at_once(adapter: Import) -> None:
    publish = adapter("publish")
    sent: list[int] = []
    waiting = most = 0

    @asynccontextmanager
    async def client() -> AsyncIterator[None]:
        sent.append(-1)
        yield
        sent.append(-2)

    async def send(task: str, call: Sequence[Any]) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0)
        waiting -= 1
        sent.append(call[0])

    fake = SimpleNamespace(client=client, send=send)
    order = {"task": "noop", "rest": [], "first": 0, "count": 301}
    said = asyncio.run(publish.publish(publish.Client(fake), order))
    assert (sent[0], sent[-1], sorted(sent[1:-1])) == (-1, -2, list(range(301)))
    assert most == 100
    assert said["one"] + said["many"] == 300


def test_paced_calls_have_their_moments(adapter: Import, tmp_path: Path) -> None:
    publish = adapter("publish")
    fake, sent = sync_client()
    order = {"task": "noop", "rest": [], "first": 20, "count": 15, "rate": 10_000.0}
    said = publish._run(publish.publish(publish.Client(fake), order))
    assert [call for _, call in sent] == [[number] for number in range(20, 35)]
    due = Marks(tmp_path / "marks").due
    assert all(due[number] == 0 for number in range(20, 20 + publish.WARM_UP))
    moments = [due[number] for number in range(20 + publish.WARM_UP, 35)]
    assert [later - moments[0] for later in moments] == [0, 100_000, 200_000, 300_000, 400_000]
    assert said["late_s"] >= 0


def test_a_blocking_client_that_awaits_is_refused(adapter: Import) -> None:
    publish = adapter("publish")

    async def send(task: str, call: Sequence[Any]) -> None:
        await asyncio.sleep(0)

    order = {"task": "noop", "rest": [], "first": 0, "count": 2}
    with pytest.raises(RuntimeError, match="awaited something"):
        publish._run(publish.publish(publish.Client(SimpleNamespace(send=send)), order))


def test_the_most_at_once_is_where_most_overlap() -> None:
    assert most_at_once([0, 1, 5, 6], [3, 2, 9, 7]) == 2
    # One that ends when another begins does not overlap with it.
    assert most_at_once([0, 3], [3, 4]) == 1
