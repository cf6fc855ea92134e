"""The parent's main thread: starts everything in the one order that is safe, then serves signals, logs and hooks.

Order: import the application → the user's main-process hooks → fork the zygote → start the Rust runtime. Nothing may
start a thread before the fork.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.app.settings_check import check
from fastworker.errors import OperationalError
from fastworker.observer import Signal
from fastworker.rates import per_second
from fastworker.worker import logs
from fastworker.worker.affinity import cores_of
from fastworker.worker.alarm import Alarm
from fastworker.worker.bindings import declare
from fastworker.worker.copies import fanout_of
from fastworker.worker.hooks import Hooks
from fastworker.worker.lane import Lane, first_zygotes
from fastworker.worker.lane_plan import LanePlan, follow, lane_plans, unserved
from fastworker.worker.lanes import Lanes
from fastworker.worker.lifeline import Lifeline
from fastworker.worker.node_info import NOTHING_HELD, lane_info
from fastworker.worker.node_names import file_name
from fastworker.worker.panel import State
from fastworker.worker.pidbox import Pidbox
from fastworker.worker.pidfile import pidfile
from fastworker.worker.queue_terms import QueueTerms
from fastworker.worker.startup import (
    banner_of,
    load_tasks,
    refuse_memory,
    worker_settings,
)
from fastworker.worker.statedb import StateFile
from fastworker.worker.zygote_keeper import ZygoteKeeper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastworker.app.app import FastWorker
    from fastworker.worker.options import WorkerOptions
    from fastworker.worker.settings import WorkerSettings

logger = logging.getLogger("fastworker.worker")
received_logger = logging.getLogger("fastworker.worker.strategy")

#: A state file is written so long after a revoke, in seconds, so that many are one write.
_SAVE_AFTER_S = 1.0
#: How long the main thread sleeps when nothing happens, in seconds; signals and reports wake it at once.
_LONGEST_SLEEP_S = 3600.0


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
        self._lifeline = Lifeline()
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
        plans = lane_plans(app, options)
        self.queues = [queue for plan in plans for queue in plan.queues]
        _send(signals.worker_init, self)
        self._log_plan = logs.set_up(
            app, options.hostname, **options.logging(), redirects=self.redirects_stdouts
        )
        check(app.conf)
        refuse_memory(app)
        self.concurrency = sum(plan.concurrency for plan in plans)
        _send(signals.celeryd_after_setup, options.hostname, instance=self, conf=app.conf)
        follow(plans, self.queues)
        revoked = self._load_state()
        self.lanes = Lanes([self._lane(plan, revoked) for plan in plans])
        self._soft_s = self.settings.soft_shutdown_s
        if not options.quiet:
            print(banner_of(app, options, list(self.lanes)), file=sys.__stdout__, flush=True)
        for queue in QueueTerms.of(app, options).unused(self.queues):
            logger.info("queue %r has a limit or a weight, and is not consumed here", queue)
        for queue in unserved(app, plans):
            logger.info("queue %r is configured, and in no lane: it is not consumed here", queue)
        for line in app.unapplied():
            logger.warning("%s", line)

    def _lane(self, plan: LanePlan, revoked: Sequence[str]) -> Lane:
        is_info = received_logger.isEnabledFor(logging.INFO)
        settings = worker_settings(
            self.app, plan.options, plan.size, plan.queues, is_info, revoked, plan.name is not None
        )
        return Lane(plan.name, plan.options, plan.size, settings, self._keeper(plan))

    def _keeper(self, plan: LanePlan) -> ZygoteKeeper | None:
        """What has the lane's children made."""
        cores = cores_of(self.app.conf.worker_cpu_affinity, "worker_cpu_affinity (--cpu-affinity)")
        return ZygoteKeeper(
            self.app,
            self.options,
            plan.options.pool,
            plan.seat,
            self._lifeline,
            plan.cores_first(cores),
        )

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
        zygotes = first_zygotes(list(self.lanes), self._log_plan)
        pulse = _core.NodePulse(self.app.clock)
        for lane, zygote in zip(self.lanes, zygotes, strict=True):
            lane.hold(zygote, pulse)
        self._install_signal_handlers()
        self._alarm = Alarm()
        for lane in self.lanes:
            lane.core.start()
        self._serve()
        self._alarm.close()
        for lane in self.lanes:
            if lane.keeper is not None:
                lane.keeper.reap_all()
        return self._end()

    def _serve(self) -> None:
        """Act on what the worker reports, until it has ended."""
        while not self._is_finished:
            for lane, name, facts in self.lanes.wait(self._pause_s(), self._alarm.fileno()):
                self._on_event(lane, name, facts)
            self._noticed(self._alarm.take())
            self._replace_zygotes()
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

    def _on_event(self, lane: Lane, name: str, facts: dict[str, Any]) -> None:
        if name == "broadcast":
            if self.lanes.is_news(facts["message"]):
                self._pidbox.on_broadcast(facts["message"])
        elif name == "received":
            received_logger.info("Task %(task)s[%(id)s] received", facts, extra=lane.log_extra)
        elif name == "log":
            logger.log(facts["level"], "%s", facts["text"], extra=lane.log_extra)
        elif name == "ready":
            self._on_ready(lane)
        elif name == "zygote_gone":
            self._on_zygote_gone(lane)
        elif name == "restarted":
            self._on_restarted(lane)
        elif name == "zygote_ended":
            self._on_zygote_ended(lane, facts["pid"])
        elif name == "limited":
            self._on_limited(lane, facts["task"])
        elif name == "finished":
            self._on_finished(lane, facts["error"])
        self._hooks.on_event(name, facts)

    def _on_ready(self, lane: Lane) -> None:
        """The node is ready when all its lanes are; those that are sooner work by then."""
        lane.is_ready = True
        if lane.name is not None:
            logger.info("consuming %s", ", ".join(lane.queues), extra=lane.log_extra)
        if not all(lane.is_ready for lane in self.lanes):
            return
        declare(self.app, self.queues, self.hostname)
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s ready.", self.options.hostname)
        elif not self.options.quiet:
            print(f"{self.options.hostname} ready.", file=sys.__stdout__, flush=True)
        if signals.worker_ready.has_receivers:
            signals.worker_ready.send(sender=self)

    def _on_finished(self, lane: Lane, error: str | None) -> None:
        """The node ends when all its lanes have. If one cannot go on, the tasks of the others may end."""
        lane.is_finished = True
        self._error = self._error or error
        self._is_finished = all(lane.is_finished for lane in self.lanes)
        if error is not None and not self._is_finished and not self._stops:
            logger.critical("%s; stopping the other lanes", error, extra=lane.log_extra)
            self._stop(signal.SIGTERM, "warm")

    def _on_limited(self, lane: Lane, task: str) -> None:
        """A task with a rate limit of each worker came to a lane, which keeps its part of the limit by itself."""
        limit = self.app.tasks[task].rate_limit
        try:
            sharers = self.lanes.divide_rate(lane, task, per_second(limit, f"task {task!r}"))
        except OperationalError as exc:
            logger.error("task %s: its rate limit is not divided between its lanes: %s", task, exc)
            return
        if len(sharers) > 1:
            logger.warning(
                "task %s has the rate limit %s and comes to the lanes %s: each of them has an equal part of it. Route "
                "it to one of them, or say rate_limit_scope='cluster'",
                task,
                limit,
                ", ".join(str(sharer.name) for sharer in sharers),
            )

    def _pause_s(self) -> float:
        keepers = [lane.keeper for lane in self.lanes if lane.keeper is not None]
        moments = [self._save_at, *(keeper.replace_at for keeper in keepers)]
        due = [at for at in moments if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else _LONGEST_SLEEP_S

    # -------------------------------------------------------------------------------------- remote control

    @property
    def core(self) -> Lanes:
        """What answers for the whole node."""
        return self.lanes

    @property
    def settings(self) -> WorkerSettings:
        """What the Rust half is told; of the first lane, if there are some: the others differ in queues and pool."""
        return next(iter(self.lanes)).settings

    @property
    def pool(self) -> str:
        """What runs tasks."""
        pools = [
            lane.pool if lane.name is None else f"{lane.name}={lane.pool}" for lane in self.lanes
        ]
        return ",".join(pools)

    @property
    def prefetch(self) -> int:
        """Most messages held at once."""
        return sum(lane.settings.prefetch for lane in self.lanes)

    def unit(self, lane: str | None, queue: str | None = None) -> Lane:
        """The lane that a command is for; see ``Lanes.of``."""
        return self.lanes.of(lane, queue)

    def units(self, lane: str | None) -> Sequence[Lane]:
        """The lane of that name; None: all of them."""
        return list(self.lanes) if lane is None else [self.unit(lane)]

    def lane_of(self, queue: str) -> str | None:
        """The name of the lane that consumes a queue; None without lanes."""
        return self.lanes.lane_of(queue)

    def consume(self, queue: str, lane: str | None) -> None:
        """Consume one more queue."""
        terms = QueueTerms.of(self.app, self.options)[queue]
        fanout = fanout_of(self.app, queue, self.hostname)
        self.lanes.consume(self.unit(lane, queue), queue, *terms, fanout)

    def lane_stats(self, snapshots: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What ``inspect stats`` says of each lane; see ``Node``."""
        named = [(lane.name, lane) for lane in self.lanes if lane.name is not None]
        return {
            name: lane_info(self.app, lane, snapshots.get(name, NOTHING_HELD))
            for name, lane in named
        }

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

    def _on_zygote_gone(self, lane: Lane) -> None:
        assert lane.keeper is not None, "only a zygote can die"
        if self._stops:
            lane.keeper.reap()
            return
        error = lane.keeper.died()
        if error is not None:
            self._error = error
            # Nothing of this lane can start any more; what runs in the others may end.
            others = [other for other in self.lanes if other is not lane]
            self._stop(signal.SIGQUIT, "warm" if others else "cold")
            lane.core.shutdown("cold")

    def _on_restarted(self, lane: Lane) -> None:
        assert lane.keeper is not None, "only a zygote can be replaced"
        lane.keeper.succeeded()
        logger.warning(
            "the pool is restarted: new tasks run in new processes", extra=lane.log_extra
        )

    def _on_zygote_ended(self, lane: Lane, pid: int) -> None:
        assert lane.keeper is not None, "only a zygote can end"
        if lane.keeper.ended(pid):
            logger.error(
                "the pool is not restarted, and its processes go on: the new zygote process ended before it was "
                "ready. It cannot import -A %r; its last words are above",
                self.options.app_spec,
                extra=lane.log_extra,
            )

    def _replace_zygotes(self) -> None:
        now = time.monotonic()
        for lane in self.lanes:
            keeper = lane.keeper
            if keeper is None or keeper.replace_at is None or now < keeper.replace_at:
                continue
            if self._stops:
                keeper.replace_at = None
            else:
                lane.adopt_next_zygote()

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
        # And before anything is said of it: nobody who reads the line sees another task start.
        for lane in self.lanes:
            if lane.has_core:
                lane.core.shutdown(how)
        name = signal.Signals(number).name
        logger.warning("%s: %s", name, self._words_of(how))
        if signals.worker_shutting_down.has_receivers:
            signals.worker_shutting_down.send(
                sender=self.options.hostname, sig=name, how=how.capitalize(), exitcode=0
            )

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
