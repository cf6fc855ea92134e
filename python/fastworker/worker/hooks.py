"""The user's hooks in the parent: what the worker decided by itself, told on the main thread.

Signals: ``task_received``, ``task_revoked`` (also of expired tasks), ``task_unknown``, ``task_rejected``, sent after
the broker has it; and ``task_failure``, failure handlers and errbacks of a task whose process was killed or died,
which the dead process cannot call any more. These are called before the end is settled: a worker that dies in between
repeats them, and drops none. Source: celery-contract 9.7, 9.9, 9.14.

The runtime tells only of what has a receiver when the worker starts, so that nothing is spent on the rest.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals
from fastworker.app.context import Context
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.errbacks import call_errbacks
from fastworker.child.decode import accepts_json, decode_call
from fastworker.child.request import request_fields
from fastworker.errors import (
    InvalidTaskError,
    NotRegistered,
    TimeLimitExceeded,
    WorkerLostError,
)
from fastworker.worker.chords import Chords, as_celery_says
from fastworker.worker.lost_tasks import retry_lost

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.worker")
received_logger = logging.getLogger("fastworker.worker.strategy")


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it came, for receivers of ``task_unknown`` and ``task_rejected``; names as in kombu's ``Message``.

    Attributes:
        body: Bytes, still serialised; of something that is no message, all of it.
        headers: Its headers.
        properties: Its properties.
        content_type: How the body is to be read.
        content_encoding: How its text is encoded.
    """

    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    content_type: str | None
    content_encoding: str | None

    @property
    def delivery_info(self) -> dict[str, Any]:
        """Where it came from."""
        found: dict[str, Any] = self.properties.get("delivery_info") or {}
        return found


