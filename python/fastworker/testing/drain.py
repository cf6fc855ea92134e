"""``drain``: run what was published, here and now.

The whole worker works, with its one child in the thread that calls: tasks run one after the other, most urgent first,
in the order of publishing; a debugger stops in them, and what the test has set for its thread (a transaction, a context
variable) holds in them.
"""

from __future__ import annotations

import itertools
import os
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals, states
from fastworker.app.state import get_current_worker_task
from fastworker.child.thread import run_in_thread
from fastworker.worker.embedded import EmbeddedWorker
from fastworker.worker.options import WorkerOptions

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.worker.settings import WorkerSettings

_numbers = itertools.count(1)
_CONNECT_TIMEOUT_S = 30.0
_STATES = {
    "success": states.SUCCESS,
    "failure": states.FAILURE,
    "retry": states.RETRY,
    "ignore": states.IGNORED,
    "reject": states.REJECTED,
    "requeue": states.REJECTED,
    "poison": states.FAILURE,
}


@dataclass(frozen=True)
class Run:
    """One task that ran: its name, its id, and the state it ended in."""

    task: str
    id: str
    state: str


@dataclass(frozen=True)
class Drained:
    """What ``drain`` ran, in order."""

    runs: list[Run] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.runs)

    def count(self, state: str) -> int:
        """How many ended in ``state``."""
        return sum(run.state == state for run in self.runs)

    @property
    def succeeded(self) -> int:
        """How many ended in SUCCESS."""
        return self.count(states.SUCCESS)

    @property
    def failed(self) -> int:
        """How many ended in FAILURE."""
        return self.count(states.FAILURE)

    @property
    def retried(self) -> int:
        """How many will be tried again."""
        return self.count(states.RETRY)


def drain(app: FastWorker, *queues: str, throw: bool = False) -> Drained:
    """Run what waits in the queues, and what that publishes, until nothing is left that could run now.

    What is due later stays (``fastworker.testing.clock.advance`` makes it due), and so does what is over its rate
    limit, with what waits behind it.

    Args:
        app: Its tasks, its broker: any kind.
        queues: The queues; none: those that a worker would consume.
        throw: Raise the first exception that a task failed with, after everything has run.

    Raises:
        ImproperlyConfigured: A setting cannot be used.
        TimeoutError: The broker cannot be reached.
        RuntimeError: Called inside of a task that a worker runs.
    """
    if get_current_worker_task() is not None:
        raise RuntimeError("drain() inside of a task would wait for itself; call it in the test")
    drained = Drained()
    worker = _DrainingWorker(app, queues)
    with _first_failure(throw):
        worker.run(drained)
    return drained


@contextmanager
def _first_failure(throw: bool) -> Iterator[None]:
    failures: list[BaseException] = []

    def note(exception: BaseException, **_: Any) -> None:
        failures.append(exception)

    if not throw:
        yield
        return
    signals.task_failure.connect(note, weak=False)
    try:
        yield
    finally:
        signals.task_failure.disconnect(note)
    if failures:
        raise failures[0]


class _DrainingWorker(EmbeddedWorker):
    """A worker whose one child is the thread that calls ``run``."""

    def __init__(self, app: FastWorker, queues: tuple[str, ...]) -> None:
        #: Children to be, ``(number, socket, page)``; None: the worker has ended.
        self._wanted: queue.SimpleQueue[tuple[int, int, int] | None] = queue.SimpleQueue()
        hostname = f"drain{os.getpid()}-{next(_numbers)}@localhost"
        super().__init__(
            app, WorkerOptions(hostname, pool="solo", concurrency=1, queues=queues, quiet=True)
        )

    def _settings(self) -> WorkerSettings:
        # One message at a time and nothing waits here for its time, so that the order is the broker's.
        return replace(super()._settings(), prefetch=1, eta_horizon_s=0.0)

    def make_core(self) -> _core.Worker:
        return _core.Worker(self.settings, pulse=_core.NodePulse(self.app.clock), drains=True)

    def on_ready(self) -> None:
        """Nobody is told: no worker of the user's started."""

    def on_finished(self) -> None:
        """As above."""

    def start_child(self, core: _core.Worker, child: int, socket: int, page: int) -> None:
        self._wanted.put((child, socket, page))

    def after_serving(self) -> None:
        self._wanted.put(None)

    def run(self, drained: Drained) -> None:
        """Work until the queues are drained."""
        core = self.start()
        try:
            wanted = self._first_wanted()
            while wanted is not None:
                child, socket, page = wanted
                try:
                    run_in_thread(
                        self.app, self.hostname, socket, page, lambda link: _Ledger(link, drained)
                    )
                finally:
                    core.thread_ended(child)
                wanted = self._wanted.get()
        except BaseException:
            core.shutdown("cold")
            raise
        finally:
            self.stop()
            self._close_unused()
        self.raise_error()

    def _first_wanted(self) -> tuple[int, int, int] | None:
        try:
            return self._wanted.get(timeout=_CONNECT_TIMEOUT_S)
        except queue.Empty:
            raise TimeoutError(
                f"the broker of {self.app!r} cannot be reached; the log says more (logger fastworker.worker)"
            ) from None

    def _close_unused(self) -> None:
        while not self._wanted.empty():
            wanted = self._wanted.get()
            for descriptor in wanted[1:] if wanted is not None else ():
                os.close(descriptor)


class _Ledger:
    """Stands before the link and notes what the loop reports."""

    def __init__(self, link: ChildLink, drained: Drained) -> None:
        self._link = link
        self._drained = drained

    def succeed(
        self,
        call: Call,
        value: Any,
        store: bool,
        member: Any = None,
        show: Callable[[Any], str] | None = None,
    ) -> None:
        self._link.succeed(call, value, store, member, show)
        self._drained.runs.append(Run(call.task, call.id, states.SUCCESS))

    def report(self, call: Call, kind: str, **facts: Any) -> None:
        self._link.report(call, kind, **facts)
        self._drained.runs.append(Run(call.task, call.id, _STATES[kind]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)
