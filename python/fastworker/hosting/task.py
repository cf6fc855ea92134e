"""A task of a Celery application, as the rest of a worker knows tasks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from fastworker.app.task import Task

if TYPE_CHECKING:
    from celery import Task as CeleryTask

#: Options that have the same name and meaning; what Celery's task was bound with has its settings in it already.
_OPTIONS = (
    "acks_late",
    "acks_on_failure",
    "acks_on_failure_or_timeout",
    "acks_on_timeout",
    "compression",
    "delivery_mode",
    "default_retry_delay",
    "exchange",
    "expires",
    "ignore_result",
    "max_retries",
    "priority",
    "queue",
    "rate_limit",
    "reject_on_worker_lost",
    "resultrepr_maxsize",
    "retry_on_worker_lost",
    "routing_key",
    "send_events",
    "serializer",
    "soft_time_limit",
    "store_eager_result",
    "store_errors_even_if_ignored",
    "throws",
    "time_limit",
    "track_started",
    "trail",
    "typing",
    # Options of ours, which a task of Celery carries as attributes.
    "rate_limit_key",
    "rate_limit_scope",
)


class HostedTask(Task[..., Any]):
    """A task of a Celery application. Calling it, and its handlers, are the Celery task's own.

    Attributes:
        celery_task: The task itself.
    """

    celery_task: CeleryTask
    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.celery_task(*args, **kwargs)

    def on_failure(self, *args: Any) -> Any:
        """The Celery task's."""
        return self.celery_task.on_failure(*args)

    def after_return(self, *args: Any) -> Any:
        """The Celery task's."""
        return self.celery_task.after_return(*args)


def hosted(celery_task: CeleryTask) -> HostedTask:
    """The task as ours, not bound to an application yet. ``celery_task`` is bound to its own."""
    options = {
        name: value for name in _OPTIONS if (value := getattr(celery_task, name, None)) is not None
    }
    attributes: dict[str, Any] = {
        **options,
        "name": celery_task.name,
        "__module__": celery_task.__module__,
        "__doc__": celery_task.__doc__,
        "__bound__": inspect.ismethod(celery_task.run),
        "abstract": False,
        "celery_task": celery_task,
        # Who looks at its arguments finds those of the function.
        "run": staticmethod(celery_task.run),
    }
    header = getattr(celery_task, "__header__", None)
    if header is not None:
        attributes["__header__"] = staticmethod(header)
    made: HostedTask = type(type(celery_task).__name__, (HostedTask,), attributes)()
    return made
