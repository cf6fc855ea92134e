"""fastworker: a distributed task queue with Celery's API and wire, and a worker written in Rust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.app.app import FastWorker
from fastworker.app.queue_objects import Exchange, Queue
from fastworker.app.shared import shared_task
from fastworker.app.state import current_app, current_task
from fastworker.app.task import Task
from fastworker.canvas.chain import chain
from fastworker.canvas.signature import Signature, maybe_signature, signature, subtask
from fastworker.utils import uuid

if TYPE_CHECKING:
    __version__: str

Celery = FastWorker

__all__ = [
    "Celery",
    "Exchange",
    "FastWorker",
    "Queue",
    "Signature",
    "Task",
    "__version__",
    "chain",
    "current_app",
    "current_task",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
]


def __getattr__(name: str) -> Any:
    # Reading the installed version takes longer than everything above, and few ask for it.
    if name == "__version__":
        from fastworker.version import installed_version

        return installed_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
