"""Which exchange leads to which consumed queue, written down for publishers that know neither the queue nor us.

On Redis an exchange is a table of bindings (``_kombu.binding.<exchange>``): whoever consumes a queue declares it there,
and a publisher looks there for the queues of a message. Source: kombu/transport/redis.py, ``_queue_bind``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastworker.app.queues import key_to_pattern
from fastworker.errors import KombuError, QueueNotFound
from fastworker.worker.direct import direct_queue

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.worker")


def declare(app: FastWorker, names: Iterable[str], node: str) -> None:
    """Declare consumed queues, as Celery's workers do when they start. What cannot be declared is said in the log: the
    worker works, and only publishers that go by the exchange may miss it.
    """
    direct_queue(app, node)
    table = app.publishing.settings.queues
    for name in names:
        try:
            queue = table[name]
        except QueueNotFound:
            continue
        # A program of kombu that does not know what kind of exchange it is puts its message into this queue.
        name = queue.copies_for(node) if queue.is_fanout else name
        pattern = key_to_pattern(queue.routing_key) if queue.exchange_type == "topic" else ""
        try:
            app.control.mailbox.client.bind(queue.exchange, queue.routing_key, pattern, name)
        except KombuError as exc:
            logger.warning("queue %r is not declared for publishers by exchange: %s", name, exc)
