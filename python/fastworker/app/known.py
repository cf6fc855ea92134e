"""Whether a task's message is in the broker, for ``AsyncResult.known``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastworker.app.deliver import repeated
from fastworker.errors import QueueNotFound

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def is_in_broker(app: FastWorker, task_id: str, queues: Iterable[str] = ()) -> bool:
    """It waits, is leased by a worker, is parked or a dead letter.

    Args:
        app: Whose broker.
        task_id: The task's id.
        queues: Where it may wait, besides the application's own queues and those that its tasks are routed to.

    Raises:
        OperationalError: The broker does not answer.
    """
    settings = app.publishing.settings
    policy = settings.retry_policy if settings.retry else None
    names = list(dict.fromkeys((*queues, *app.configured_queues(), *_routed(app))))
    return repeated(app, lambda: app.publishing.publisher.holds(task_id, names), policy)


def _routed(app: FastWorker) -> Iterable[str]:
    router = app.publishing.settings.router
    for name, task in app.tasks.items():
        try:
            options = router.route(task.exec_options(), name, (), {}, task)
            yield from router.destination(options).queues
        except QueueNotFound:
            continue
