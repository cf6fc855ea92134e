"""``worker_direct``: a queue that leads to one worker, ``w1@example.com.dq2``. Source: celery/utils/nodenames.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastworker.app.queues import Queue

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_EXCHANGE = "C.dq2"


def direct_queue(app: FastWorker, node: str) -> Queue | None:
    """The queue of worker ``node``; None where workers have none.

    Listed with the application's queues from then on, so that it is declared as Celery declares it.
    """
    if not app.conf.worker_direct:
        return None
    queue = Queue(f"{node}.dq2", _EXCHANGE, "direct", node)
    app.publishing.settings.queues.add(
        queue.name, queue.exchange, queue.exchange_type, queue.routing_key
    )
    return queue
