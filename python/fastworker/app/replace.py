"""``Task.replace`` and ``Task.add_to_chord``: another call takes the place of the running one, or joins it in its
chord. Source: celery-contract 9.11 (``celery/app/task.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.app.runs import member_id
from fastworker.canvas.kinds import is_chain, is_group
from fastworker.canvas.signature import Signature, as_list, maybe_signature
from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.task import Task


def replacement(task: Task[..., Any], sig: Any) -> Any:
    """``sig`` as it has to be published to stand for the call that runs here.

    It gets the running call's id, callbacks, errbacks, place in its group and chord, and root; what is left of a chain
    follows it.

    Raises:
        ImproperlyConfigured: ``sig`` is part of a chord, or an empty chain.
    """
    if "chord" in sig.options:
        raise ImproperlyConfigured("A signature replacing a task must not be part of a chord")
    if is_chain(sig) and not sig.tasks:
        raise ImproperlyConfigured("Cannot replace with an empty chain")
    app, request = task.bound_app(), task.request
    # Others wait for one result: the list of all is the replacement's.
    gather = app.tasks["celery.accumulate"].s(index=0)
    if is_group(sig):
        sig = sig | gather
    if is_chain(sig) and is_group(sig.tasks[-1]):
        sig.tasks = list(sig.tasks)
        sig.tasks[-1] = sig.tasks[-1] | gather
    for callback in as_list(request.callbacks):
        sig.link(callback)
    for errback in as_list(request.errbacks):
        sig.link_error(errback)
    if is_chain(sig) and "link" in sig.options:
        # They run after the replacement, not after what is left of the chain.
        sig.tasks[-1].extend_list_option("link", sig.options.pop("link"))
    sig.freeze(request.id)
    nesting = (request.replaced_task_nesting or 0) + 1
    sig.set(
        chord=request.chord,
        group_id=request.group,
        group_index=request.group_index,
        root_id=request.root_id,
        replaced_task_nesting=nesting,
    )
    for step in sig.tasks if is_chain(sig) else ():
        step.set(replaced_task_nesting=nesting)
    for entry in reversed(request.chain or []):
        step = maybe_signature(entry, app, clone=True)
        step.set(replaced_task_nesting=nesting)
        sig = sig | step
    return sig


def into_chord(task: Task[..., Any], sig: Signature, lazy: bool) -> Any:
    """See ``Task.add_to_chord``, whose arguments these are.

    Raises:
        ValueError: The running call is not in a chord's header.
    """
    request = task.request
    if not request.chord:
        raise ValueError("Current task is not member of any chord")
    sig.set(
        group_id=request.group,
        group_index=request.group_index,
        chord=request.chord,
        root_id=request.root_id,
    )
    # A second run of this message adds the same member.
    result = sig.freeze(sig.options.get("task_id") or member_id(request))
    # First the size, then the message: a member that is not counted on could complete the chord without it.
    task.backend.add_to_chord(request.group, result)
    return sig if lazy else sig.delay()
