"""``state.consumer``, as control commands that were written for Celery's worker know it.

Of Celery's ``Consumer`` and ``WorkController`` it has what commands of applications use: names, sizes, queues. What it
has not says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from fastworker.app.queue_objects import Queue
from fastworker.worker.panel import Panel

if TYPE_CHECKING:
    from fastworker.worker.panel import Node, State


class _Part:
    """Something of Celery's worker, of which not all is here."""

    def __getattr__(self, name: str) -> NoReturn:
        here = sorted(known for known in dir(self) if not known.startswith("_"))
        raise AttributeError(
            f"fastworker's worker has no {type(self).__name__.lower()}.{name}: a control command finds "
            f"{', '.join(here)} there"
        )


class Qos(_Part):
    """``consumer.qos``: the prefetch.

    Attributes:
        value: Most messages that are held at once.
    """

    def __init__(self, node: Node) -> None:
        self.value = node.prefetch


class Pool(_Part):
    """``consumer.pool``.

    Args:
        state: Of the command.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def num_processes(self) -> int:
        """Children."""
        return len(self._state.node.core.snapshot()["pids"])

    @property
    def limit(self) -> int | None:
        """Tasks that run at once, at the start."""
        return self._state.node.concurrency

    def grow(self, n: int = 1) -> None:
        """As the command ``pool_grow``; a worker with lanes raises ``UnknownLane``."""
        self._state.node.unit(None).core.resize(n)

    def shrink(self, n: int = 1) -> None:
        """As the command ``pool_shrink``."""
        self._state.node.unit(None).core.resize(-n)


class TaskConsumer(_Part):
    """``consumer.task_consumer``.

    Attributes:
        queues: What is consumed; each has its ``name``.
    """

    def __init__(self, node: Node) -> None:
        self.queues = [Queue(name) for name in node.queues]


class Controller(_Part):
    """``consumer.controller``: the worker.

    Args:
        state: Of the command.
        consumer: Its other half.

    Attributes:
        app: The application.
        hostname: The node's name.
        pid: Of the main process.
    """

    def __init__(self, state: State, consumer: Consumer) -> None:
        self._state = state
        self.app = consumer.app
        self.hostname = state.hostname
        self.pid = os.getpid()
        self.consumer = consumer

    @property
    def concurrency(self) -> int | None:
        """Tasks that run at once, at the start."""
        return self._state.node.concurrency

    def stats(self) -> Any:
        """What ``inspect stats`` answers."""
        return _carry_out(self._state, "stats")

    def reload(self, modules: Any = None, reload: bool = False, reloader: Any = None) -> None:
        """As the command ``pool_restart``."""
        _carry_out(self._state, "pool_restart", modules=modules, reload=reload)


class Consumer(_Part):
    """
    Args:
        state: Of the command.
        app: The application as the command knows it.

    Attributes:
        app: The same.
        hostname: The node's name.
    """

    def __init__(self, state: State, app: Any) -> None:
        self._state = state
        self.app = app
        self.hostname = state.hostname
        self.qos = Qos(state.node)
        self.pool = Pool(state)
        self.task_consumer = TaskConsumer(state.node)
        self.controller = Controller(state, self)

    def add_task_queue(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> None:
        """As the command ``add_consumer``."""
        _carry_out(
            self._state,
            "add_consumer",
            queue=queue,
            exchange=exchange,
            exchange_type=exchange_type,
            routing_key=routing_key,
            **options,
        )

    def cancel_task_queue(self, queue: str) -> None:
        """As the command ``cancel_consumer``."""
        _carry_out(self._state, "cancel_consumer", queue=queue)

    def call_soon(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call it now: commands are carried out where it may be called."""
        function(*args, **kwargs)


def _carry_out(state: State, name: str, **arguments: Any) -> Any:
    return Panel.data[name](state, **arguments)
