"""Dramatiq on Redis under gevent (``dramatiq-gevent``), two processes, a greenlet per "thread". No
results; the default middleware, which has no metrics server.
"""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benches.apps import options
from benches.rivals import blocking

broker = RedisBroker(url=options.BROKER)
dramatiq.set_broker(broker)

tasks = {
    "nap": dramatiq.actor(actor_name="nap", queue_name=options.QUEUE)(blocking.nap),
    "page": dramatiq.actor(actor_name="page", queue_name=options.QUEUE)(blocking.page),
}


def publish(task: str, argument: object, count: int) -> None:
    """``send`` in a loop: it has no bulk call."""
    for _ in range(count):
        tasks[task].send(argument)