class Hooks:
    """The hooks of one worker.

    Args:
        app: Its application.
        node: Its name.
        sender: The sender of signals that Celery sends for its consumer.
    """

    def __init__(self, app: FastWorker, node: str, sender: Any) -> None:
        self._app = app
        self._node = node
        self._sender = sender
        self._chords = Chords(app, node)

    @staticmethod
    def wanted(app: FastWorker) -> dict[str, bool]:
        """What the runtime has to tell of, by the names of ``WorkerSettings``."""
        keeps_endings = app.backend.keeps_endings
        return {
            "reports_calls": signals.task_received.has_receivers,
            "reports_expired": keeps_endings
            or signals.task_revoked.has_receivers
            or received_logger.isEnabledFor(logging.INFO),
            "reports_unknown": keeps_endings or signals.task_unknown.has_receivers,
            "reports_rejected": signals.task_rejected.has_receivers,
            "reports_heartbeats": signals.heartbeat_sent.has_receivers,
        }

    def on_event(self, name: str, facts: dict[str, Any]) -> None:
        """An event of ``_core.Worker.wait``; those that are nobody's hook are left alone."""
        if name == "received" and facts["call"] is not None:
            self.received(facts["call"])
        elif name == "ended":
            self.ended(**facts)
        elif name == "member_ended":
            self._member_ended(**facts)
        elif name == "join":
            self._chords.join(**facts)
        elif name == "rejected":
            self.rejected(**facts)
        elif name == "heartbeat":
            signals.heartbeat_sent.send(sender=self._sender)

    def received(self, call: _core.Call) -> None:
        """A task was received."""
        signals.task_received.send(sender=self._sender, request=self._request(call))

    def rejected(self, message: bytes, reason: str) -> None:
        """A message that is no task's went to the dead letters."""
        signals.task_rejected.send(
            sender=self._sender, message=_message_of(message), exc=InvalidTaskError(reason)
        )

    def ended(
        self,
        fate: str,
        number: float,
        text: str | None,
        call: _core.Call,
        member: _core.Member | None,
        lost: _core.Lost | None,
    ) -> None:
        """The worker ended a task: ``expired``, ``revoked`` (``number``: the signal that ended it while it ran, or 0),
        ``unknown``, ``time_limit`` (``number`` seconds) or ``worker_lost`` (``text``: what the stored error says).
        ``member``: it is one of a group, and not settled yet. ``lost``: its process died, and it may be retried.
        """
        if lost is not None and retry_lost(self._app, self._node, call, text, lost):
            return
        if member is not None:
            self._member_ended(fate, number, text, call, member)
        elif self._app.backend.keeps_endings:
            self._keep_ending(fate, number, text, call)
        if fate in ("expired", "revoked"):
            signum = int(number) or None
            if signum is None:
                received_logger.info("Discarding revoked task: %s[%s]", call.task, call.id)
            if signals.task_revoked.has_receivers:
                signals.task_revoked.send(
                    sender=self._app.tasks.get(call.task),
                    request=self._request(call),
                    terminated=signum is not None,
                    signum=signum,
                    expired=fate == "expired",
                )
        elif fate == "unknown":
            signals.task_unknown.send(
                sender=self._sender,
                message=ReceivedMessage(
                    call.body,
                    _core.loads(call.headers) or {},
                    _core.loads(call.properties) or {},
                    call.content_type,
                    call.content_encoding,
                ),
                exc=NotRegistered(call.task),
                name=call.task,
                id=call.id,
            )
        elif fate == "time_limit":
            logger.error("Hard time limit (%gs) exceeded for %s[%s]", number, call.task, call.id)
            self._failed(call, TimeLimitExceeded(number), calls_handlers=True)
        else:
            self._failed(call, WorkerLostError(text), calls_handlers=False)

    def _member_ended(
        self, fate: str, number: float, text: str | None, call: _core.Call, member: _core.Member
    ) -> None:
        """A member of a group ended, and is not settled yet; arguments as for ``ended``."""
        if self._app.backend.keeps_endings:
            self._keep_ending(fate, number, text, call)
        else:
            self._chords.member_ended(fate, number, text, call, member)

    def _keep_ending(self, fate: str, number: float, text: str | None, call: _core.Call) -> None:
        """Results are kept by what is no store of the runtime's."""
        state, exc = as_celery_says(fate, number, text, call)
        task = self._app.registered_task(call.task)
        ignores = call.ignore_result
        if ignores is None:
            ignores = task is not None and task.ignore_result
        stores = not ignores or (task is not None and bool(task.store_errors_even_if_ignored))
        try:
            args, kwargs, embed = decode_call(call, self._app, accepts_json(self._app))
        except Exception as unreadable:
            logger.debug("task %s[%s] cannot be read: %r", call.task, call.id, unreadable)
            args, kwargs, embed = (), {}, None
        fields = request_fields(call, args, kwargs, embed, self._node)
        self._guard(call, self._app.backend.keep_ending, state, exc, fields, stores)

    def _failed(self, call: _core.Call, exc: Exception, *, calls_handlers: bool) -> None:
        """Errbacks, handlers and signal of a failure that no child can see to."""
        task = self._app.tasks[call.task]
        try:
            args, kwargs, embed = decode_call(call, self._app, accepts_json(self._app))
        except Exception:
            # The child would not have read it either; its failure is stored.
            logger.exception("Task %s[%s]: its handlers cannot be called", call.task, call.id)
            return
        context = Context(request_fields(call, args, kwargs, embed, self._node))
        try:
            raise exc
        except type(exc):
            einfo = ExceptionInfo(exc)
        if embed:
            self._guard(call, call_errbacks, self._app, context, exc, einfo.traceback, embed)
        if calls_handlers:
            self._guard(call, task.on_failure, exc, call.id, args, kwargs, einfo)
            self._guard(call, task.after_return, "FAILURE", exc, call.id, args, kwargs, None)
        task.request_stack.push(context)
        try:
            signals.task_failure.send(
                sender=task,
                task_id=call.id,
                exception=exc,
                args=args,
                kwargs=kwargs,
                traceback=exc.__traceback__,
                einfo=einfo,
            )
        finally:
            task.request_stack.pop()

    @staticmethod
    def _guard(call: _core.Call, hook: Any, *args: Any) -> None:
        try:
            hook(*args)
        except Exception:
            name = getattr(hook, "__name__", hook)
            logger.exception("Task %s[%s]: %s raised", call.task, call.id, name)

    def _request(self, call: _core.Call) -> Context:
        """What receivers know a call by: the attributes of ``self.request``, and Celery's names of its ``Request``."""
        try:
            args, kwargs, embed = decode_call(call, self._app, accepts_json(self._app))
        except Exception as exc:
            # Told of before anybody has tried to run it: the child will say what is wrong with it.
            logger.debug("task %s[%s] cannot be read: %r", call.task, call.id, exc)
            args, kwargs, embed = None, None, None
        return Context(
            {
                **request_fields(call, args, kwargs or {}, embed, self._node),
                "name": call.task,
                "task_id": call.id,
                "task_name": call.task,
            }
        )


def _message_of(data: bytes) -> ReceivedMessage:
    """The parts of an envelope; of bytes that are none, a message with nothing but a body."""
    try:
        envelope = json.loads(data)
        return ReceivedMessage(
            str(envelope["body"]).encode(),
            envelope.get("headers") or {},
            envelope.get("properties") or {},
            envelope.get("content-type"),
            envelope.get("content-encoding"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ReceivedMessage(data, {}, {}, None, None)
