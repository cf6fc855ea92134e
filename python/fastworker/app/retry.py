"""``Task.retry``: publish the running call again, to where it came from. Source: celery-contract
9.5.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from fastworker.app.context import Context
from fastworker.app.link import leaving_with_outcome
from fastworker.errors import Reject, Retry, SoftTimeLimitExceeded

if TYPE_CHECKING:
    from fastworker.app.task import Task
    from fastworker.canvas.signature import Signature


def retry(
    task: Task[..., Any],
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    exc: BaseException | None,
    throw: bool,
    eta: Any,
    countdown: float | None,
    max_retries: int | None,
    options: Mapping[str, Any],
) -> Retry:
    """See ``Task.retry``, whose arguments these are.

    Raised at once, ``Retry`` ends this run: its message leaves in one step with this run's
    acknowledgement and RETRY state. A message that left before could be run to its end first, and
    the state of this run would then replace the final one. Without ``throw`` this run goes on for
    nobody knows how long, so that the message is published here.
    """
    request = task.request
    if request.is_batch:
        given = {
            "args": args,
            "kwargs": kwargs,
            "exc": exc,
            "eta": eta,
            "countdown": countdown,
            "max_retries": max_retries,
            "throw": None if throw else throw,
        }
        request.retry({**{key: it for key, it in given.items() if it is not None}, **options})
    retries = request.retries + 1
    if max_retries is not None:
        task.override_max_retries = max_retries
    limit = task.max_retries if max_retries is None else max_retries
    if request.called_directly:
        # Nobody to retry for: the caller sees the exception itself.
        _raise_in_context(exc or Retry("Task can be retried", None))
    if not eta and countdown is None:
        countdown = task.default_retry_delay
    args, kwargs = _merged_arguments(task, request, args, kwargs)
    extra = {**options, "countdown": countdown, "eta": eta, "retries": retries}
    again = signature_from_request(task, request, args, kwargs, extra.pop("queue", None), extra)
    if limit is not None and retries > limit:
        if exc is not None:
            _raise_in_context(exc)
        raise task.MaxRetriesExceededError(
            f"Can't retry {task.name}[{request.id}] args:{again.args} kwargs:{again.kwargs}",
            task_args=again.args,
            task_kwargs=again.kwargs,
        )
    outcome = Retry(exc=exc, when=eta or countdown, is_eager=request.is_eager, sig=again)
    if not request.is_eager:
        try:
            with leaving_with_outcome() if throw else contextlib.nullcontext():
                again.apply_async()
        except SoftTimeLimitExceeded:
            # No problem of publishing: it is raised in whatever the task does.
            raise
        except Exception as problem:
            # Not ``Retry``: no second message exists. Not a failure of the task either.
            raise Reject(problem, requeue=False) from problem
    if throw:
        raise outcome
    return outcome


def signature_from_request(
    task: Task[..., Any], request: Any, args: Any, kwargs: Any, queue: Any, extra: Mapping[str, Any]
) -> Signature:
    """The call of ``request`` as a signature: same id, same place in its workflow, same queue and
    priority.

    Args:
        task: Its task.
        request: The call.
        args: In place of its positional arguments; None keeps them.
        kwargs: In place of its keyword arguments; None keeps them.
        queue: In place of the queue it came from.
        extra: More options.
    """
    options = {
        **request.as_execution_options(),
        "ignore_result": effective_ignore_result(task, request),
        **extra,
    }
    # A retry of a call without a parent has the first run as its parent, as in Celery.
    delivery = request.delivery_info or {}
    if delivery.get("priority") is not None and extra.get("priority") is None:
        options["priority"] = delivery["priority"]
    if queue:
        options["queue"] = queue
    elif delivery.get("exchange") in ("", None) and delivery.get("routing_key"):
        options["queue"] = delivery["routing_key"]
    else:
        options.update(
            {key: delivery[key] for key in ("exchange", "routing_key") if delivery.get(key)}
        )
    return task.signature(
        request.args if args is None else args,
        request.kwargs if kwargs is None else kwargs,
        options,
        type=task,
    )


def effective_ignore_result(task: Task[..., Any], request: Any) -> bool | None:
    """What the caller said, if anything, else what the task says."""
    if isinstance(request, Context) and "ignore_result" not in request.__dict__:
        return task.ignore_result
    said: bool | None = getattr(request, "ignore_result", None)
    return task.ignore_result if said is None else said


def _merged_arguments(
    task: Task[..., Any], request: Any, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    """New arguments of one kind meet old ones of the other: drop the old ones that say the same."""
    is_mixed = (args is not None and kwargs is None and request.kwargs) or (
        kwargs is not None and args is None and request.args
    )
    if not is_mixed:
        return args, kwargs
    try:
        signature = inspect.signature(task.run)
    except (TypeError, ValueError):  # the argument check at publish says what is wrong
        return args, kwargs
    parameters = signature.parameters
    if args is not None:
        kept = dict(request.kwargs)
        positional = [
            p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        for parameter in positional[: len(args)]:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                kept.pop(parameter.name, None)
        return args, kept
    try:
        bound = signature.bind_partial(*request.args)
    except TypeError:
        return args, kwargs
    new = dict(kwargs)
    for name in list(new):
        if (
            name in bound.arguments
            and parameters[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ):
            bound.arguments[name] = new.pop(name)
    return bound.args, {**bound.kwargs, **new}


def _raise_in_context(exc: BaseException) -> NoReturn:
    """Raise ``exc``, with the exception that is being handled, if any, as its cause."""
    current = sys.exc_info()[1]
    if current is None or current is exc:
        raise exc
    raise exc from current
