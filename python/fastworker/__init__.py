"""fastworker: a distributed task queue with Celery's API and wire, and a worker written in Rust."""

from __future__ import annotations

from fastworker._core import __version__
from fastworker.accelerating import accelerate
from fastworker.app.app import FastWorker
from fastworker.app.queue_objects import Broadcast, Exchange, Queue
from fastworker.app.shared import shared_task
from fastworker.app.state import current_app, current_task
from fastworker.app.task import Task
from fastworker.canvas.chain import chain
from fastworker.canvas.chord import chord
from fastworker.canvas.group import group
from fastworker.canvas.maps import chunks, xmap, xstarmap
from fastworker.canvas.signature import Signature, maybe_signature, signature, subtask
from fastworker.results.member_failure import MemberFailure
from fastworker.utils import uuid

Celery = FastWorker

__all__ = [
    "Broadcast",
    "Celery",
    "Exchange",
    "FastWorker",
    "MemberFailure",
    "Queue",
    "Signature",
    "Task",
    "__version__",
    "accelerate",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
