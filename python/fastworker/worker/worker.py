"""The parent's main thread: starts everything in the one order that is safe, then serves signals, logs and hooks.

Order: import the application → the user's main-process hooks → fork the zygote → start the Rust runtime. Nothing may
start a thread before the fork.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastworker import _core, greenlets, signals
from fastworker.app.settings_check import check
from fastworker.app.unacted import unacted
from fastworker.child.main import child_main_of
from fastworker.errors import ImproperlyConfigured
from fastworker.observer import Signal
from fastworker.worker import logs
from fastworker.worker.affinity import cores_of
from fastworker.worker.alarm import Alarm
from fastworker.worker.bindings import declare
from fastworker.worker.hooks import Hooks
from fastworker.worker.lifeline import Lifeline
from fastworker.worker.node_names import file_name
from fastworker.worker.panel import State
from fastworker.worker.pidbox import Pidbox
from fastworker.worker.pidfile import pidfile
from fastworker.worker.queue_terms import QueueTerms
from fastworker.worker.startup import (
    Size,
    banner_of,
    load_tasks,
    queues_of,
    refuse_memory,
    size_of,
    threads_of_imports,
    worker_settings,
)
from fastworker.worker.statedb import StateFile
from fastworker.worker.zygote import fork_zygote, spawn_zygote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastworker.app.app import FastWorker
    from fastworker.worker.options import WorkerOptions
    from fastworker.worker.settings import WorkerSettings

logger = logging.getLogger("fastworker.worker")
received_logger = logging.getLogger("fastworker.worker.strategy")

#: A state file is written so long after a revoke, in seconds, so that many are one write.
_SAVE_AFTER_S = 1.0
#: How long the main thread sleeps when nothing happens, in seconds; signals and reports wake it at once.
_LONGEST_SLEEP_S = 3600.0
#: A zygote that dies this soon after its start is not replaced at once, in seconds; after so many of them in a row, not
#: at all.
_SOON_S = 5.0
_MOST_EARLY_DEATHS = 5


class WorkerProcess:
    """One worker node's main thread."""

    #: What tasks print becomes log lines, if the settings say so.
    redirects_stdouts = True
    #: A task that runs can be ended: it has a process of its own.
    can_terminate = True

    def __init__(self, app: FastWorker, options: WorkerOptions) -> None:
        self.app = app
        self.options = options
        self.hostname = options.hostname
        #: The queues to consume, known when ``celeryd_after_setup`` is sent, which may change them in place.
        self.queues: list[str] = []
        self.concurrency = options.concurrency
        self._hooks = Hooks(app, options.hostname, self)
        self._log_plan: logs.LogPlan | None = None
        self._state_file: StateFile | None = None
        self._save_at: float | None = None
        self._pidbox = Pidbox(State(app, options.hostname, self))
        self._started = time.monotonic()
        self._autoscale: tuple[int, int] | None = None
        self._worker: _core.Worker | None = None
        self._lifeline = Lifeline()
        self._zygote_pid = 0
        self._zygote_started = time.monotonic()
        self._early_deaths = 0
        self._replace_at: float | None = None
        self._stops = 0
        self._is_quitting = False
        self._soft_s = 0.0
        self._is_finished = False
        self._error: str | None = None

    def prepare(self) -> None:
        """Everything before the first fork; sends the hooks of a worker that is about to start.

        Raises:
            ImproperlyConfigured: A setting or an option cannot be used.
        """
        app, options = self.app, self.options
        _send(
            signals.celeryd_init,
            options.hostname,
            instance=self,
            conf=app.conf,
            options=options.as_dict(),
        )
        # The modules may connect setup_logging, so they come before it.
        load_tasks(app, options.include)
        self.queues = queues_of(app, options)
        _send(signals.worker_init, self)
        self._log_plan = logs.set_up(
            app, options.hostname, **options.logging(), redirects=self.redirects_stdouts
        )
        check(app.conf)
        refuse_memory(app)
        size = size_of(app, options)
        self.concurrency = size.concurrency * size.slots
        _send(signals.celeryd_after_setup, options.hostname, instance=self, conf=app.conf)
        is_info = received_logger.isEnabledFor(logging.INFO)
        revoked = self._load_state()
        self.settings = self._settings(app, options, size, self.queues, is_info, revoked)
        self._autoscale = self.settings.autoscale
        self._cores = cores_of(app.conf.worker_cpu_affinity, "worker_cpu_affinity (--cpu-affinity)")
        self._start_method = app.conf.worker_pool_start_method
        if options.pool in greenlets.NAMES:
            # Not a fork: it would have its parent's hub, and what waits there.
            self._start_method = "spawn"
            greenlets.of(options.pool)
        if self._start_method == "spawn" and not options.app_spec:
            raise ImproperlyConfigured(
                f"{self._why_spawned()}: each process imports the application by itself, and nothing says from where; "
                f"start the worker with -A"
            )
        self._soft_s = self.settings.soft_shutdown_s
        if not options.quiet:
            print(banner_of(app, options, size, self.settings), file=sys.__stdout__, flush=True)
        for queue in QueueTerms.of(app, options).unused(self.queues):
            logger.info("queue %r has a limit or a weight, and is not consumed here", queue)
        for line in unacted(app.conf):
            logger.warning("%s", line)

    def _why_spawned(self) -> str:
        pool = self.options.pool
        return (
            f"the pool is {pool}"
            if pool in greenlets.NAMES
            else "worker_pool_start_method is spawn"
        )

    def _settings(
        self,
        app: FastWorker,
        options: WorkerOptions,
        size: Size,
        queues: list[str],
        reports_received: bool,
        revoked: Sequence[str],
    ) -> WorkerSettings:
        """What the Rust half is told."""
        return worker_settings(app, options, size, queues, reports_received, revoked)

    def _load_state(self) -> Sequence[str]:
        """The ids in the state file, if there is one."""
        path = self.options.statedb or self.app.conf.worker_state_db
        if not path:
            return ()
        self._state_file = StateFile.load(file_name(path, self.options.hostname))
        self.app.clock.adjust(self._state_file.clock)
        return self._state_file.revoked

    def run(self) -> int:
        """Work until told to stop; returns the process's exit status."""
        words, self._zygote_pid = self._first_zygote()
        self._worker = _core.Worker(self.settings, words.detach(), self._zygote_pid)
        self._install_signal_handlers()
        self._alarm = Alarm()
        self._worker.start()
        self._serve()
        self._alarm.close()
        self._reap(self._zygote_pid)
        return self._end()

    def _first_zygote(self) -> tuple[socket.socket, int]:
        if self._start_method == "spawn":
            return spawn_zygote(self._recipe(), self._lifeline)
        threads = threads_of_imports()
        if threads:
            logger.warning(
                "importing the application started %d thread(s) (%s): a fork does not copy them, and locks they hold "
                "stay locked in the children. Start them in worker_process_init instead, or run with "
                "--pool-start-method spawn.",
                len(threads),
                ", ".join(threads),
            )
        child_main = child_main_of(
            self.app, self.options.hostname, self._log_plan, self.options.pool
        )
        return fork_zygote(child_main, self._lifeline, self._cores)

    def _serve(self) -> None:
        """Act on what the worker reports, until it has ended."""
        while not self._is_finished:
            for name, facts in self.core.wait(self._pause_s(), self._alarm.fileno()):
                self._on_event(name, facts)
            self._noticed(self._alarm.take())
            if self._replace_at is not None and time.monotonic() >= self._replace_at:
                self._replace_zygote()
            if self._save_at is not None and time.monotonic() >= self._save_at:
                self._save_state()
        if self._save_at is not None:
            self._save_state()

    def _noticed(self, numbers: set[int]) -> None:
        """Signals came; here, in the main thread, their handlers have been called."""

    def _end(self) -> int:
        """The last hook and word; returns the exit status."""
        if signals.worker_shutdown.has_receivers:
            signals.worker_shutdown.send(sender=self)
        if self._error is not None:
            logger.critical("%s", self._error)
            return 1
        return 0

    # ------------------------------------------------------------------------------------------------- events

    def _on_event(self, name: str, facts: dict[str, Any]) -> None:
        if name == "broadcast":
            self._pidbox.on_broadcast(facts["message"])
        elif name == "received":
            received_logger.info("Task %(task)s[%(id)s] received", facts)
        elif name == "log":
            logger.log(facts["level"], "%s", facts["text"])
        elif name == "ready":
            declare(self.app, self.queues)
            if logger.isEnabledFor(logging.INFO):
                logger.info("%s ready.", self.options.hostname)
            elif not self.options.quiet:
                print(f"{self.options.hostname} ready.", file=sys.__stdout__, flush=True)
            if signals.worker_ready.has_receivers:
                signals.worker_ready.send(sender=self)
        elif name == "zygote_gone":
            self._on_zygote_gone()
        elif name == "finished":
            self._is_finished = True
            self._error = self._error or facts["error"]
        self._hooks.on_event(name, facts)

    def _pause_s(self) -> float:
        due = [at for at in (self._replace_at, self._save_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else _LONGEST_SLEEP_S

    # -------------------------------------------------------------------------------------- remote control

    @property
    def core(self) -> _core.Worker:
        """The Rust half. Commands come from it, so that it is there by then."""
        assert self._worker is not None, "a command came before the worker was started"
        return self._worker

    @property
    def pool(self) -> str:
        """What runs tasks."""
        return "prefork" if self.options.pool == "processes" else self.options.pool

    @property
    def prefetch(self) -> int:
        """Most messages held at once."""
        return self.settings.prefetch

    @property
    def autoscale(self) -> tuple[int, int] | None:
        """Most and fewest children, when the pool scales by itself."""
        return self._autoscale

    def set_autoscale(self, most: int, fewest: int) -> None:
        """Other bounds."""
        self._autoscale = (most, fewest)
        self.core.resize(max=most, min=fewest)

    def terms_of(self, queue: str) -> tuple[int | None, int]:
        """The limit and the weight that a queue is consumed with."""
        return QueueTerms.of(self.app, self.options)[queue]

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def stop_by_remote(self, message: str) -> None:
        """Begin a warm shutdown, as SIGTERM does."""
        logger.warning("%s", message)
        self._stop(signal.SIGTERM, "warm")

    def note_revoked(self, ids: Sequence[str]) -> None:
        """Ids were revoked: the state file is written within a second, once for many."""
        if self._state_file is not None and ids:
            self._state_file.add(ids, self.settings.revokes_max)
            if self._save_at is None:
                self._save_at = time.monotonic() + _SAVE_AFTER_S

    def _save_state(self) -> None:
        self._save_at = None
        if self._state_file is None:
            return
        try:
            self._state_file.save(self.app.clock.value)
        except OSError as exc:
            logger.error("cannot write --statedb %s: %s", self._state_file.path, exc)

    def _on_zygote_gone(self) -> None:
        self._reap(self._zygote_pid)
        if self._stops:
            return
        is_early = time.monotonic() - self._zygote_started < _SOON_S
        self._early_deaths = self._early_deaths + 1 if is_early else 0
        if self._early_deaths > _MOST_EARLY_DEATHS:
            self._error = (
                f"the zygote process died {self._early_deaths} times within {_SOON_S:.0f} s of its start: it cannot "
                f"import -A {self.options.app_spec!r} again; its last words are above"
            )
            self._stop(signal.SIGQUIT, "cold")
            return
        self._replace_at = time.monotonic() + (
            2 ** (self._early_deaths - 1) / 10 if is_early else 0.0
        )

    def _replace_zygote(self) -> None:
        self._replace_at = None
        if self._stops or self._worker is None:
            return
        words, self._zygote_pid = spawn_zygote(self._recipe(), self._lifeline)
        self._zygote_started = time.monotonic()
        self._worker.adopt_zygote(words.detach(), self._zygote_pid)

    def _recipe(self) -> dict[str, object]:
        return {
            "app": self.options.app_spec,
            "workdir": os.getcwd(),
            # Python ignores what is no text.
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "include": list(self.options.include),
            "node": self.options.hostname,
            "pool": self.options.pool,
            "overrides": self.options.overrides(),
            "logging": self.options.logging(),
            "start_method": self._start_method,
            "cores": self._cores,
        }

    @staticmethod
    def _reap(pid: int) -> None:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return

    # ------------------------------------------------------------------------------------------------ signals

    def _install_signal_handlers(self) -> None:
        remapped = os.environ.get("REMAP_SIGTERM") == "SIGQUIT"
        signal.signal(signal.SIGTERM, self._on_quit if remapped else self._on_warm)
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGQUIT, self._on_quit)
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def _on_warm(self, number: int, _frame: FrameType | None) -> None:
        self._stop(number, "warm")

    def _on_quit(self, number: int, _frame: FrameType | None) -> None:
        """Cold; soft the first time, if there is a time for it."""
        is_first, self._is_quitting = not self._is_quitting, True
        self._stop(number, "soft" if self._soft_s > 0 and is_first else "cold")

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C: warm the first time, as SIGQUIT afterwards."""
        if self._stops:
            self._on_quit(number, frame)
        else:
            self._stop(number, "warm")

    def _stop(self, number: int, how: str) -> None:
        # First of all: another signal may come in the middle of what follows.
        self._stops += 1
        name = signal.Signals(number).name
        logger.warning("%s: %s", name, self._words_of(how))
        if signals.worker_shutting_down.has_receivers:
            signals.worker_shutting_down.send(
                sender=self.options.hostname, sig=name, how=how.capitalize(), exitcode=0
            )
        if self._worker is not None:
            self._worker.shutdown(how)

    def _words_of(self, how: str) -> str:
        """What a shutdown means for running tasks, for the log."""
        warm_s = self.settings.warm_shutdown_s
        bound = "" if warm_s is None else f" for at most {warm_s:g} s"
        return {
            "warm": f"warm shutdown: finishing running tasks{bound} (Ctrl-C again: kill them)",
            "soft": f"soft shutdown: running tasks get {self._soft_s:g} s, then they are killed and delivered again",
            "cold": "cold shutdown: running tasks are killed and delivered again",
        }[how]


def run(app: FastWorker, options: WorkerOptions) -> int:
    """Run a worker for ``app`` in this process until it is told to stop; returns the exit status.

    Raises:
        ImproperlyConfigured: A setting or an option cannot be used; nothing was started.
    """
    with pidfile(options.pidfile):
        process = _kind_of(options.pool)(app, options)
        process.prepare()
        return process.run()


def _kind_of(pool: str) -> type[WorkerProcess]:
    if pool == "solo":
        from fastworker.worker.solo import SoloProcess

        return SoloProcess
    return WorkerProcess


def _send(signal: Signal, sender: Any, **facts: Any) -> None:
    if signal.has_receivers:
        signal.send(sender=sender, **facts)
