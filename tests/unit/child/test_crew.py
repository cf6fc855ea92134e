"""Threads that run tasks beside each other: what comes just before a task begins, or of code around it, ends it too."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker.child.crew import Crew
from fastworker.child.interrupts import INTERRUPTS, RAISED
from fastworker.errors import SoftTimeLimitExceeded
from tests.support.waiting import wait_until


class Link:
    """What a crew asks of its link. ``is_running``: this thread's task was taken and not reported."""

    is_running = True

    def __init__(self) -> None:
        self.idle = threading.Event()

    def flush(self) -> None:
        self.idle.set()


class Tracers(dict[str, Any]):
    """Tracers by the names of tasks, and what was said of interrupts outside of them."""

    def __init__(self, **tracers: Any) -> None:
        super().__init__(tracers)
        self.outside: list[tuple[int, type[BaseException]]] = []

    def interrupted(self, call: Any, exc: BaseException) -> None:
        self.outside.append((call.number, type(exc)))


def call(number: int, task: str) -> Any:
    return SimpleNamespace(number=number, task=task, id=f"id-{number}")


def run(crew: Crew, link: Link, *calls: Any) -> None:
    """Put each in when the one before it has ended."""
    for each in calls:
        link.idle.clear()
        crew.put(each)
        assert link.idle.wait(10), "the thread is gone"


def raising(exc: BaseException) -> Any:
    def trace(call: Any) -> None:
        raise exc

    return trace


@pytest.mark.parametrize("what", list(RAISED))
def test_interrupt_just_before_a_task_begins_ends_it(what: str) -> None:
    link = Link()
    tracers = Tracers(early=raising(RAISED[what]()), plain=lambda call: None)
    crew = Crew(link, tracers)  # type: ignore[arg-type]
    run(crew, link, call(7, "early"), call(8, "plain"))
    assert tracers.outside == [(7, RAISED[what])]
    crew.close()


def test_interrupt_after_a_task_has_been_reported_is_nobodys() -> None:
    link = Link()
    link.is_running = False
    tracers = Tracers(late=raising(SoftTimeLimitExceeded()))
    crew = Crew(link, tracers)  # type: ignore[arg-type]
    run(crew, link, call(7, "late"))
    assert tracers.outside == []
    crew.close()


def test_first_task_of_a_kind_cannot_be_interrupted_before_its_tracer_is_made() -> None:
    """Making it takes a while, and nobody could report the interrupt."""
    seen: list[bool] = []

    class Slow(Tracers):
        def __missing__(self, name: str) -> Any:
            seen.append(crew.obey(7, "soft"))
            return lambda call: seen.append(True)

    link = Link()
    crew = Crew(link, Slow())  # type: ignore[arg-type]
    run(crew, link, call(7, "new"))
    assert seen == [False, True]
    crew.close()


def test_exit_of_code_around_a_task_leaves_its_thread_at_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    link = Link()
    ran: list[int] = []
    tracers = Tracers(leaves=raising(SystemExit(3)), plain=lambda call: ran.append(call.number))
    crew = Crew(link, tracers)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        run(crew, link, call(1, "leaves"), call(2, "plain"))
    assert ran == [2]
    assert not crew.obey(1, "soft")
    assert "leaves[id-1]: nothing was reported of its end" in caplog.text
    crew.close()


def test_interrupt_is_raised_in_the_thread_of_its_task_and_in_no_other() -> None:
    started, seen = threading.Semaphore(0), []
    over = threading.Event()

    def wait(call: Any) -> None:
        started.release()
        try:
            while not over.wait(0.01):
                pass
        except INTERRUPTS as exc:
            seen.append((call.number, type(exc)))

    link = Link()
    crew = Crew(link, Tracers(wait=wait))  # type: ignore[arg-type]
    for number in (1, 2):
        crew.put(call(number, "wait"))
    for _ in range(2):
        assert started.acquire(timeout=10)
    assert crew.obey(2, "hard")
    wait_until(lambda: seen and link.idle.is_set(), "the interrupt")
    assert not crew.obey(2, "hard"), "it has ended"
    over.set()
    wait_until(lambda: not crew._open, "the end of the other")
    assert seen == [(2, RAISED["hard"])]
    crew.close()
