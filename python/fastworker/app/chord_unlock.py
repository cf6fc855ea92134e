"""``celery.chord_unlock``: joins a chord by looking again and again whether its header has ended.

Nobody here publishes it: chords of ours are joined by whoever ends their last member. A Celery client does, whose
result store cannot count; its message comes to whichever worker serves the body's queue.
Source: celery/app/builtins.py (``add_unlock_chord_task``), celery-contract 6.6.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastworker.app.chord_failure import fail_body
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.link import leaving_with_outcome
from fastworker.canvas.signature import maybe_signature
from fastworker.errors import ChordError, Retry
from fastworker.results.joining import allow_join_result
from fastworker.results.tuples import result_from_tuple

if TYPE_CHECKING:
    from fastworker.app.task import Task

logger = logging.getLogger("fastworker.app.builtins")


def unlock_chord(
    self: Any,
    group_id: str,
    callback: Any,
    interval: float | None = None,
    max_retries: int | None = None,
    result: Any = None,
    **kwargs: Any,
) -> None:
    """Publish the body when all members have ended, else look again later.

    What follows leaves in one step with this task's acknowledgement.

    Args:
        self: The task.
        group_id: Of the header.
        callback: The body.
        interval: Seconds until the next look; None: ``result_chord_retry_interval``.
        max_retries: Looks after the first; None: no end. When they are used up, the body fails.
        result: Tuples of the members' results.
        kwargs: Celery's own business.
    """
    app = self.app
    members = app.GroupResult(group_id, [result_from_tuple(one, app=app) for one in result or ()])
    if interval is None:
        interval = app.conf.result_chord_retry_interval
    try:
        _look_again_unless_ready(self, members, interval, max_retries)
    except Retry:
        raise
    except Exception as exc:
        # Nobody will look again.
        logger.exception("Chord %r: chord_unlock could not be retried: %r", group_id, exc)
        cause = getattr(exc, "reason", None) or exc
        _fail(self, callback, f"chord_unlock could not be retried: {cause!r}", cause)
        raise
    try:
        with allow_join_result():
            values = members.get(timeout=app.conf.result_chord_join_timeout, propagate=True)
    except Exception as exc:
        logger.exception("Chord %r raised: %r", group_id, exc)
        culprit = next((member for member in members.results if member.failed()), None)
        reason = repr(exc) if culprit is None else f"Dependency {culprit.id} raised {exc!r}"
        _fail(self, callback, reason, exc)
        return
    try:
        with leaving_with_outcome():
            maybe_signature(callback, app=app).delay(values)
    except Exception as exc:
        logger.exception("Chord %r raised: %r", group_id, exc)
        _fail(self, callback, f"Callback error: {exc!r}", exc)


def _look_again_unless_ready(
    task: Task[..., Any], members: Any, interval: float, max_retries: int | None
) -> None:
    """
    Raises:
        Retry: They are not ready, or the store did not answer.
        Exception: Retries are used up, or the message for the next look was refused.
    """
    try:
        is_ready = members.ready()
    except Exception as exc:
        raise task.retry(exc=exc, countdown=interval, max_retries=max_retries) from exc
    if not is_ready:
        raise task.retry(countdown=interval, max_retries=max_retries)


def _fail(task: Any, body: Any, reason: str, cause: BaseException) -> None:
    request = task.request
    error = ChordError(reason)
    error.__cause__ = cause
    origin = {"id": request.id, "root_id": request.root_id}
    with leaving_with_outcome():
        traceback = ExceptionInfo(error).traceback
        fail_body(task.app, body, origin, error, traceback, request.hostname)
