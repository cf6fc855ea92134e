"""A worker in the test's own process: the real Rust worker, with the tasks in threads. Source:
celery.contrib.testing.worker, whose names and arguments these are.

It works on ``memory://``, and on a real broker too. What it cannot do, since tasks run in threads: time limits, and
killing a task. OS signals are not touched.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastworker import signals
from fastworker.app import state
from fastworker.errors import ImproperlyConfigured
from fastworker.observer import Signal
from fastworker.results.joining import allow_join_result
from fastworker.worker import logs
from fastworker.worker.embedded import EmbeddedWorker
from fastworker.worker.node_names import node_name
from fastworker.worker.options import WorkerOptions

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

WORKER_LOGLEVEL = os.environ.get("WORKER_LOGLEVEL", "error")

test_worker_starting = Signal("test_worker_starting")
test_worker_started = Signal("test_worker_started", ("worker", "consumer"))
test_worker_stopped = Signal("test_worker_stopped", ("worker",))

#: Arguments of Celery's that mean something of Celery's own, and change nothing here.
_WITHOUT_EFFECT = frozenset({"without_mingle", "without_gossip", "optimization", "O"})

_numbers = itertools.count(1)
_START_TIMEOUT_S = 30.0


class TestWorkController(EmbeddedWorker):
    """A worker in this process that a test can wait for."""

    __test__ = False  # pytest would collect it

    def on_ready(self) -> None:
        """Tasks are consumed from now on."""
        super().on_ready()
        test_worker_started.send(sender=self.app, worker=self, consumer=None)


@contextmanager
def start_worker(
    app: FastWorker,
    concurrency: int = 1,
    pool: str = "solo",
    loglevel: str | int = WORKER_LOGLEVEL,
    logfile: str | None = None,
    perform_ping_check: bool = True,
    ping_task_timeout: float = 10.0,
    shutdown_timeout: float = 10.0,
    **kwargs: Any,
) -> Iterator[TestWorkController]:
    """Run a worker for a block.

    It is stopped when the block ends, however it ends: running tasks finish, threads are gone, nothing is left leased.

    Args:
        app: Its tasks; the current and default application during the block.
        concurrency: Threads for tasks with ``pool="threads"``; ``solo`` has one.
        pool: ``solo`` or ``threads``.
        loglevel: Level of a log that is set up, see ``logfile``; name or number.
        logfile: Set logging up as the command line does, into this file. None: logging is left as it is, so that
            pytest's capturing sees the worker's loggers (``fastworker.worker``, ``fastworker.app.trace``); except for
            a ``TestApp(enable_logging=True)``.
        perform_ping_check: First run the task ``celery.ping``; needs a result backend.
        ping_task_timeout: Seconds to wait for it.
        shutdown_timeout: Seconds that tasks which run at the end of the block may take.
        kwargs: ``hostname``, ``queues`` and ``exclude_queues`` (a list, or text with commas), ``include``,
            ``prefetch_multiplier``, ``task_events``, ``WorkController`` (the class). Celery's ``without_…`` are
            accepted.

    Raises:
        ImproperlyConfigured: A setting or an argument that cannot be used; nothing was started.
        RuntimeError: A task ran on after ``shutdown_timeout``.
        TypeError: An argument that there is none of.
    """
    test_worker_starting.send(sender=app)
    worker = None
    try:
        with _started(
            app,
            concurrency=concurrency,
            pool=pool,
            loglevel=loglevel,
            logfile=logfile,
            shutdown_timeout=shutdown_timeout,
            **kwargs,
        ) as worker:
            if perform_ping_check:
                _ping(worker, ping_task_timeout)
            yield worker
    finally:
        test_worker_stopped.send(sender=app, worker=worker)


@contextmanager
def _started(
    app: FastWorker,
    *,
    concurrency: int,
    pool: str,
    loglevel: str | int,
    logfile: str | None,
    shutdown_timeout: float,
    WorkController: type[TestWorkController] = TestWorkController,
    **kwargs: Any,
) -> Iterator[TestWorkController]:
    options = WorkerOptions(
        hostname=kwargs.pop("hostname", None) or node_name(f"gen{os.getpid()}-{next(_numbers)}@%h"),
        loglevel=logs.level_of(loglevel),
        logfile=logfile,
        concurrency=1 if pool == "solo" else concurrency,
        pool=pool,
        queues=_names(kwargs.pop("queues", None)),
        exclude_queues=_names(kwargs.pop("exclude_queues", None)),
        include=tuple(kwargs.pop("include", None) or ()),
        prefetch_multiplier=kwargs.pop("prefetch_multiplier", None),
        task_events=kwargs.pop("task_events", None),
        heartbeat_s=None if kwargs.pop("without_heartbeat", True) else 2.0,
        quiet=True,
    )
    unknown = sorted(kwargs.keys() - _WITHOUT_EFFECT)
    if unknown:
        raise TypeError(
            f"start_worker() got {unknown[0]!r}: a worker in a thread takes hostname, queues, exclude_queues, include, "
            f"prefetch_multiplier, task_events and WorkController; for what belongs to child processes start "
            f"`fastworker worker`"
        )
    app.finalize()
    if "celery.ping" not in app.tasks:
        app.task(name="celery.ping", shared=False)(_pong)
    if logfile is not None or getattr(app, "enables_logging", False):
        logs.set_up(app, options.hostname, loglevel=options.loglevel, logfile=logfile)
    with _current_and_default(app):
        worker = WorkController(app, options)
        if signals.worker_init.has_receivers:
            signals.worker_init.send(sender=worker)
        worker.start()
        try:
            worker.ensure_started(_START_TIMEOUT_S)
            yield worker
        finally:
            worker.stop(shutdown_timeout)


def _pong() -> str:
    """For an application that was finalised before ``fastworker.contrib.testing.tasks`` was imported."""
    return "pong"


def _ping(worker: TestWorkController, timeout_s: float) -> None:
    app = worker.app
    if worker.settings.result_url is None:
        raise ImproperlyConfigured(
            "the ping check needs a result backend, and this application has none: set result_backend, or pass "
            "perform_ping_check=False"
        )
    with allow_join_result():
        pong = app.tasks["celery.ping"].apply_async(queue=worker.settings.queues[0])
        answer = pong.get(timeout=timeout_s)
    if answer != "pong":
        raise RuntimeError(
            f"task celery.ping answered {answer!r}, expected 'pong': who replaced it?"
        )


@contextmanager
def _current_and_default(app: FastWorker) -> Iterator[None]:
    current, default = state.get_thread_app(), state.get_default_app()
    app.set_current()
    app.set_default()
    try:
        yield
    finally:
        state.set_current_app(current)
        state.set_default_app(default)


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value or ())


def setup_app_for_worker(app: FastWorker, loglevel: str | int, logfile: str | None) -> None:
    """Finalise an application, make it current and default, and set logging up if ``logfile`` is given."""
    app.finalize()
    app.set_current()
    app.set_default()
    if logfile is not None:
        level = logs.level_of(loglevel)
        logging.getLogger("fastworker").setLevel(level)
        logs.set_up(app, node_name(None), loglevel=level, logfile=logfile)
