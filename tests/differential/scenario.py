"""What a scenario is, and what it may do while it is played."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Read after every play; nobody consumes it.
PEEK = "peek"


@dataclass(frozen=True)
class Scenario:
    """One small story.

    Attributes:
        name: A few words, unique in its group.
        send: Publishes; what it raises is part of the observation.
        lines: How many lines of the record end it, when no final state does.
        unordered: Its lines come from several processes at once.
        ends: Whether to wait for a final state of everything it called.
    """

    name: str
    send: Callable[[Session], Any]
    lines: int = 0
    unordered: bool = False
    ends: bool = True


@dataclass(frozen=True)
class Group:
    """Scenarios that share an application and a worker.

    Attributes:
        name: The golden file's.
        scenarios: Sent in this order, all before the first is waited for.
        conf: Settings of both frameworks.
        options: More of the worker's command line.
        worker: ``before`` or ``after`` the messages, or ``none``: then messages are the observation.
        concurrency: Child processes.
        setup: Does more to the client's application.
        on: Brokers of fastworker that it is played on.
        has_log: Whether log lines are compared.
        patience_s: Seconds after the last message until a scenario that has not ended is observed
            as it is.
        celery_patience_s: The same for Celery.
        alone: Celery plays each scenario with a worker of its own (and the last of the group after
            it), because some of them end its worker.
    """

    name: str
    scenarios: tuple[Scenario, ...]
    conf: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    worker: str = "before"
    concurrency: int = 2
    setup: Callable[[Any, Any], None] | None = None
    on: tuple[str, ...] = ("redis", "sqlite")
    has_log: bool = True
    patience_s: float = 30.0
    celery_patience_s: float = 30.0
    alone: bool = False


class Session:
    """One scenario's client side.

    Args:
        app: The client's application.
        lib: The framework's exceptions.
        canvas: The framework, for ``chain`` and ``signature``.
        folder: For files that tasks share.
        push: Puts raw bytes on a queue; Redis only.
    """

    def __init__(self, app: Any, lib: Any, canvas: Any, folder: str, push: Any) -> None:
        self.app = app
        self.lib = lib
        self.canvas = canvas
        self.folder = folder
        self.push = push
        self.results: dict[str, Any] = {}
        self.raised: str | None = None
        self.extra: dict[str, Any] = {}
        self.now = dt.datetime.now(dt.timezone.utc)

    def call(
        self,
        task: str,
        *args: Any,
        kw: dict[str, Any] | None = None,
        label: str = "a",
        **options: Any,
    ) -> Any:
        """``apply_async`` of ``diff.<task>``."""
        return self.watch(self.task(task).apply_async(args, kw, **options), label)

    def task(self, name: str) -> Any:
        """The client's side of ``diff.<name>``."""
        return self.app.tasks[f"diff.{name}"]

    def sig(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A signature of ``diff.<name>``."""
        return self.task(name).s(*args, **kwargs)

    def watch(self, result: Any, label: str = "a") -> Any:
        """Observe a result under ``label``."""
        self.results[label] = result
        return result

    def path(self, name: str) -> str:
        """A file of the play's own."""
        return f"{self.folder}/{name}"
