"""How a zygote makes a child: by forking itself, or by starting a program that imports the application by itself.

A fork is there at once and shares the imported application's memory. A program shares nothing, so that libraries that
cannot go on after a fork (those that start threads or open devices when they are imported) work in it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing.util
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from fastworker import greenlets, signals
from fastworker.worker import lifeline, stacks

ChildMain = Callable[[int, int, int], int]
"""Runs one child: ``(child_id, socket_fd, page_fd) -> exit status``."""

Birth = Callable[[int, int, int], int]
"""Makes one child: ``(child_id, socket_fd, page_fd) -> pid``; raises ``OSError``."""

_PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


def forking(child_main: ChildMain, leave_zygote: Callable[[], None]) -> Birth:
    """Children that are forks of this process. ``leave_zygote``: called in each, first."""

    def birth(child_id: int, socket_fd: int, page_fd: int) -> int:
        if signals.worker_before_create_process.has_receivers:
            signals.worker_before_create_process.send(sender=None)
        pid = os.fork()
        if pid == 0:
            lifeline.tie_again()
            leave_zygote()
            # What processes of multiprocessing, and billiard's, do first: by this connection pools of kombu, SQLAlchemy
            # sessions of Celery's results and other libraries' locks learn that they are in another process.
            multiprocessing.util._run_after_forkers()  # type: ignore[attr-defined]
            _live(child_main, child_id, socket_fd, page_fd)
        return pid

    return birth


def spawning(recipe: dict[str, Any]) -> Birth:
    """Children that are programs of their own. ``recipe``: see ``child.main.prepare``."""
    text = json.dumps(recipe)
    program = [sys.executable, "-m", "fastworker.worker.birth"]
    if recipe["pool"] in greenlets.NAMES:
        program = greenlets.argv_of(recipe["pool"], "fastworker.worker.birth")

    def birth(child_id: int, socket_fd: int, page_fd: int) -> int:
        with lifeline.handed_on() as lifeline_fd:
            descriptors = (socket_fd, page_fd, lifeline_fd)
            for fd in descriptors:
                os.set_inheritable(fd, True)
            numbers = [str(number) for number in (child_id, *descriptors)]
            argv = [*program, *numbers, text]
            # Held back until the program has handlers for them.
            return os.posix_spawn(sys.executable, argv, os.environ, setsigmask=_PARENTS_SIGNALS)

    return birth


def leave_signals_to_the_parent() -> None:
    """Signals meant for the worker often reach the whole process group (a terminal's Ctrl-C, an init system's
    SIGTERM); the parent alone decides what they mean. A handler that does nothing is not inherited by programs that
    tasks start, as ``SIG_IGN`` would be."""
    for number in _PARENTS_SIGNALS:
        signal.signal(number, lambda *_: None)


def main(argv: list[str]) -> None:
    """``python -m fastworker.worker.birth CHILD SOCKET PAGE LIFELINE RECIPE``: what ``spawning`` starts."""
    leave_signals_to_the_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PARENTS_SIGNALS)
    child_id, socket_fd, page_fd, lifeline_fd = map(int, argv[:4])
    for fd in (socket_fd, page_fd):
        os.set_inheritable(fd, False)
    lifeline.tie(lifeline_fd)
    stacks.listen()

    def child_main(child_id: int, socket_fd: int, page_fd: int) -> int:
        from fastworker.child.main import prepare

        return prepare(json.loads(argv[4]))(child_id, socket_fd, page_fd)

    _live(child_main, child_id, socket_fd, page_fd)


def _live(child_main: ChildMain, child_id: int, socket_fd: int, page_fd: int) -> None:
    """All of a child's life; never returns."""
    status = 1
    try:
        lifeline.tie_forks()
        status = child_main(child_id, socket_fd, page_fd)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
