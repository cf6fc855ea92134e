"""What follows from a task's end: link callbacks and the next step of a chain.

Their messages leave with the outcome and are published in the same step as the acknowledgement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.app import runs
from fastworker.canvas.group import group
from fastworker.canvas.kinds import is_group
from fastworker.canvas.signature import maybe_signature

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.child.request import WorkerRequest


def publish_successors(
    app: FastWorker, request: WorkerRequest, value: Any, embed: dict[str, Any]
) -> None:
    """Publish the callbacks and the next step of the chain with ``value`` as their first argument."""
    with runs.following(request):
        _publish_successors(app, request, value, embed)


def _publish_successors(
    app: FastWorker, request: WorkerRequest, value: Any, embed: dict[str, Any]
) -> None:
    inherited = {"parent_id": request.id, "root_id": request.root_id}
    if app.conf.task_inherit_parent_priority:
        inherited["priority"] = request.delivery_info["priority"]
    callbacks = [maybe_signature(callback, app=app) for callback in embed.get("callbacks") or ()]
    singles = [callback for callback in callbacks if not is_group(callback)]
    if len(callbacks) > 1 and singles:
        callbacks = [callback for callback in callbacks if is_group(callback)]
        callbacks.append(group(singles, app=app))
    for callback in callbacks:
        callback.apply_async((value,), **inherited)
    chain = embed.get("chain")
    if chain:
        following = maybe_signature(chain[-1], app=app)
        following.apply_async((value,), chain=chain[:-1], **inherited)
