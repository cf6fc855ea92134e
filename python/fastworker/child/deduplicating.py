"""``worker_deduplicate_successful_tasks``: a message that comes again is not run when its result is SUCCESS.

Where broker and result store are one server this seldom happens: result, successors and acknowledgement are one step.
Elsewhere, and with workers of Celery's, a worker can die between the result and the acknowledgement. Source:
celery/app/trace.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.child.members import membership
from fastworker.child.successors import publish_successors
from fastworker.errors import KombuError

if TYPE_CHECKING:
    from fastworker.child.trace import Run, TaskTracer

logger = logging.getLogger("fastworker.app.trace")


def ended_before(tracer: TaskTracer, run: Run) -> bool:
    """Whether a call ended in success before it was delivered this time; then that is reported, and it need not run.

    A chord that it is a member of counts it; a member is counted once however often it is told. What follows from it is
    published if the stored result has no children: then whoever stored it has not done so.
    """
    if not run.request.delivery_info["redelivered"]:
        return False
    call = run.call
    try:
        meta = tracer.app.backend.get_task_meta(call.id, cache=False)
    except KombuError as exc:
        logger.warning(
            "Task %s[%s]: whether it ended before is not known: %s", tracer.name, call.id, exc
        )
        return False
    if meta["status"] != states.SUCCESS:
        return False
    logger.info("Task %s[%s] ignored: Task already completed successfully.", tracer.name, call.id)
    _report(tracer, run, meta)
    return True


def _report(tracer: TaskTracer, run: Run, meta: Any) -> None:
    value, backend = meta.get("result"), tracer.app.backend
    push_current_task(tracer.task)
    tracer.task.request_stack.push(run.request)
    try:
        if (run.embed.get("callbacks") or run.embed.get("chain")) and not meta.get("children"):
            tracer.link.collect_successors(True)
            publish_successors(tracer.app, run.request, value, run.embed)
        member = membership(run.request, run.embed) if run.embed else None
        parts = []
        if member is not None:
            group, index, record = member
            part = backend.encode_part(run.call.id, states.SUCCESS, value)
            parts.append((run.call.id, group, index, part, record, None))
        tracer.link.report(run.call, "success", parts=parts)
    finally:
        tracer.task.request_stack.pop()
        pop_current_task()
