"""What follows from a task's end: link callbacks and the next step of a chain, or errbacks.

Their messages leave with the outcome and are published in the same step as the acknowledgement.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.app.context import Context
from fastworker.canvas.group import group
from fastworker.canvas.kinds import is_group
from fastworker.canvas.signature import maybe_signature
from fastworker.child.members import awaited

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.child.request import WorkerRequest

logger = logging.getLogger("fastworker.app.trace")


def publish_successors(
    app: FastWorker, request: WorkerRequest, value: Any, embed: dict[str, Any]
) -> None:
    """Publish the callbacks and the next step of the chain with ``value`` as their first argument."""
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


def call_errbacks(
    app: FastWorker,
    request: WorkerRequest | Context,
    exc: BaseException,
    traceback: str | None,
    embed: dict[str, Any],
) -> None:
    """Call new-style errbacks here, publish old-style ones, and fail the rest of the chain (celery-contract 9.9)."""
    for step in embed.get("chain") or ():
        for task_id in awaited(step):
            app.backend.store_result(task_id, exc, states.FAILURE, traceback)
    old_style = []
    for entry in embed.get("errbacks") or ():
        errback = maybe_signature(entry, app=app)
        task = None if errback.subtask_type else app.tasks.get(errback.task)
        if task is None or not _is_new_style(task, errback):
            old_style.append(errback)
            continue
        try:
            errback(request if isinstance(request, Context) else request.full(), exc, traceback)
        except Exception:
            logger.exception(
                "Task %s[%s]: its errback %s raised",
                getattr(request, "task", None),
                request.id,
                errback.task,
            )
    if old_style:
        group(old_style, app=app).apply_async(
            (request.id,),
            add_to_parent=False,
            parent_id=request.id,
            root_id=request.root_id or request.id,
        )


def _is_new_style(task: Any, errback: Any) -> bool:
    """An errback that takes ``(request, exc, traceback)``: not bound, and more than one argument besides its own."""
    if getattr(task, "__bound__", False):
        return False
    try:
        parameters = inspect.signature(task.run).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) - len(errback.args or ()) > 1
