"""``fastworker migrate``: messages go from one broker to another, and none is lost when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support import redis_db
from tests.support.apps import AppSpec
from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="fastworker's own command")


class Move:
    """Two brokers, with an application on each."""

    def __init__(
        self, source: str, destination: str, results: str, folder: Path, stack: contextlib.ExitStack
    ) -> None:
        self.source = Rig(AppSpec("fastworker", source, results), folder, stack)
        self.destination = Rig(AppSpec("fastworker", destination, results), folder, stack)

    def line(self, *options: str) -> list[str]:
        brokers = (self.source.spec.broker, self.destination.spec.broker)
        before = [option for option in options if option == "-q"]
        after = [option for option in options if option != "-q"]
        app = ("-A", "tests.support.worker_app", *before)
        return [command("fastworker"), *app, "migrate", *brokers, *after]

    def run(self, *options: str, status: int = 0) -> str:
        done = subprocess.run(
            self.line(*options),
            env={**os.environ, **self.source.spec.environment()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def begin(self, *options: str) -> WorkerProcess:
        return self.source.run(*self.line(*options), environment=self.source.spec.environment())

    def depths(self, queue: str = "celery") -> tuple[int, int]:
        return depth(self.source, queue), depth(self.destination, queue)


def depth(rig: Rig, queue: str) -> int:
    return int(rig.app.publishing.publisher.depth(queue))


@pytest.fixture(params=["redis to redis", "redis to rabbitmq", "rabbitmq to redis"])
def move(
    request: pytest.FixtureRequest, redis_server: str, redis_url: str, tmp_path: Path
) -> Iterator[Move]:
    """From one kind of broker to another."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(redis_db.claimed(redis_server))
        with redis.Redis.from_url(other) as client:
            client.flushdb()
        urls = {"redis to redis": (redis_url, other)}.get(request.param)
        if urls is None:
            rabbit = request.getfixturevalue("rabbit").url
            urls = (redis_url, rabbit) if "to rabbitmq" in request.param else (rabbit, redis_url)
        yield Move(*urls, redis_url, tmp_path, stack)


@pytest.mark.shows("program migrate")
def test_what_waits_runs_at_the_destination_in_its_order(move: Move, tmp_path: Path) -> None:
    notes = str(tmp_path / "notes")
    calls = [move.source.task("record").delay(notes, str(n)) for n in range(250)]
    said = move.run("-a")
    assert f"Migrating task 1/250: proj.record[{calls[0].id}] to celery" in said
    assert said.endswith("Moved 250 messages.\n")
    assert move.depths() == (0, 250)
    with move.destination.worker(concurrency=1):
        wait_until(lambda: len(read_lines(notes)) >= 250, "all of them", 30)
    assert read_lines(notes) == [str(n) for n in range(250)]
    assert calls[-1].get(timeout=20) is None


def test_without_a_they_are_copied_and_stay_as_they_were(move: Move, tmp_path: Path) -> None:
    notes = str(tmp_path / "notes")
    for n in range(150):
        move.source.task("record").delay(notes, str(n))
    assert "Copied 150 messages." in move.run()
    wait_until(lambda: move.depths() == (150, 150), "what was given back")
    with move.source.worker(concurrency=1):
        wait_until(lambda: len(read_lines(notes)) >= 150, "all of them", 30)
    assert read_lines(notes) == [str(n) for n in range(150)]


def test_some_queues_and_tasks_and_so_many(move: Move, tmp_path: Path) -> None:
    for n in range(5):
        move.source.task("add").apply_async((n, n), queue="one")
        move.source.task("echo").apply_async((n,), queue="one")
        move.source.task("add").apply_async((n, n), queue="two")
    told = json.loads(move.run("-a", "-Q", "one:new", "-T", "proj.add", "--json"))
    assert told == {"moved": 5, "left": 5, "repeated": 0, "removed": True, "queues": {"new": 5}}
    wait_until(lambda: depth(move.source, "one") == 5, "what was given back")
    assert [depth(move.destination, queue) for queue in ("one", "new", "two")] == [0, 5, 0]
    assert move.run("-q", "-a", "-Q", "one,two", "-n", "3") == ""
    wait_until(
        lambda: depth(move.source, "one") + depth(move.source, "two") == 7, "what was given back"
    )
    assert depth(move.destination, "one") + depth(move.destination, "two") == 3
    with move.destination.worker("-Q", "new", concurrency=1) as worker:
        worker.wait_for_line(r"proj.add\[\S+\] succeeded", count=5)


def test_it_goes_on_until_it_is_stopped(move: Move) -> None:
    process = move.begin("-a", "-F")
    for n in range(3):
        task_id = move.source.task("add").delay(n, n).id
        process.wait_for_line(rf"Migrating task {n + 1}/\S+: proj.add\[{task_id}\]")
    assert process.stop() == 0
    assert "Moved 3 messages." in process.log
    assert move.depths() == (0, 3)


def test_nothing_is_lost_when_it_is_killed(move: Move) -> None:
    ids = {move.source.task("add").delay(n, n).id for n in range(3000)}
    for kill in range(3):
        process = move.begin("-a", "-F")
        process.wait_for_line(r"Migrating task", count=50 + 200 * kill)
        process.kill()
    # What the killed ones held comes back: on Redis when their leases have lived.
    process = move.begin("-a", "-F")
    with move.destination.worker("-E", concurrency=2) as worker:
        wait_until(
            lambda: all(move.source.app.AsyncResult(one).ready() for one in ids) or None,
            "every task",
            90,
            poll_s=1,
        )
        assert process.stop() == 0
        assert worker.stop() == 0
    assert move.depths() == (0, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-F",), "--forever without -a"),
        (("-Q", "a:"), "expected A or A:B"),
        (("-n", "0"), "--limit"),
    ],
)
def test_what_cannot_be_done_says_why(
    redis_url: str, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    with contextlib.ExitStack() as stack:
        move = Move(redis_url, "redis://127.0.0.1:1", redis_url, tmp_path, stack)
        assert said in move.run(*options, status=2)


def test_a_broker_upon_itself_is_refused(redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        move = Move(redis_url, redis_url, redis_url, tmp_path, stack)
        move.source.task("add").apply_async((1, 2), queue="one")
        assert "it would never end" in move.run("-a", "-Q", "one", status=2)
        assert "Moved 1 message." in move.run("-a", "-Q", "one:two")
        assert depth(move.source, "two") == 1


def test_from_a_file_to_a_server(redis_url: str, sqlite_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        move = Move(sqlite_url, redis_url, redis_url, tmp_path, stack)
        for n in range(3):
            move.source.task("add").delay(n, n)
        assert "Moved 3 messages." in move.run("-a")
        assert move.depths() == (0, 3)


def test_a_destination_that_is_away_loses_nothing(redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        move = Move(redis_url, "redis://127.0.0.1:1", redis_url, tmp_path, stack)
        move.source.task("add").delay(1, 2)
        assert "127.0.0.1:1" in move.run("-a", status=1)
        assert depth(move.source, "celery") == 1
