"""``retry_on_worker_lost``: a task whose process died is published again, as ``self.retry()`` would have it.

Nobody in the dead process can do that any more. So the main thread makes the next attempt and the state RETRY, and the
worker publishes and stores them in the step that ends the message. Source: celery/worker/request.py,
``_retry_worker_lost``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastworker import states
from fastworker.app.context import Context
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.link import collecting
from fastworker.app.retry import signature_from_request
from fastworker.child.decode import accepts_json, decode_call
from fastworker.child.request import request_fields
from fastworker.errors import Retry, WorkerLostError
from fastworker.signals import task_retry

if TYPE_CHECKING:
    from fastworker import _core
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.worker")


def retry_lost(
    app: FastWorker, node: str, call: _core.Call, death: str | None, lost: _core.Lost
) -> bool:
    """Retry a task whose process died, if its ``retry_on_worker_lost`` says so and its retries are not used up.

    Args:
        app: Whose task it is.
        node: The worker's name.
        call: The call.
        death: What its failure would say.
        lost: To answer the worker.

    Returns:
        Whether it is retried; else it fails. What cannot be published fails too, and the log says why.
    """
    task = app.registered_task(call.task)
    if task is None or not task.retry_on_worker_lost:
        return False
    exc = WorkerLostError(death)
    try:
        args, kwargs, embed = decode_call(call, app, accepts_json(app))
        context = Context(request_fields(call, args, kwargs, embed, node))
        if task.max_retries is not None and context.retries >= task.max_retries:
            return False
        delay = task.default_retry_delay
        again = signature_from_request(
            task,
            context,
            None,
            None,
            None,
            {"countdown": delay, "retries": context.retries + 1},
        )
        einfo = ExceptionInfo(exc)
        ignores = task.ignore_result if call.ignore_result is None else call.ignore_result
        doc = None
        if not ignores or task.store_errors_even_if_ignored:
            doc = app.backend.document(call.id, exc, states.RETRY, einfo.traceback, context)
        with collecting(app.broker.write_address) as messages:
            again.apply_async()
    except Exception:
        logger.exception("Task %s[%s] cannot be retried after its process died", call.task, call.id)
        return False
    lost.run_again(doc, messages)
    if task_retry.has_receivers:
        reason = Retry(exc=exc, when=delay, sig=again)
        task_retry.send(sender=task, request=context, reason=reason, einfo=einfo)
    return True
