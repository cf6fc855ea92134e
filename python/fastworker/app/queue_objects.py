"""``Queue`` and ``Exchange`` for ``task_queues`` where kombu is not installed; kombu's own are taken too.

Names and arguments are kombu's. What only an AMQP broker acts on (``durable``, ``queue_arguments``, ``max_priority``,
…) is kept, so that a configuration can move over as it is.
"""

from __future__ import annotations

from typing import Any


class Exchange:
    """Where messages are published to.

    Args:
        name: ``""`` is the default exchange.
        type: ``direct``, ``topic`` or ``fanout``.
        options: Kept, not acted on.
    """

    def __init__(self, name: str = "", type: str = "direct", **options: Any) -> None:
        self.name = name
        self.type = type
        self.options = options

    def __repr__(self) -> str:
        return f"Exchange({self.name!r}, {self.type!r})"


class Queue:
    """A queue and its binding.

    Args:
        name: As in ``-Q``.
        exchange: An ``Exchange`` or its name. None: the default exchange of the settings.
        routing_key: Of the binding; a pattern for a topic exchange. None: the default of the
            settings.
        options: Kept, not acted on.
    """

    def __init__(
        self,
        name: str,
        exchange: Exchange | str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange
        self.routing_key = routing_key
        self.max_priority = options.get("max_priority")
        self.options = options

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, {self.exchange!r}, {self.routing_key!r})"


class Broadcast(Queue):
    """A queue of a fanout exchange: every worker that consumes it runs each task that is published to it.

    Args:
        name: Of the queue, as in ``-Q`` and ``queue=``, and of the exchange.
        exchange: Another exchange. None: one of type ``fanout`` with the name of the queue.
        options: Kept, not acted on.
    """

    def __init__(
        self, name: str, *, exchange: Exchange | str | None = None, **options: Any
    ) -> None:
        super().__init__(name, exchange or Exchange(name, type="fanout"), **options)
