"""Station 7, run, for a batch: one call of the function for many calls of the task, each of which ends by itself.

``task_prerun`` and ``task_postrun`` are sent once, for the call of the function, as the celery-batches package does;
all else that a task's end brings about (its handlers, ``task_success`` and its like, callbacks, errbacks, the rest of a
chain) is each call's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals, states
from fastworker.app.batches import BatchContext, RetryOfBatch, SimpleRequest, results_of
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.child.async_trace import AsyncTracer
from fastworker.child.interrupts import INTERRUPTS, ToldToEnd, current_call, current_member
from fastworker.child.trace import Run, TaskTracer
from fastworker.errors import Ignore, Reject, Retry, WorkerLostError

if TYPE_CHECKING:
    from fastworker._core import Batch, Call
    from fastworker.app.einfo import ExceptionInfo
    from fastworker.child.coroutines import Interruptible

logger = logging.getLogger("fastworker.app.trace")

#: What a handler that runs before the function raises when it has kept what is to leave with its call's end.
_SAID = (Retry, Ignore, Reject)


class BatchRun:
    """A batch on its way.

    Args:
        batch: What the worker was given.
    """

    __slots__ = ("args", "batch", "context", "id", "kwargs", "members", "started", "state", "value")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        #: What signals name the call of the function by; no task has it.
        self.id = _core.new_id()
        self.args: tuple[list[SimpleRequest]] = ([],)
        self.kwargs: dict[str, Any] = {}
        self.members: list[Member] = []
        self.context = BatchContext(batch.task)
        self.started = 0.0
        # What task_postrun says.
        self.state: str | None = None
        self.value: Any = None

    @property
    def requests(self) -> list[SimpleRequest]:
        """What the function is given."""
        return self.args[0]


class Member:
    """One call of a batch; ``Ends`` of its request."""

    __slots__ = ("batch", "request", "run", "tracer")

    def __init__(self, tracer: BatchTracer, batch: BatchRun, run: Run) -> None:
        self.tracer = tracer
        self.batch = batch
        self.run = run
        self.request = SimpleRequest(
            run.call.id, tracer.name, run.args, run.kwargs, run.request, self
        )

    def succeed(self, value: Any) -> None:
        """It succeeded."""
        self.request.close()
        self.tracer.member_returned(self, value)

    def fail(self, exc: BaseException) -> None:
        """It failed."""
        self.request.close()
        self.tracer.member_raised(self, exc)

    def retry(self, options: dict[str, Any]) -> None:
        """It is to be tried again."""
        self.request.close()
        self.tracer.member_raised(self, RetryOfBatch(options))


class BatchTracer(TaskTracer):
    """Runs the batches of one task."""

    def trace(self, batch: Batch) -> None:  # type: ignore[override]
        """Run one batch and report its calls."""
        run = BatchRun(batch)
        try:
            if self.begin(run):
                try:
                    value = self.fun(run.requests)
                except self.leaving:
                    raise
                except BaseException as exc:
                    self.batch_raised(run, exc)
                else:
                    self.batch_returned(run, value)
        except INTERRUPTS as exc:
            # It came before the function was called, or while its end was being reported.
            self.batch_raised(run, exc)
        except Exception as exc:
            self.batch_broke(run, exc)
        except BaseException as exc:
            self.batch_left(run, exc)
        finally:
            self.finish(run)

    def interrupted_outside(self, batch: Any, run: Any, exc: BaseException) -> None:
        """An interrupt came when a batch had been taken and not begun, or when it had ended but for its last report."""
        rest = BatchRun(batch)
        for call in batch.calls:
            if self.link.is_open(call):
                rest.members.append(Member(self, rest, self._unread(call)))
        self._enter(rest)
        self.batch_raised(rest, exc)
        self.finish(rest)

    # -------------------------------------------------------------------------------------------------- the batch

    def _enter(self, run: BatchRun) -> None:
        push_current_task(self.task)
        self.task.request_stack.push(run.context)

    def begin(self, run: BatchRun) -> bool:
        """Read the calls, and tell of those that are about to start. False: none of them can."""
        self._enter(run)
        for call in run.batch.calls:
            one = self.read(call)
            if one is not None:
                run.members.append(Member(self, run, one))
        run.context.members = {member.run.call.id: member.run.request for member in run.members}
        run.requests.extend(member.request for member in run.members)
        if run.members and signals.task_prerun.has_receivers:
            signals.task_prerun.send(
                sender=self.task, task_id=run.id, task=self.task, args=run.args, kwargs=run.kwargs
            )
        if self.is_special:
            for member in run.members:
                self._about_to_start(member)
            run.requests[:] = [it for it in run.requests if not it.has_ended]
        run.started = time.monotonic()
        return bool(run.requests)

    def _about_to_start(self, member: Member) -> None:
        run = member.run
        self.store_started(run)
        try:
            with self.focus(member):
                self.task.before_start(run.call.id, run.args, run.kwargs)
        except Exception as exc:
            member.fail(exc)

    def batch_returned(self, run: BatchRun, value: Any) -> None:
        """Its function returned: what it says is the end of every call that has not ended."""
        run.state, run.value = states.SUCCESS, value
        try:
            results = results_of(self.task, value, len(run.requests))
        except TypeError as exc:
            self.batch_raised(run, exc)
            return
        ends = {id(request): result for request, result in zip(run.requests, results, strict=True)}
        for member in run.members:
            if id(member.request) in ends and self.link.is_open(member.run.call):
                member.succeed(ends[id(member.request)])

    def batch_raised(self, run: BatchRun, exc: BaseException) -> None:
        """It raised: so does every call that has not ended."""
        run.state, run.value = states.RETRY if isinstance(exc, Retry) else states.FAILURE, exc
        run.context.raised = exc
        left = [member for member in run.members if self.link.is_open(member.run.call)]
        if not isinstance(exc, (Retry, ToldToEnd, *(self.task.throws or ()))):
            logger.error(
                "Task %s raised with a batch of %d calls, of which %d had not ended: %r",
                self.name,
                len(run.batch.calls),
                len(left),
                exc,
                exc_info=exc,
            )
        for member in left:
            member.request.close()
            self.member_raised(member, exc, autoretries=True)

    def batch_broke(self, run: BatchRun, exc: Exception) -> None:
        """Something around the task's own code raised."""
        run.state, run.value = states.FAILURE, exc
        for call in run.batch.calls:
            if self.link.is_open(call):
                own = next((it.run for it in run.members if it.run.call is call), None)
                with self._focused(run.batch, own or self._unread(call)):
                    self.broke(call, own, exc)

    def batch_left(self, run: BatchRun, exc: BaseException) -> None:
        """As ``left``.

        Raises:
            BaseException: ``exc``.
        """
        if self.leaving:
            raise exc
        lost = WorkerLostError(repr(exc))
        lost.__cause__ = exc
        self.batch_broke(run, lost)

    def finish(self, run: BatchRun) -> None:
        """Its function has returned, and every call has ended; or the process is leaving."""
        try:
            if run.started and signals.task_postrun.has_receivers:
                signals.task_postrun.send(
                    sender=self.task,
                    task_id=run.id,
                    task=self.task,
                    args=run.args,
                    kwargs=run.kwargs,
                    retval=run.value,
                    state=run.state,
                )
        finally:
            for member in run.members:
                member.request.close()
            self.task.request_stack.pop()
            pop_current_task()
            # Exceptions hold frames that hold this.
            run.context.raised = run.value = None
            if not any(self.link.is_open(call) for call in run.batch.calls):
                self.link.end_batch(run.batch)

    # -------------------------------------------------------------------------------------------------- its calls

    @contextmanager
    def focus(self, member: Member) -> Iterator[None]:
        """What runs in here runs for one call of the batch."""
        with self._focused(member.batch.batch, member.run):
            yield

    @contextmanager
    def _focused(self, batch: Batch, run: Run) -> Iterator[None]:
        # The batch and the task too: a thread that the function started runs for nobody by itself.
        before = current_call.set(batch)
        token = current_member.set(run.call)
        push_current_task(self.task)
        self.task.request_stack.push(run.request)
        try:
            yield
        finally:
            self.task.request_stack.pop()
            pop_current_task()
            current_member.reset(token)
            current_call.reset(before)

    def member_returned(self, member: Member, value: Any) -> None:
        """A call ends with a result."""
        run = member.run
        self.link.start_over(run.call)
        with self.focus(member):
            if run.embed or not self.is_plain():
                since = member.batch.started
                state, value = self.returned(run, value, time.monotonic() - since)
                self.after(run, state, value)
            else:
                self.returned_plain(run, value)

    def member_raised(
        self, member: Member, exc: BaseException, *, autoretries: bool = False
    ) -> None:
        """A call ends with an exception."""
        autoretry = getattr(self.task, "autoretry", None) if autoretries else None
        if not isinstance(exc, _SAID) or isinstance(exc, RetryOfBatch):
            self.link.start_over(member.run.call)
        with self.focus(member):
            try:
                if isinstance(exc, RetryOfBatch):
                    self.task.retry(**exc.options)
                elif autoretry is not None:
                    autoretry(exc)
            except BaseException as other:
                reasons = (exc, exc.options.get("exc") if isinstance(exc, RetryOfBatch) else None)
                if isinstance(other, INTERRUPTS) and not any(other is reason for reason in reasons):
                    # Of the function's call, not of this one: what has not been reported is ended by it.
                    raise
                # The retry; or, when none are left, its reason.
                exc = other
            state, value = self.raised(member.run, exc)
            self.after(member.run, state, value)

    def stores(self, call: Call) -> bool:
        """As ``TaskTracer.stores``; not when the function has stored the result by itself."""
        batch = self._batch()
        return (batch is None or call.id not in batch.stored) and super().stores(call)

    def _batch(self) -> BatchContext | None:
        return next((it for it in self.task.request_stack.stack if it.is_batch), None)

    def log_failure(self, run: Run, exc: BaseException, einfo: ExceptionInfo) -> None:
        """Where it was raised was logged once for all."""
        batch = self._batch()
        if batch is not None and batch.raised is exc:
            logger.error(
                "Task %s[%s] failed with its batch: %r",
                run.request.shadow or self.name,
                run.call.id,
                exc,
            )
        else:
            super().log_failure(run, exc, einfo)


class AsyncBatchTracer(BatchTracer, AsyncTracer):
    """Runs the batches of one task whose function is a coroutine."""

    async def atrace(self, batch: Any, started: Callable[[Interruptible], None]) -> None:
        """Run one batch and report its calls."""
        run = BatchRun(batch)
        try:
            if self.begin(run):
                try:
                    value = await self._await(run, started)
                except BaseException as exc:
                    self.batch_raised(run, exc)
                else:
                    self.batch_returned(run, value)
        except Exception as exc:
            self.batch_broke(run, exc)
        except BaseException as exc:
            self.batch_left(run, exc)
        finally:
            self.finish(run)
