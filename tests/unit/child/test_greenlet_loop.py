"""The loop of a child with greenlets: what comes for a task before its greenlet has begun."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from fastworker import FastWorker
from fastworker.child.greenlet_loop import GreenletLoop
from fastworker.child.heartbeat import Watch
from fastworker.errors import SoftTimeLimitExceeded

UNWATCHED = Watch(0, lambda text: None)


class Link:
    """Gives what it is told to, a list a look."""

    def __init__(self, *looks: list[Any]) -> None:
        self._looks = list(looks)
        self.flushes = 0
        self.is_running = False

    def fileno(self) -> int:
        return -1

    def poll(self, *, blocks: bool) -> list[Any] | None:
        assert not blocks
        return self._looks.pop(0) if self._looks else None

    def flush(self) -> None:
        self.flushes += 1


class Later:
    """Greenlets that begin, one after the other, when the loop waits."""

    name = "later"

    def __init__(self) -> None:
        self.spawned: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.thrown: list[type[BaseException]] = []

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        self.spawned.append((function, args))
        return function

    def spawn_later(self, seconds: float, function: Callable[[], None]) -> Any:
        raise AssertionError("nobody watches this loop")

    def throw(self, greenlet: Any, exception: type[BaseException]) -> None:
        self.thrown.append(exception)

    def wait_readable(self, fd: int) -> None:
        while self.spawned:
            function, args = self.spawned.pop(0)
            function(*args)


def test_interrupt_that_comes_before_its_task_begins_is_raised_once_it_has() -> None:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    ran: list[int] = []
    greenlets: Any = Later()
    link: Any = Link([SimpleNamespace(number=7, task="t", id="i"), (7, "soft")], [])
    loop = GreenletLoop(app, link, "w@h", greenlets, UNWATCHED)
    loop._tracers["t"] = lambda call: ran.append(call.number)
    loop.run()
    assert (ran, greenlets.thrown, link.flushes) == ([7], [SoftTimeLimitExceeded], 1)


def test_interrupt_for_a_task_that_has_ended_is_nobodys() -> None:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    greenlets: Any = Later()
    link: Any = Link([SimpleNamespace(number=7, task="t", id="i")], [], [(7, "hard")])
    loop = GreenletLoop(app, link, "w@h", greenlets, UNWATCHED)
    loop._tracers["t"] = lambda call: None
    loop.run()
    assert greenlets.thrown == []


def test_interrupt_that_its_tracer_does_not_deal_with_ends_a_task_that_has_not_ended() -> None:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    greenlets: Any = Later()
    told: list[tuple[int, BaseException]] = []
    early = SoftTimeLimitExceeded()

    def interrupted(call: Any) -> None:
        raise early

    for is_running in (True, False):
        link: Any = Link([SimpleNamespace(number=7, task="t", id="i")], [])
        link.is_running = is_running
        loop = GreenletLoop(app, link, "w@h", greenlets, UNWATCHED)
        loop._tracers["t"] = interrupted
        loop._tracers.interrupted = lambda call, exc: told.append((call.number, exc))  # type: ignore[method-assign]
        loop.run()
    assert told == [(7, early)]
