"""``celery.signals`` of what our worker does itself; those around a task's run are sent by Celery's tracer.

What is sent once in a process is always passed on. What is sent for a task costs the worker something when it has a
receiver, so those are passed on when Celery's have receivers at the worker's start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import signals as celery_signals
from celery.app.trace import setup_worker_optimizations
from celery.result import _set_task_join_will_block

from fastworker import signals

if TYPE_CHECKING:
    from fastworker.hosting.app import HostedApp
    from fastworker.observer import Signal

_ONCE = (
    "celeryd_init",
    "celeryd_after_setup",
    "worker_before_create_process",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutting_down",
    "worker_shutdown",
)
#: A receiver of the first of them has the logging set up by the user.
_IF_WANTED = ("setup_logging", "after_setup_logger", "after_setup_task_logger", "heartbeat_sent")
_OF_TASKS = ("task_received", "task_revoked", "task_rejected", "task_unknown", "task_failure")


class Forwarding:
    """Passes on what our signals say. Lives as long as the application.

    Args:
        app: Whose signals.
    """

    def __init__(self, app: HostedApp) -> None:
        self._app = app
        self._forwarded: set[str] = set()
        self._connected: list[tuple[Signal, Callable[..., Any]]] = []
        for name in _ONCE:
            self._forward(name)
        self._forward_wanted(_IF_WANTED)
        self._connect(signals.worker_init, self._on_worker_init)
        self._connect(signals.worker_process_init, self._on_process_init)

    def _on_worker_init(self, sender: Any, **_: Any) -> None:
        celery_signals.worker_init.send(sender=sender)
        # By now the user's modules are imported, and frameworks have connected theirs.
        self._forward_wanted((*_IF_WANTED, *_OF_TASKS))

    def _on_process_init(self, **_: Any) -> None:
        """What Celery does at the start of a child. Source: celery/concurrency/prefork.py, ``process_initializer``."""
        celery = self._app.celery
        if not celery._after_fork_registered:
            # Else it was called when the process began.
            celery._after_fork()
        _set_task_join_will_block(True)
        celery.loader.init_worker_process()
        setup_worker_optimizations(celery)
        self._app.publish_through_us()
        celery_signals.worker_process_init.send(sender=None)

    def _forward_wanted(self, names: tuple[str, ...]) -> None:
        for name in names:
            theirs = _of_celery(name)
            if name not in self._forwarded and theirs is not None and theirs.receivers:
                self._forward(name)

    def _forward(self, name: str) -> None:
        self._forwarded.add(name)
        theirs = _of_celery(name)
        if theirs is None:
            return

        def forward(sender: Any, signal: Any, **facts: Any) -> None:
            theirs.send(sender=getattr(sender, "celery_task", sender), **facts)

        self._connect(getattr(signals, name), forward)

    def _connect(self, ours: Signal, receiver: Callable[..., Any]) -> None:
        ours.connect(receiver, weak=False)
        self._connected.append((ours, receiver))

    def close(self) -> None:
        """Pass on nothing any more."""
        for ours, receiver in self._connected:
            ours.disconnect(receiver)


def _of_celery(name: str) -> Any:
    """Celery's signal of this name; None: the installed version has none."""
    return getattr(celery_signals, name, None)
