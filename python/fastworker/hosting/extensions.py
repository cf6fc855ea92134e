"""What a Celery application may have that belongs to Celery's own worker, and so does not apply in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

_SIGNALS = (
    "connect worker_init, worker_ready, worker_process_init or worker_shutdown for what it does"
)
_STRATEGY = "celery.worker.strategy:default"
_REQUEST = "celery.worker.request:Request"


def unapplied(celery: Celery) -> list[str]:
    """One line for each extension of Celery's worker that is not used here, with what to do."""
    found = []
    for kind, steps in sorted(celery.steps.items()):
        for step in sorted(str(step.name) for step in steps):
            found.append(f"bootstep {step} of Celery's {kind} is not run by fastworker: {_SIGNALS}")
    for name, task in sorted(celery.tasks.items()):
        if task.Request != _REQUEST:
            found.append(
                f"task {name} has a Request class of its own ({_name(task.Request)}), which fastworker does not call: "
                f"put what it does into the task's handlers (before_start, on_failure, on_retry)"
            )
        if not can_run(task):
            found.append(
                f"task {name} has a Strategy of its own ({_name(task.Strategy)}), which only Celery's worker calls: "
                f"it is not run here and its messages go to the dead letters. Leave its queue to Celery's worker (-X), "
                f"or make it a batch task of fastworker: @app.task(batch=…)"
            )
    return found


def can_run(task: Any) -> bool:
    """Whether a call of the task is a call of its function."""
    return bool(task.Strategy == _STRATEGY)


def _name(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}" if isinstance(thing, type) else str(thing)
