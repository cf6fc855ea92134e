"""From a fresh fork to the task loop: signals, names, the user's process hooks."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fastworker import greenlets, signals
from fastworker._core import ChildLink
from fastworker.app.publish import set_link
from fastworker.app.state import set_default_app
from fastworker.child.async_tasks import close_thread_loop, runner_of_thread, running_coroutine
from fastworker.child.heartbeat import Watch
from fastworker.child.interrupts import (
    RAISED,
    current_call,
    current_member,
    raise_for_soft_limits,
)
from fastworker.child.loop import run_tasks, run_tasks_in_greenlets, run_tasks_in_threads
from fastworker.child.request import request_of
from fastworker.child.shared_thread import let_loops_share_a_thread
from fastworker.errors import SoftTimeLimitExceeded
from fastworker.results.backend import Sink, set_sink
from fastworker.worker import logs, stacks
from fastworker.worker.settings import seconds

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.child.side_loop import SideLoop
    from fastworker.worker.logs import LogPlan

ChildMain = Callable[[int, int, int], int]
#: The pools whose tasks share a process.
SHARED = ("threads", "asyncio", *greenlets.NAMES)


class Seat(NamedTuple):
    """Which of its node's children one lane's are.

    Attributes:
        lane: Its name; None: the node has no lanes.
        first: Number of its first child, from 1.
        step: From one of its children to the next: the children of all lanes have numbers of their own.
    """

    lane: str | None = None
    first: int = 1
    step: int = 1

    def number(self, child_id: int) -> int:
        """A child's number, from 1, in names of processes and log files."""
        return self.first + child_id * self.step


def child_main_of(
    app: FastWorker,
    node: str,
    log_plan: LogPlan | None,
    pool: str = "prefork",
    seat: Seat = Seat(),  # noqa: B008
) -> ChildMain:
    """What a child of the zygote runs for ``app``.

    Args:
        app: Its tasks.
        node: The worker's name.
        log_plan: How a child logs.
        pool: ``prefork``: one task after the other; ``threads`` or ``asyncio``: several at once; ``gevent`` or
            ``eventlet``: the same in a process that was started by ``greenlets.argv_of``.
        seat: Which children.
    """
    # Before the first fork, so that the children share it: asyncio takes megabytes.
    if pool == "asyncio":
        from fastworker.child.event_loop import run_on_event_loop
    elif app.lifespans:
        importlib.import_module("fastworker.child.lifespans")

    def child_main(child_id: int, socket_fd: int, page_fd: int) -> int:
        stacks.answer_behind(page_fd)
        number = seat.number(child_id)
        multiprocessing.current_process().name = f"ForkPoolWorker-{number}"
        _let_forked_processes_be_terminated()
        logs.enter_child(log_plan, number, seat.lane)
        set_default_app(app)
        app.set_current()
        raise_for_soft_limits(app.soft_time_limit_exceeded)
        status = 0

        def open_link() -> ChildLink:
            if signals.worker_process_init.has_receivers:
                signals.worker_process_init.send(sender=node)
            current = current_call if pool in SHARED else None
            link = ChildLink(socket_fd, page_fd, current, current_member, is_process=True)
            set_link(link, app.broker.read_address)
            set_sink(_sink_of(link))
            _install_signal_handlers(link, is_shared=pool in SHARED)
            return link

        def close() -> None:
            set_sink(None)
            set_link(None)
            if signals.worker_process_shutdown.has_receivers:
                signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=status)

        if pool == "asyncio":
            run_on_event_loop(app, open_link, node, close, _watch_of(app))
            return status
        try:
            with _lifespans(app, pool) as side:
                link = open_link()
                try:
                    if pool in greenlets.NAMES:
                        kind = greenlets.of(pool)
                        run_tasks_in_greenlets(app, link, node, kind, _watch_of(app), side)
                    elif pool == "threads":
                        run_tasks_in_threads(app, link, node, side)
                    else:
                        run_tasks(app, link, node)
                except SystemExit as leaving:
                    status = leaving.code if isinstance(leaving.code, int) else 1
                finally:
                    close()
        finally:
            close_thread_loop()
        return status

    return child_main


