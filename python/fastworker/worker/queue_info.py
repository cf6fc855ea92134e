"""A consumed queue in the form of ``inspect active_queues``: kombu's ``Queue.as_dict``.

Source: kombu/entity.py; celery-contract 8.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.app.queues import Queue
from fastworker.errors import QueueNotFound

if TYPE_CHECKING:
    from fastworker.app.queues import QueueTable

#: Seconds, which kombu shows as floats.
_SECONDS = ("expires", "message_ttl")
_UNSET = (
    "alias",
    "no_declare",
    "expires",
    "message_ttl",
    "max_length",
    "max_length_bytes",
    "max_priority",
)


def queue_info(table: QueueTable, name: str, max_priority: int | None) -> dict[str, Any]:
    """One queue.

    Args:
        table: The application's queues.
        name: Which; one that is not listed there is shown as it would be made.
        max_priority: ``task_queue_max_priority``, which queues have that say nothing else.
    """
    try:
        queue = table[name]
    except QueueNotFound:
        queue = Queue(name, name, "direct", name)
    said = dict(queue.said)
    exchange = said.pop("exchange", {})
    arguments = dict(said.pop("queue_arguments", None) or {})
    if max_priority is not None:
        arguments.setdefault("x-max-priority", max_priority)
    return {
        "name": name,
        "exchange": {
            "arguments": None,
            "durable": True,
            "passive": False,
            "auto_delete": False,
            "delivery_mode": None,
            "no_declare": False,
            **exchange,
            "name": queue.exchange,
            "type": queue.exchange_type,
        },
        "routing_key": queue.routing_key,
        "queue_arguments": arguments or None,
        "binding_arguments": None,
        "consumer_arguments": None,
        "durable": queue.is_durable,
        "exclusive": False,
        "auto_delete": queue.is_auto_delete,
        "no_ack": False,
        "bindings": [],
        **dict.fromkeys(_UNSET),
        **said,
        **{name: float(said[name]) for name in _SECONDS if name in said},
    }
