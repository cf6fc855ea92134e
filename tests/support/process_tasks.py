"""Tasks that show where they run, and whether they let themselves be interrupted there."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from multiprocessing.util import register_after_fork
from typing import Any

from tests.support.gate import hold


class _Pool:
    """Something that must not be used on both sides of a fork, as a pool of connections."""

    def __init__(self) -> None:
        self.heard_in: list[int] = []
        register_after_fork(self, _Pool.forked)

    def forked(self) -> None:
        """Called in a new process."""
        self.heard_in.append(os.getpid())


def register(app: Any) -> None:
    """Add them to an application of either framework."""
    task = functools.partial(app.task, shared=False)
    pool = _Pool()

    @task(name="proj.heard_of_fork")
    def heard_of_fork() -> tuple[list[int], int]:
        """In which processes the pool was told of a fork, and where this is."""
        return pool.heard_in, os.getpid()

    @task(name="proj.where")
    def where() -> tuple[int, bool]:
        """The process, and whether this is its main thread."""
        return os.getpid(), threading.current_thread() is threading.main_thread()

    @task(name="proj.debug")
    def debug(value: int) -> int:
        """Stops in the debugger."""
        breakpoint()
        return value

    @task(name="proj.leave")
    def leave() -> None:
        """Asks its process to exit."""
        raise SystemExit(3)

    @task(name="proj.publish_elsewhere")
    def publish_elsewhere(url: str) -> None:
        """Publishes three times with another application, whose broker is another one."""
        other = type(app)("other", broker=url, set_as_current=False)
        there = other.task(lambda: None, name="other.there", shared=False)
        there.delay()
        there.apply_async(priority=3)
        other.send_task("other.there")

    @task(name="proj.stubborn")
    def stubborn(path: str) -> None:
        """As ``hold``, and goes on waiting whatever is raised in it; also while it deals with that."""
        is_released = False
        while not is_released:
            with contextlib.suppress(BaseException), contextlib.suppress(BaseException):
                hold(path)
                is_released = True
