"""A worker node inside somebody else's process: the Rust worker, with tasks in threads of this process.

It is the whole worker but for what belongs to a process: OS signals, the set-up of logging, the pid file, the start of
child processes. The kind of pool decides what threads there are:

===========  ======================================================
``solo``     one thread for tasks; ``worker_process_init`` is sent there, as by Celery's solo pool
``threads``  ``concurrency`` threads for tasks
===========  ======================================================

Beside those, one thread serves what the worker reports (log lines, hooks), and one is the Rust runtime. All of them are
gone when ``stop`` has returned.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.child.thread import run_in_thread
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.bindings import declare
from fastworker.worker.copies import fanout_of
from fastworker.worker.hooks import Hooks
from fastworker.worker.lanes import UnknownLane
from fastworker.worker.panel import State
from fastworker.worker.pidbox import Pidbox
from fastworker.worker.queue_terms import QueueTerms
from fastworker.worker.startup import load_tasks, queues_of, size_of, worker_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastworker.app.app import FastWorker
    from fastworker.worker.options import WorkerOptions
    from fastworker.worker.settings import WorkerSettings

logger = logging.getLogger("fastworker.worker")
received_logger = logging.getLogger("fastworker.worker.strategy")

#: The pools whose tasks run in threads of this process.
POOLS = ("solo", "threads")
_LONGEST_SLEEP_S = 3600.0

_living: weakref.WeakSet[EmbeddedWorker] = weakref.WeakSet()


def living() -> list[EmbeddedWorker]:
    """The workers that run in this process."""
    return list(_living)


def warn_of_time_limits(settings: WorkerSettings) -> None:
    """Nothing can interrupt or end a thread: say whose time limits will not be kept."""
    limited = [
        task.name
        for task in settings.tasks
        if task.time_limit is not None or task.soft_time_limit is not None
    ]
    if limited:
        logger.warning(
            "time limits are not enforced on tasks that run in threads: %s", ", ".join(limited)
        )


class EmbeddedWorker:
    """A worker in this process.

    Args:
        app: Its tasks; finalised here.
        options: As from the command line; ``pool`` is one of ``POOLS``.

    Raises:
        ImproperlyConfigured: Another pool, or a setting that cannot be used.
    """

    def __init__(self, app: FastWorker, options: WorkerOptions) -> None:
        if options.pool not in POOLS:
            raise ImproperlyConfigured(
                f"pool {options.pool!r} of a worker inside of a process: expected one of {', '.join(POOLS)}; for "
                f"child processes start one by the command line: fastworker -A proj worker"
            )
        self.app = app
        self.options = options
        self.hostname = options.hostname
        load_tasks(app, options.include)
        self._hooks = Hooks(app, options.hostname, self)
        self._is_reloading = False
        self._prepare()

    def _prepare(self) -> None:
        """What one life of the Rust worker needs."""
        self.settings = self._settings()
        self._core: _core.Worker | None = None
        self._server = threading.Thread(target=self._serve, name=self.hostname, daemon=True)
        self._children: list[threading.Thread] = []
        self._started = time.monotonic()
        self._pidbox = Pidbox(State(self.app, self.hostname, self))
        self._is_ready = threading.Event()
        self._is_finished = threading.Event()
        self._error: str | None = None

    def _settings(self) -> WorkerSettings:
        size = size_of(self.app, self.options, is_embedded=True)
        if self.app.lifespans and size.concurrency > 1:
            raise ImproperlyConfigured(
                f"application {self.app.main!r} has lifespans, and the worker is to run tasks in {size.concurrency} "
                "threads of this process, each with an event loop: expected one; try pool='solo'"
            )
        queues = queues_of(self.app, self.options)
        return worker_settings(
            self.app, self.options, size, queues, received_logger.isEnabledFor(logging.INFO)
        )

    @property
    def concurrency(self) -> int:
        """How many tasks run at the same time."""
        return self.settings.concurrency

    # ------------------------------------------------------------------------------------------ remote control

    @property
    def core(self) -> _core.Worker:
        """The Rust half. Commands come from it, so that it is there by then."""
        assert self._core is not None, "a command came before the worker was started"
        return self._core

    @property
    def pool(self) -> str:
        """What runs tasks."""
        return self.options.pool

    @property
    def queues(self) -> list[str]:
        """Names of the queues that are consumed."""
        return self.settings.queues

    @property
    def prefetch(self) -> int:
        """Most messages held at once."""
        return self.settings.prefetch

    @property
    def autoscale(self) -> tuple[int, int] | None:
        """Threads do not scale by themselves."""
        return None

    def set_autoscale(self, most: int, fewest: int) -> None:
        """Never asked for: ``autoscale`` is None."""
        raise NotImplementedError("a worker inside of a process does not scale by itself")

    @property
    def can_terminate(self) -> bool:
        """A thread cannot be ended from outside."""
        return False

    def unit(self, lane: str | None, queue: str | None = None) -> EmbeddedWorker:
        """It has no lanes."""
        if lane is not None:
            raise UnknownLane(
                f"a worker inside of a process has no lanes, so none that is called {lane!r}; leave the argument lane "
                f"out"
            )
        return self

    def units(self, lane: str | None) -> Sequence[EmbeddedWorker]:
        """Itself."""
        return [self.unit(lane)]

    def restart(self, modules: Sequence[str]) -> None:
        """Its tasks run in this very process."""
        raise NotImplementedError(f"pool {self.pool} has no processes that could be replaced")

    def lane_of(self, queue: str) -> None:
        """It has no lanes."""

    def lane_stats(self, snapshots: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """It has no lanes."""
        return {}

    def consume(self, queue: str, lane: str | None) -> None:
        """Consume one more queue."""
        fanout = fanout_of(self.app, queue, self.hostname)
        self.core.consume(queue, *QueueTerms.of(self.app, self.options)[queue], fanout)

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def stop_by_remote(self, message: str) -> None:
        """Begin a warm shutdown; ``stop`` waits for its end."""
        logger.warning("%s", message)
        self.core.shutdown("warm")

    def note_revoked(self, ids: Sequence[str]) -> None:
        """There is no state file: what is revoked is remembered by the broker alone."""

    # ------------------------------------------------------------------------------------------ start and stop

    def start(self) -> _core.Worker:
        """Start the worker's threads, and return the Rust worker at once."""
        warn_of_time_limits(self.settings)
        core = self._core = self.make_core()
        core.start()
        self._server.start()
        _living.add(self)
        return core

    def make_core(self) -> _core.Worker:
        """The Rust worker."""
        return _core.Worker(self.settings, pulse=_core.NodePulse(self.app.clock))

    def ensure_started(self, timeout_s: float | None = None) -> None:
        """Wait until tasks are consumed.

        Raises:
            ImproperlyConfigured: It ended instead: a URL or a server that cannot be used.
            TimeoutError: Not within ``timeout_s`` seconds.
        """
        if not self._is_ready.wait(timeout_s):
            raise TimeoutError(
                f"worker {self.hostname} is not ready after {timeout_s} s: can its broker be reached? Its log says "
                f"more (logger fastworker.worker)"
            )
        self.raise_error()

    def raise_error(self) -> None:
        """
        Raises:
            ImproperlyConfigured: The worker has ended because it could not go on.
        """
        if self._error is not None:
            raise ImproperlyConfigured(self._error)

    def stop(self, timeout_s: float | None = None) -> None:
        """Let running tasks finish, give back the others, and end every thread.

        Args:
            timeout_s: What runs longer is abandoned: its message goes back to the queue, its thread goes on. None
                waits for ever.

        Raises:
            RuntimeError: A task was abandoned.
        """
        core = self._core
        if core is None:
            return
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        core.shutdown("warm")
        try:
            is_warm = self._is_finished.wait(timeout_s)
        except BaseException:
            core.shutdown("cold")
            raise
        if not is_warm:
            core.shutdown("cold")
            self._is_finished.wait()
        self._server.join()
        core.join()
        self._core = None
        _living.discard(self)
        for child in self._children:
            child.join(None if ends_at is None else max(0.0, ends_at - time.monotonic()))
        late = [child.name for child in self._children if child.is_alive()]
        if late:
            raise RuntimeError(
                f"Worker thread failed to exit within the allocated timeout of {timeout_s} s: a task still runs in "
                f"{', '.join(late)}. Consider raising `shutdown_timeout` if your tasks take longer to execute."
            )

    def reload(self, *args: Any, **kwargs: Any) -> None:
        """Learn of the tasks that were registered since the start. Running tasks are finished first.

        Celery's arguments are accepted: modules are not imported again, since tasks run in this very process.
        """
        self._is_reloading = True
        try:
            self.stop()
            self._prepare()
            self.start()
            self.ensure_started()
        finally:
            self._is_reloading = False

    # -------------------------------------------------------------------------------------------------- events

    def _serve(self) -> None:
        """The thread that serves what the worker reports, until it has ended."""
        core = self._core
        assert core is not None, "started after the runtime"
        try:
            while not self._is_finished.is_set():
                for name, facts in core.wait(_LONGEST_SLEEP_S):
                    self._on_event(core, name, facts)
        finally:
            # Whoever waits for it must not wait for ever, whatever went wrong here.
            self._is_finished.set()
            self._is_ready.set()
            self.after_serving()

    def _on_event(self, core: _core.Worker, name: str, facts: dict[str, Any]) -> None:
        if name == "received":
            received_logger.info("Task %(task)s[%(id)s] received", facts)
        elif name == "log":
            logger.log(facts["level"], "%s", facts["text"])
        elif name == "broadcast":
            self._pidbox.on_broadcast(facts["message"])
        elif name == "start_thread":
            self.start_child(core, **facts)
        elif name == "ready":
            declare(self.app, self.queues, self.hostname)
            if not self._is_reloading:
                self.on_ready()
            self._is_ready.set()
        elif name == "finished":
            if not self._is_reloading:
                self.on_finished()
            self._error = facts["error"]
            if self._error is not None:
                logger.critical("%s", self._error)
            self._is_finished.set()
        self._hooks.on_event(name, facts)

    def on_ready(self) -> None:
        """Called in the serving thread when tasks are consumed; to be overridden."""
        if signals.worker_ready.has_receivers:
            signals.worker_ready.send(sender=self)

    def on_finished(self) -> None:
        """Called in the serving thread when the worker has ended; to be overridden."""
        if signals.worker_shutdown.has_receivers:
            signals.worker_shutdown.send(sender=self)

    def after_serving(self) -> None:
        """Called at the end of the serving thread; to be overridden."""

    def clock_moved(self) -> None:
        """The clock was moved ahead: find anew what is due."""
        core = self._core
        if core is not None:
            core.clock_moved()

    def start_child(self, core: _core.Worker, child: int, socket: int, page: int) -> None:
        """Start a thread that runs tasks; called in the serving thread.

        Args:
            core: To be told when it has ended.
            child: Its number.
            socket: See ``run_in_thread``.
            page: See ``run_in_thread``.
        """
        thread = threading.Thread(
            target=self._run_child,
            args=(core, child, socket, page),
            name=f"{self.hostname} task thread {child + 1}",
            daemon=True,
        )
        self._children = [known for known in self._children if known.is_alive()]
        self._children.append(thread)
        thread.start()

    def _run_child(self, core: _core.Worker, child: int, socket: int, page: int) -> None:
        try:
            if self.options.pool == "solo" and signals.worker_process_init.has_receivers:
                signals.worker_process_init.send(sender=self.hostname)
            run_in_thread(self.app, self.hostname, socket, page)
        except SystemExit:
            logger.warning("a task raised SystemExit: its thread is replaced")
        except BaseException:
            logger.exception("a thread for tasks failed: it is replaced")
        finally:
            core.thread_ended(child)
