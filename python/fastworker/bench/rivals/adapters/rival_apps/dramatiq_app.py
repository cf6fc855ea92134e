"""Dramatiq on Redis, two processes: threads as many as by default, or under gevent (``dramatiq-gevent``) a greenlet per
"thread" for tasks that wait. No results; the default middleware, which has no metrics server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from rival_apps import options
from rival_apps.loads import BLOCKING

broker = RedisBroker(url=options.BROKER)
dramatiq.set_broker(broker)

tasks = {
    name: dramatiq.actor(actor_name=name, queue_name=options.QUEUE)(run)
    for name, run in BLOCKING.items()
}


def send(task: str, call: Sequence[Any]) -> None:
    """``send``. It has no bulk call."""
    tasks[task].send(*call)
