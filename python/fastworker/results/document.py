"""The result document: Celery's keys in Celery's order, written by whoever stores a state and read
by clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastworker.results.remote_error import decode_exception
from fastworker.states import EXCEPTION_STATES, PENDING, READY_STATES

Meta = dict[str, Any]


def pending(task_id: str) -> Meta:
    """What is known of an id that has no document."""
    return {"status": PENDING, "result": None, "task_id": task_id}


def build(
    task_id: str,
    result: Any,
    state: str,
    *,
    traceback: str | None,
    request: Any,
    now: datetime,
    is_extended: bool,
) -> Meta:
    """Build a document.

    Args:
        task_id: Whose state it is.
        result: Ready to be serialised: exceptions are encoded already.
        state: One of ``states``, or the task's own.
        traceback: Text, for FAILURE and RETRY.
        request: The request of the running task, for what Celery copies from it; None outside of a
            task.
        now: Written as ``date_done`` of a ready state; aware.
        is_extended: Add name, arguments, worker and queue (``result_extended``).
    """
    meta: Meta = {
        "status": state,
        "result": result,
        "traceback": traceback,
        "children": _children(request),
        "date_done": now.isoformat() if state in READY_STATES else None,
    }
    if getattr(request, "group", None):
        meta["group_id"] = request.group
    if getattr(request, "parent_id", None):
        meta["parent_id"] = request.parent_id
    if is_extended and request is not None:
        meta.update(_extended(request))
    meta["task_id"] = task_id
    return meta


def _children(request: Any) -> list[Any] | None:
    """The tuples of the tasks that were published from inside; None without a request.

    A worker's request has their ids, an eager one their results.
    """
    if request is None:
        return None
    children = getattr(request, "children", None) or ()
    return [
        ((child, None), None) if isinstance(child, str) else child.as_tuple() for child in children
    ]


def _extended(request: Any) -> Meta:
    extra: Meta = {
        "name": getattr(request, "task", None),
        "args": getattr(request, "args", None),
        "kwargs": getattr(request, "kwargs", None),
        "worker": getattr(request, "hostname", None),
        "retries": getattr(request, "retries", None),
        "queue": (getattr(request, "delivery_info", None) or {}).get("routing_key"),
    }
    stamps: Mapping[str, Any] = getattr(request, "stamps", None) or {}
    if stamps:
        names = request.stamped_headers or ()
        extra["stamped_headers"] = request.stamped_headers
        extra.update({name: value for name, value in stamps.items() if name in names})
    return extra


def revive(meta: Meta) -> Meta:
    """Turn the exception in a decoded document back into an exception, in place.

    Raises:
        SecurityError: The document names something that is not an exception.
    """
    if meta["status"] in EXCEPTION_STATES:
        meta["result"] = decode_exception(meta["result"])
    return meta
