"""A child that is a thread of the worker's own process: the same loop, tracer and link as in a child process.

What belongs to a process is left alone: OS signals, the process's name, the default application. So there are no
time limits here: nothing can interrupt or end a thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastworker._core import ChildLink
from fastworker.app import state
from fastworker.app.link import thread_link
from fastworker.child.async_tasks import close_thread_loop, runner_of_thread
from fastworker.child.interrupts import current_member
from fastworker.child.loop import run_tasks
from fastworker.child.request import request_of
from fastworker.results.backend import set_sink
from fastworker.results.joining import denied_join_result

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Stands between the loop and the link, for whoever wants to see what the loop reports.
Wrap = Callable[[ChildLink], Any]


def run_in_thread(
    app: FastWorker, node: str, socket: int, page: int, wrap: Wrap | None = None
) -> None:
    """Run tasks in this thread until the worker says to finish, or is gone.

    Args:
        app: Current in this thread meanwhile.
        node: The worker's name.
        socket: File descriptor of the socket to the worker; owned from now on.
        page: File descriptor of the shared page; owned from now on.
        wrap: Makes what the loop is given in place of the link.
    """
    # Acts on the request that runs in the calling thread, so one is enough for all threads, and it may stay.
    set_sink(_store)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_current(app))
        stack.callback(close_thread_loop)
        link = _open_link(app, socket, page, stack)
        stack.enter_context(thread_link(link, app.broker.read_address))
        stack.enter_context(denied_join_result())
        run_tasks(app, link if wrap is None else wrap(link), node)


def _open_link(app: FastWorker, socket: int, page: int, stack: contextlib.ExitStack) -> ChildLink:
    """Within the lifespans of the application, from now on."""
    if app.lifespans:
        from fastworker.child.lifespans import entered

        try:
            stack.enter_context(entered(app, runner_of_thread()))
        except BaseException:
            os.close(socket)
            os.close(page)
            raise
    return ChildLink(socket, page, None, current_member)


@contextmanager
def _current(app: FastWorker) -> Iterator[None]:
    before = state.get_thread_app()
    state.set_current_app(app)
    try:
        yield
    finally:
        state.set_current_app(before)


def _store(task_id: str, status: str, doc: bytes) -> bool:
    """States of the task that runs in this thread travel over its link."""
    request = request_of(task_id, status)
    if request is None or not request.link.is_usable or not request.link.is_open(request.call):
        return False
    request.link.store(request.call, status or "", doc)
    return True