@contextlib.contextmanager
def _lifespans(app: FastWorker, pool: str) -> Iterator[SideLoop | None]:
    """Within the lifespans of ``app``, if it has any. Yields the loop on which they are where tasks share the process:
    all coroutines belong there. With one task at a time they are on the loop of the main thread."""
    if pool in greenlets.NAMES:
        let_loops_share_a_thread()
    if not app.lifespans:
        yield None
        return
    from fastworker.child.lifespans import entered

    if pool not in SHARED:
        with entered(app, runner_of_thread()):
            yield None
        return
    from fastworker.child.side_loop import SideLoop

    spawn = greenlets.of(pool).spawn if pool in greenlets.NAMES else None
    side = SideLoop(spawn)
    with contextlib.closing(side), entered(app, side.run):
        yield side


def _watch_of(app: FastWorker) -> Watch:
    after_s = seconds(app.conf.worker_blocked_after, "worker_blocked_after")
    return Watch(after_s or 0.0, stacks.write)


def _install_signal_handlers(link: ChildLink, *, is_shared: bool) -> None:
    """A process with one task is told of limits and revokes by signals. One with several ignores them: which of its
    tasks is meant comes by the link; and what the whole process group gets is the parent's to act on."""
    if is_shared:
        signal.signal(signal.SIGUSR1, lambda *_: None)
    else:
        signal.signal(signal.SIGUSR1, lambda *_: _soft_time_limit(link))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        if is_shared:
            signal.signal(number, lambda *_: None)
        else:
            signal.signal(number, lambda received, _frame: _end_if_meant(received, link))


def _let_forked_processes_be_terminated() -> None:
    """SIGTERM ends a process that a task forks, as ``multiprocessing.Process.terminate`` means it to; also when it
    comes before Python runs there: it is held back until the child's handler is gone."""
    term = {signal.SIGTERM}

    def after_in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, term)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, term),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, term),
        after_in_child=after_in_child,
    )


def _sink_of(link: ChildLink) -> Sink:
    """States of the running task travel over the link; those of other tasks are stored on a connection."""

    def store(task_id: str, state: str, doc: bytes) -> bool:
        request = request_of(task_id, state)
        if request is None or not link.is_usable or not link.is_open(request.call):
            return False
        # A state of None, which update_state(meta=…) has, is stored as it is.
        link.store(request.call, state or "", doc)
        return True

    return store


def _end_if_meant(number: int, link: ChildLink) -> None:
    """A signal that the whole process group gets is the parent's to act on. One that a revoke sent for the task that
    runs ends the process, as it would if nobody had a handler for it; a handler of the task's own comes before."""
    if link.is_terminate_target():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _soft_time_limit(link: ChildLink) -> None:
    """Raise in the task that the limit is meant for; a signal that comes late is for a task that has ended."""
    if not link.is_soft_target():
        return
    coroutine = running_coroutine()
    if coroutine is None:
        raise RAISED["soft"]
    coroutine.interrupt_from_elsewhere(SoftTimeLimitExceeded)


def prepare(recipe: dict[str, Any]) -> ChildMain:
    """Import the application as the command line did, in a zygote that replaces another.

    ``recipe``: ``app`` (what ``-A`` named), ``workdir``, ``path`` (``sys.path``), ``include``, ``node``, ``pool``,
    ``seat``, ``overrides`` (settings from the command line) and ``logging`` (arguments of ``logs.set_up``).
    """
    from fastworker.cli.app_lookup import find_app
    from fastworker.worker.startup import load_tasks

    os.chdir(recipe["workdir"])
    sys.path[:] = recipe["path"]
    app = find_app(recipe["app"])
    app.conf.update(recipe["overrides"])
    log_plan = logs.set_up(app, recipe["node"], **recipe["logging"])
    load_tasks(app, recipe["include"])
    return child_main_of(app, recipe["node"], log_plan, recipe["pool"], Seat(**recipe["seat"]))
