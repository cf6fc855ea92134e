"""``Strategy`` and ``Request``: classes that Celery's worker makes objects of, one for each message.

Ours makes none: what becomes of a message is decided in Rust, and Python is entered to run the task. A class that would
never be called is refused, with what to use in its place.
"""

from __future__ import annotations

from fastworker.errors import ImproperlyConfigured

_INSTEAD = {
    "Request": (
        "use the task's handlers for what its methods do: on_failure and on_timeout are Task.on_failure, which also "
        "gets TimeLimitExceeded; on_success and on_retry are the task's own; on_accepted is before_start; or connect "
        "the signals task_failure, task_retry, task_received and task_revoked, which the worker sends for what no task "
        "can see any more"
    ),
    "Strategy": (
        "use rate_limit, expires, eta or a revoke for what decides whether a message runs, the signal task_received "
        "for what is told of it, and batch= for several messages in one call"
    ),
}


def refuse_worker_classes(task: type, name: str) -> None:
    """
    Raises:
        ImproperlyConfigured: The task has a class of its own for one of them.
    """
    for attribute, instead in _INSTEAD.items():
        chosen = getattr(task, attribute, None)
        if chosen is not None:
            shown = getattr(chosen, "__qualname__", chosen)
            raise ImproperlyConfigured(
                f"task {name!r}: {attribute} is {shown!r}: a class of Celery's worker, which fastworker does not call; "
                f"leave it out and {instead}"
            )
