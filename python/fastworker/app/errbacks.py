"""What follows from a failure: error callbacks, and the failure of what waits behind it (celery-contract 9.9).

Whoever records a failure calls this: the child that ran the task, the parent where no child can, a task that finds a
chord failed.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.app.context import Context
from fastworker.canvas.group import group
from fastworker.canvas.signature import maybe_signature
from fastworker.errors import MissingReferenceError

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.app.trace")


def call_errbacks(
    app: FastWorker,
    request: Any,
    exc: BaseException,
    traceback: str | None,
    embed: dict[str, Any],
) -> Any:
    """Call new-style errbacks here, publish old-style ones, and fail the rest of the chain.

    Returns the result of those that were published, or run here in eager mode; None: none were.

    Args:
        app: Whose tasks they are.
        request: Of the task that failed: a ``Context``, or what becomes one by ``full()``.
        exc: What it failed with.
        traceback: As text, if there is one.
        embed: ``errbacks`` and ``chain``, both optional.
    """
    fail_steps(app, embed.get("chain") or (), exc, traceback)
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
    if not old_style:
        return None
    told = group(old_style, app=app)
    ids = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if app.conf.task_always_eager or (request.delivery_info or {}).get("is_eager"):
        return told.apply((request.id,), **ids)
    return told.apply_async((request.id,), add_to_parent=False, **ids)


def fail_steps(app: FastWorker, steps: Any, exc: BaseException, traceback: str | None) -> None:
    """Store the failure of all that waits behind a task that failed with ``exc``: whoever waits for it hears of it."""
    for task_id in _awaited_of(steps):
        app.backend.store_result(task_id, exc, states.FAILURE, traceback)


def _awaited_of(steps: Any) -> Iterator[str]:
    try:
        for step in steps:
            yield from awaited(step)
    except MissingReferenceError as missing:
        logger.error("the steps behind a failed one are not all failed: %s", missing)
        if steps.last_id is not None:
            yield steps.last_id


def _is_new_style(task: Any, errback: Any) -> bool:
    """An errback that takes ``(request, exc, traceback)``: not bound, and with more than one argument for what failed;
    all of an immutable one's count. Source: celery/backends/base.py, ``_errback_arity_greater``.
    """
    if getattr(task, "__bound__", False):
        return False
    if not errback.immutable and (errback.args or errback.kwargs):
        with contextlib.suppress(TypeError, ValueError):
            return _takes_several(partial(task.run, *errback.args, **errback.kwargs))
    try:
        return _takes_several(task.run)
    except (TypeError, ValueError):
        return False


def _takes_several(function: Callable[..., Any]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (
        inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1
    )


def awaited(step: Mapping[str, Any]) -> Iterator[str]:
    """The ids that whoever waits for a signature waits for: of a chord its body's, of a group its members'."""
    kind, kwargs = step.get("subtask_type"), step.get("kwargs") or {}
    options = step.get("options") or {}
    if options.get("task_id") and kind != "group":
        yield options["task_id"]
    inner = [kwargs.get("body")] if kind == "chord" else kwargs.get("tasks")
    for part in (*(inner or ()), *(options.get("chain") or ())):
        if kind in ("group", "chain", "chord") and part:
            yield from awaited(part)
