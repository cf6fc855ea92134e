"""Queues of fanout exchanges: every worker that consumes one gets its copies in a queue of its own at the broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastworker.errors import QueueNotFound

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Exchange, routing key of the binding, and the worker's own queue.
Fanout = tuple[str, str, str]


def fanout_of(app: FastWorker, queue: str, node: str) -> Fanout | None:
    """How worker ``node`` gets its copies; None for a queue of another kind."""
    try:
        entry = app.publishing.settings.queues[queue]
    except QueueNotFound:
        return None
    if not entry.is_fanout:
        return None
    return entry.exchange, entry.routing_key, entry.copies_for(node)


def fanouts_of(app: FastWorker, queues: Iterable[str], node: str) -> list[tuple[str, Fanout]]:
    """The same of those of ``queues`` that get copies."""
    found = ((queue, fanout_of(app, queue, node)) for queue in queues)
    return [(queue, fanout) for queue, fanout in found if fanout is not None]


def name_at_broker(app: FastWorker, queue: str, node: str) -> str:
    """The queue that worker ``node`` consumes for ``queue``."""
    fanout = fanout_of(app, queue, node)
    return queue if fanout is None else fanout[2]
