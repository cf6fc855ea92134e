"""Keeps a zygote for one pool: starts the first one, another when it dies, and one that takes its place when asked."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastworker import greenlets
from fastworker.child.main import child_main_of
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.zygote import fork_zygote, spawn_zygote

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.child.main import Seat
    from fastworker.worker.lifeline import Lifeline
    from fastworker.worker.logs import LogPlan
    from fastworker.worker.options import WorkerOptions

#: A zygote that dies this soon after its start is not replaced at once, in seconds; after so many of them in a row, not
#: at all.
_SOON_S = 5.0
_MOST_EARLY_DEATHS = 5


class ZygoteKeeper:
    """The zygotes of one pool, one after the other.

    Args:
        app: What its children run.
        options: The worker's.
        pool: As in ``WorkerOptions``.
        seat: Which children are made.
        lifeline: The parent's.
        cores: Those that children are pinned to; none: they are not.

    Attributes:
        forks: The first one is a fork of this process.
        replace_at: When another has to be started (``time.monotonic``); None: there is one, or none is wanted.

    Raises:
        ImproperlyConfigured: Children would have to import the application, and nothing says from where.
    """

    def __init__(
        self,
        app: FastWorker,
        options: WorkerOptions,
        pool: str,
        seat: Seat,
        lifeline: Lifeline,
        cores: Sequence[int],
    ) -> None:
        self._app = app
        self._options = options
        self._pool = pool
        self._seat = seat
        self._lifeline = lifeline
        self._cores = cores
        self._start_method = app.conf.worker_pool_start_method
        if pool in greenlets.NAMES:
            # Not a fork: it would have its parent's hub, and what waits there.
            self._start_method = "spawn"
            greenlets.of(pool)
        if self._start_method == "spawn" and not options.app_spec:
            raise ImproperlyConfigured(
                f"{self._why_spawned()}: each process imports the application by itself, and nothing says from where; "
                f"start the worker with -A"
            )
        self.forks = self._start_method == "fork"
        self._pid = 0
        #: Another one, which has not taken the place of that yet; and those whose place was taken, and that have not
        #: ended.
        self._successor: int | None = None
        self._retired: set[int] = set()
        self._modules: tuple[str, ...] = ()
        self._next_modules: tuple[str, ...] = ()
        self._started = time.monotonic()
        self._early_deaths = 0
        self.replace_at: float | None = None

    def _why_spawned(self) -> str:
        if self._pool in greenlets.NAMES:
            return f"the pool is {self._pool}"
        return "worker_pool_start_method is spawn"

    def first(
        self, log_plan: LogPlan | None, others: Sequence[socket.socket]
    ) -> tuple[socket.socket, int]:
        """Start the first one, before any runtime; returns the socket to it and its pid.

        Args:
            log_plan: How its children log.
            others: Sockets to the zygotes of other pools, which are not this one's to hold.
        """
        if not self.forks:
            words, self._pid = spawn_zygote(self._recipe(), self._lifeline)
            return words, self._pid
        child_main = child_main_of(
            self._app, self._options.hostname, log_plan, self._pool, self._seat
        )
        words, self._pid = fork_zygote(child_main, self._lifeline, self._cores, others)
        return words, self._pid

    def died(self) -> str | None:
        """It is gone: another is due, soon. A text for the operator: it has died too often to go on."""
        self.reap()
        is_early = time.monotonic() - self._started < _SOON_S
        self._early_deaths = self._early_deaths + 1 if is_early else 0
        if self._early_deaths > _MOST_EARLY_DEATHS:
            return (
                f"the zygote process died {self._early_deaths} times within {_SOON_S:.0f} s of its start: it cannot "
                f"import -A {self._options.app_spec!r} again; its last words are above"
            )
        pause_s = 2 ** (self._early_deaths - 1) / 10 if is_early else 0.0
        self.replace_at = time.monotonic() + pause_s
        return None

    def next(self) -> tuple[socket.socket, int]:
        """Start another; as ``first``."""
        self.replace_at = None
        words, self._pid = spawn_zygote(self._recipe(), self._lifeline)
        self._started = time.monotonic()
        return words, self._pid

    def another(self, modules: Sequence[str]) -> tuple[socket.socket, int]:
        """Start one that is to take the place of the one that serves, and imports the application anew; as ``first``.

        Args:
            modules: What else it imports, and those after it.

        Raises:
            ImproperlyConfigured: Nothing says from where the application is imported.
            RuntimeError: One was started already, and has not got ready.
        """
        if not self._options.app_spec:
            raise ImproperlyConfigured(
                "new processes import the application by themselves, and nothing says from where; start the worker "
                "with -A"
            )
        if self._successor is not None:
            raise RuntimeError(
                "a restart of this pool is under way; try again when the log says that it is done"
            )
        self._next_modules = tuple(dict.fromkeys((*self._modules, *modules)))
        words, pid = spawn_zygote(self._recipe(self._next_modules), self._lifeline)
        self._successor = pid
        return words, pid

    def succeeded(self) -> None:
        """The one that was started by ``another`` serves now."""
        assert self._successor is not None, "it was started"
        self._retired.add(self._pid)
        self._pid, self._successor = self._successor, None
        self._started = time.monotonic()
        self._modules = self._next_modules
        self.replace_at = None

    def ended(self, pid: int) -> bool:
        """Bury one that does not serve. True: it was to, and never got ready."""
        _bury(pid)
        self._retired.discard(pid)
        if pid != self._successor:
            return False
        self._successor = None
        return True

    def reap(self) -> None:
        """Bury the one that has ended."""
        _bury(self._pid)

    def reap_all(self) -> None:
        """Bury all of them, when the worker has ended."""
        for pid in (self._pid, self._successor, *self._retired):
            if pid is not None:
                _bury(pid)

    def _recipe(self, modules: Sequence[str] | None = None) -> dict[str, Any]:
        return {
            "app": self._options.app_spec,
            "workdir": os.getcwd(),
            # Python ignores what is no text.
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "include": [*self._options.include, *(self._modules if modules is None else modules)],
            "node": self._options.hostname,
            "pool": self._pool,
            "seat": self._seat._asdict(),
            "overrides": self._options.overrides(),
            "logging": self._options.logging(),
            "start_method": self._start_method,
            "cores": list(self._cores),
        }


def _bury(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return
