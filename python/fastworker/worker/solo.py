"""``--pool solo``: tasks run in the worker's main thread, one at a time, where a debugger works.

The main thread runs tasks; a second one serves what the worker reports; the Rust runtime keeps the leases alive
meanwhile, so that a task may stand at a ``breakpoint()`` for as long as it likes. As in Celery's solo pool there are no
time limits, and a running task cannot be terminated. Unlike there, ``worker_redirect_stdouts`` does not apply: what a
task prints, and a debugger's prompt, go to the terminal.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.app.state import get_current_worker_task, set_default_app
from fastworker.child.thread import run_in_thread
from fastworker.worker.alarm import Alarm
from fastworker.worker.embedded import warn_of_time_limits
from fastworker.worker.worker import WorkerProcess

if TYPE_CHECKING:
    from types import FrameType

    from fastworker.worker.lane import Lane
    from fastworker.worker.lane_plan import LanePlan

logger = logging.getLogger("fastworker.worker")

#: When the worker has ended and its task does not let itself be interrupted, the process exits after so many seconds.
_LAST_WORDS_S = 5.0


#: How often the main thread is interrupted until it has looked at a signal, in seconds.
_KICK_EVERY_S = 0.1


class _Leave(SystemExit):
    """Raised in a task that a cold shutdown ends."""


class SoloProcess(WorkerProcess):
    """A worker node that is one process; the main thread runs the tasks."""

    redirects_stdouts = False
    #: A task that runs cannot be ended alone: it has no process of its own.
    can_terminate = False

    def _lane(self, *args: Any) -> Lane:
        lane = super()._lane(*args)
        # There is nothing to replace.
        lane.settings = dataclasses.replace(
            lane.settings, max_tasks_per_child=None, max_memory_per_child_kib=None
        )
        return lane

    def _keeper(self, plan: LanePlan) -> None:
        """There are no children."""

    def run(self) -> int:
        """Work until told to stop; returns the process's exit status."""
        warn_of_time_limits(self.settings)
        self._starts: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._is_at_work = False
        self._has_unheard = False
        self._is_over = threading.Event()
        self._main_thread = threading.get_ident()
        [lane] = self.lanes
        lane.hold(None, _core.NodePulse(self.app.clock))
        core = lane.core
        set_default_app(self.app)
        if signals.worker_process_init.has_receivers:
            signals.worker_process_init.send(sender=None)
        self._install_signal_handlers()
        signal.signal(signal.SIGURG, self._on_kick)
        self._alarm = Alarm()
        core.start()
        server = threading.Thread(
            target=self._serve_to_the_end, name="fastworker-events", daemon=True
        )
        server.start()
        while (start := self._starts.get()) is not None:
            self._run_tasks(core, **start)
        self._is_over.set()
        server.join()
        self._alarm.close()
        return self._end()

    def _pause_s(self) -> float:
        pause_s = super()._pause_s()
        return min(pause_s, _KICK_EVERY_S) if self._has_unheard else pause_s

    def _noticed(self, numbers: set[int]) -> None:
        """The main thread may be about to wait for a task, and would hear of a signal when that comes."""
        if numbers - {signal.SIGURG}:
            self._has_unheard = True
        if self._has_unheard and not self._is_over.is_set():
            signal.pthread_kill(self._main_thread, signal.SIGURG)

    def _on_kick(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, after the handlers of all signals that came before."""
        self._has_unheard = False

    def _run_tasks(self, core: _core.Worker, child: int, socket: int, page: int) -> None:
        try:
            try:
                self._is_at_work = True
                run_in_thread(self.app, self.hostname, socket, page)
            finally:
                self._is_at_work = False
        except _Leave as leaving:
            if leaving.code:
                logger.warning("the running task was interrupted; it is delivered again")
        except SystemExit:
            logger.warning("a task raised SystemExit; the worker goes on")
        except BaseException:
            logger.exception("running tasks failed; the worker goes on")
        finally:
            # Once more: it may have been interrupted just before it said so itself.
            self._is_at_work = False
            core.thread_ended(child)

    def _on_event(self, lane: Lane, name: str, facts: dict[str, Any]) -> None:
        if name == "start_thread":
            self._starts.put(facts)
        super()._on_event(lane, name, facts)

    def _serve_to_the_end(self) -> None:
        """The second thread. When the worker has ended, a task that still runs is interrupted, and if that does not
        help the process exits: its message is with the broker again."""
        try:
            self._serve()
        finally:
            self._is_finished = True
            self._starts.put(None)
            if self._is_at_work:
                signal.pthread_kill(self._main_thread, signal.SIGQUIT)
        if not self._is_over.wait(_LAST_WORDS_S):
            logger.critical("the running task cannot be interrupted: the process exits without it")
            logging.shutdown()
            os._exit(1)

    def _on_quit(self, number: int, frame: FrameType | None) -> None:
        if not self._is_finished:
            super()._on_quit(number, frame)
        elif self._is_at_work:
            self._leave()

    def _stop(self, number: int, how: str) -> None:
        super()._stop(number, how)
        if how == "cold" and self._is_at_work:
            self._leave()

    @staticmethod
    def _leave() -> None:
        """Raise in the task; its code says whether there is one."""
        raise _Leave(get_current_worker_task() is not None)

    def _words_of(self, how: str) -> str:
        return (
            super()
            ._words_of(how)
            .replace("are killed", "are interrupted")
            .replace("kill them", "interrupt them")
        )
