"""``fastworker.testing``: what was published, running it here, and the clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest

from fastworker import FastWorker, chain
from fastworker.contrib.testing.app import TestApp, setup_default_app
from fastworker.contrib.testing.worker import start_worker
from fastworker.errors import ImproperlyConfigured
from fastworker.testing import (
    Run,
    assert_published,
    clock,
    drain,
    published,
    refute_published,
)

SOON_S = 20.0
HOUR_S = 3600.0


@pytest.fixture
def app() -> Iterator[FastWorker]:
    """An application with a queue in memory, and the clock put right afterwards."""
    made = TestApp()
    with setup_default_app(made):
        yield made
    assert clock.reset()


@pytest.fixture
def ran() -> list[Any]:
    """What the task ``note`` was called with."""
    return []


@pytest.fixture
def note(app: FastWorker, ran: list[Any]) -> Any:
    """A task that notes its argument."""

    @app.task(name="note")
    def note(what: Any) -> Any:
        ran.append(what)
        return what

    return note


# ------------------------------------------------------------------------------------ what was published


def test_a_published_call_is_found_by_what_is_said_of_it(app: FastWorker, note: Any) -> None:
    note.apply_async(((1, 2),), queue="other", priority=3)
    found = assert_published(app, note, args=((1, 2),), kwargs={}, queue="other", count=1)
    assert (found.task, found.args, found.priority, found.eta) == ("note", [[1, 2]], 3, None)
    assert_published(app, "note", args=(mock.ANY,))
    refute_published(app, note, args=(1, 2))
    refute_published(app, note, kwargs={"what": 1})
    refute_published(app, note, queue="celery")
    refute_published(app, "other")


def test_a_missing_call_says_what_there_is(app: FastWorker, note: Any) -> None:
    with pytest.raises(AssertionError, match="nothing is published"):
        assert_published(app, note)
    note.delay(1)
    note.apply_async((2,), countdown=60)
    with pytest.raises(AssertionError) as raised:
        assert_published(app, note, args=(3,))
    text = str(raised.value)
    assert "expected at least one call of note(args=(3,), kwargs=anything), found 0" in text
    assert "note(args=[1], kwargs={}) on 'celery'\n" in text
    assert "note(args=[2], kwargs={}) on 'celery', due 2" in text
    with pytest.raises(AssertionError, match=r"1 call\(s\) of .*found 2"):
        assert_published(app, note, count=1)
    with pytest.raises(AssertionError, match="expected no call of note"):
        refute_published(app, note)


@pytest.mark.parametrize("options", [{"serializer": "pickle"}, {"compression": "zlib"}])
def test_calls_are_read_in_every_format(app: FastWorker, note: Any, options: Any) -> None:
    note.apply_async(({"a": datetime(2020, 1, 1)},), **options)
    assert_published(app, note, args=({"a": datetime(2020, 1, 1)},))


def test_a_call_shows_when_it_is_due_and_what_follows(app: FastWorker, note: Any) -> None:
    eta = datetime(2030, 1, 1, tzinfo=timezone.utc)
    note.apply_async((1,), eta=eta, expires=eta + timedelta(hours=1), link=note.s(2))
    (found,) = published(app, note)
    assert (found.eta, found.expires) == (eta, eta + timedelta(hours=1))
    assert found.embed["callbacks"][0]["task"] == "note"


def test_only_memory_can_be_looked_into(sqlite_url: str) -> None:
    with pytest.raises(ValueError, match="memory:// only"):
        published(FastWorker("proj", broker=sqlite_url, set_as_current=False))


# ----------------------------------------------------------------------------------------------- drain


def test_drain_runs_here_in_the_order_of_urgency(
    app: FastWorker, note: Any, ran: list[Any]
) -> None:
    @app.task(name="where")
    def where() -> None:
        ran.append(threading.current_thread())

    note.apply_async((1,), priority=9)
    note.apply_async((2,), priority=3)
    note.delay(3)
    where.delay()
    drained = drain(app)
    assert ran == [3, threading.current_thread(), 2, 1]
    assert (len(drained), drained.succeeded, drained.failed) == (4, 4, 0)
    assert len(drain(app)) == 0


def test_drain_runs_what_the_tasks_publish(app: FastWorker, note: Any, ran: list[Any]) -> None:
    @app.task(name="spread")
    def spread(depth: int) -> None:
        for _ in range(2 if depth else 0):
            spread.delay(depth - 1)

    @app.task(name="early", acks_late=False)
    def early() -> None:
        note.delay("from early")

    spread.delay(4)
    result = chain(note.s(1), note.si(2))()
    early.delay()
    drained = drain(app)
    assert ran == [1, 2, "from early"] or sorted(map(str, ran)) == ["1", "2", "from early"]
    assert drained.succeeded == 31 + 4
    assert result.get(timeout=0.1) == 2


def test_drain_tells_how_each_ended(app: FastWorker) -> None:
    @app.task(bind=True, name="flaky", max_retries=1)
    def flaky(self: Any) -> None:
        raise self.retry(exc=ValueError("again"), countdown=0)

    @app.task(name="bad")
    def bad() -> None:
        raise KeyError("bad")

    first, second = bad.delay(), flaky.delay()
    drained = drain(app)
    assert drained.runs == [
        Run("bad", first.id, "FAILURE"),
        Run("flaky", second.id, "RETRY"),
        Run("flaky", second.id, "FAILURE"),
    ]
    bad.delay()
    bad.delay()
    with pytest.raises(KeyError, match="bad"):
        drain(app, throw=True)
    assert published(app) == []


def test_drain_takes_only_the_named_queues(app: FastWorker, note: Any, ran: list[Any]) -> None:
    note.delay(1)
    note.apply_async((2,), queue="other")
    assert len(drain(app, "other")) == 1
    assert ran == [2]
    assert_published(app, note, args=(1,), count=1)


def test_drain_works_on_every_broker(broker_url: str) -> None:
    app = TestApp(broker=broker_url, backend=broker_url)
    with setup_default_app(app):

        @app.task(name="twice")
        def twice(x: int) -> int:
            return 2 * x

        results = [twice.delay(n) for n in range(3)]
        assert drain(app).succeeded == 3
        assert [result.get(timeout=SOON_S) for result in results] == [0, 2, 4]


def test_an_interrupt_in_a_task_ends_the_drain_and_keeps_the_message(
    app: FastWorker, note: Any
) -> None:
    @app.task(name="interrupted")
    def interrupted() -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    interrupted.delay()
    note.delay(1)
    with pytest.raises(KeyboardInterrupt):
        drain(app)
    assert_published(app, interrupted, count=1)
    assert_published(app, note, count=1)
    assert set(threading.enumerate()) == before


def test_drain_in_a_task_is_refused(app: FastWorker) -> None:
    @app.task(name="drains")
    def drains() -> None:
        drain(app)

    drains.delay()
    with pytest.raises(RuntimeError, match="wait for itself"):
        drain(app, throw=True)


def test_a_drain_that_cannot_start_says_so(app: FastWorker) -> None:
    app.conf.worker_lease_life = "soon"
    with pytest.raises(ImproperlyConfigured, match="worker_lease_life"):
        drain(app)


# ----------------------------------------------------------------------------------------------- clock


def test_what_is_due_later_waits_for_the_clock(app: FastWorker, note: Any, ran: list[Any]) -> None:
    note.apply_async((1,), countdown=HOUR_S)
    note.apply_async((2,), countdown=2)
    note.apply_async((3,), countdown=HOUR_S, expires=60)
    assert len(drain(app)) == 0
    assert_published(app, note, count=3)
    clock.advance(2)
    drain(app)
    assert ran == [2]
    clock.advance(timedelta(hours=1))
    drain(app)
    assert ran == [2, 1]
    assert published(app) == []


def test_retries_come_due_by_the_clock(app: FastWorker) -> None:
    @app.task(bind=True, name="flaky", default_retry_delay=180)
    def flaky(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry()
        return int(self.request.retries)

    result = flaky.delay()
    for _ in range(3):
        assert len(drain(app)) == 1
        assert len(drain(app)) == 0
        clock.advance(180)
    assert result.get(timeout=0.1) == 2


def test_permits_come_by_the_clock(app: FastWorker, ran: list[Any]) -> None:
    @app.task(name="limited", rate_limit="1/h")
    def limited(n: int) -> None:
        ran.append(n)

    for n in range(2):
        limited.delay(n)
    with start_worker(app):
        app.tasks["celery.ping"].delay().get(timeout=SOON_S)
        assert ran == [0]
        clock.advance(HOUR_S)
        app.tasks["celery.ping"].delay().get(timeout=SOON_S)
        while ran != [0, 1]:
            app.tasks["celery.ping"].delay().get(timeout=SOON_S)


@pytest.mark.parametrize("countdown", [5, HOUR_S])
def test_a_worker_in_a_thread_follows_the_clock(
    app: FastWorker, note: Any, countdown: float
) -> None:
    with start_worker(app):
        result = note.apply_async((1,), countdown=countdown)
        app.tasks["celery.ping"].delay().get(timeout=SOON_S)
        assert not result.ready()
        clock.advance(countdown)
        assert result.get(timeout=SOON_S) == 1


def test_the_applications_time_is_the_clocks(app: FastWorker) -> None:
    before = app.now()
    clock.advance(HOUR_S)
    assert app.now() - before >= timedelta(hours=1)
    assert clock.now() - before >= timedelta(hours=1)
    with pytest.raises(ValueError, match="only goes ahead"):
        clock.advance(-1)


def test_the_clock_is_not_put_back_under_a_running_worker(app: FastWorker) -> None:
    clock.advance(HOUR_S)
    with start_worker(app):
        assert not clock.reset()
        assert clock.now() - datetime.now(timezone.utc) > timedelta(minutes=59)
    assert clock.reset()
