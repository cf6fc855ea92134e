"""``Task.replace``: another call takes the place of the running one, under its id. Source: celery-contract 9.11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.canvas.chain import Chain
from fastworker.canvas.signature import Signature, as_list, maybe_signature, unsupported
from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.task import Task


def replacement(task: Task[..., Any], sig: Signature) -> Signature:
    """``sig`` as it has to be published to stand for the call that runs here.

    It gets the running call's id, callbacks, errbacks, place in its group and root; what is left of a chain follows it.

    Raises:
        ImproperlyConfigured: ``sig`` is part of a chord, or an empty chain.
        NotImplementedError: It is a group or a chord, which are not available yet.
    """
    if "chord" in sig.options:
        raise ImproperlyConfigured("A signature replacing a task must not be part of a chord")
    if sig.subtask_type not in (None, "chain"):
        unsupported(str(sig.subtask_type))
    steps: list[Signature] = list(Chain.of(sig, app=task.bound_app()).tasks)
    if not steps:
        raise ImproperlyConfigured("Cannot replace with an empty chain")
    request = task.request
    last = steps[-1]
    for callback in as_list(request.callbacks):
        last.link(callback)
    for errback in as_list(request.errbacks):
        for step in steps:
            step.link_error(errback)
    last.options["task_id"] = request.id
    last.set(group_id=request.group, group_index=request.group_index)
    nesting = (request.replaced_task_nesting or 0) + 1
    rest = [maybe_signature(step, task.bound_app()) for step in reversed(request.chain or [])]
    for step in (*steps, *rest):
        step.set(root_id=request.root_id, replaced_task_nesting=nesting)
    whole = [*steps, *rest]
    return whole[0] if len(whole) == 1 else Chain.of(*whole, app=task.bound_app())
