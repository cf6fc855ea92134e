"""Station 7: run. Takes a `Call`; runs the task and reports how it ended. Order of steps: celery-contract 9.3.

A task without anything unusual takes the short way: decode, push, call, report, pop. Signals, handlers, callbacks and
chains cost only the tasks that have them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastworker import signals, states
from fastworker._core import Batch
from fastworker.app.eager import unstorable
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.errbacks import call_errbacks
from fastworker.app.link import leaving_with_outcome
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.child.async_tasks import blocking, is_coroutine_task
from fastworker.child.decode import accepts_json, decode_call
from fastworker.child.deduplicating import ended_before
from fastworker.child.interrupts import INTERRUPTS, Terminated, ToldToEnd
from fastworker.child.members import Membership, Part, ends, membership
from fastworker.child.request import WorkerRequest
from fastworker.child.shown import error_of, results_of
from fastworker.child.successors import publish_successors
from fastworker.errors import (
    EncodeError,
    Ignore,
    MissingReferenceError,
    NotRegistered,
    OperationalError,
    Reject,
    Replaced,
    Retry,
    WorkerLostError,
)
from fastworker.results.references import with_values
from fastworker.serialize.saferepr import saferepr

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink
    from fastworker.app.app import FastWorker
    from fastworker.app.task import Task

logger = logging.getLogger("fastworker.app.trace")

#: Takes a call, or of a batch task a batch.
Tracer = Callable[[Any], None]

#: These end the process where it runs one task. All else that a task raises is its failure, asyncio.CancelledError too.
LEAVING = (SystemExit, KeyboardInterrupt)
_HANDLERS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


class Run:
    """One call on its way: what it was given, and what ``self.request`` is made of."""

    __slots__ = ("args", "call", "embed", "kwargs", "request")

    def __init__(
        self,
        call: Call,
        request: WorkerRequest,
        args: Any,
        kwargs: dict[str, Any],
        embed: dict[str, Any],
    ) -> None:
        self.call = call
        self.request = request
        self.args = args
        self.kwargs = kwargs
        self.embed = embed


class Tracers(dict[str, Tracer]):
    """The tracer of each task by name, made when its first call arrives."""

    def __init__(
        self, app: FastWorker, link: ChildLink, node: str, *, shares: bool = False
    ) -> None:
        super().__init__()
        self._app = app
        self._link = link
        self._node = node
        #: Tasks share the process, and none of them may end it.
        self._leaving = () if shares else LEAVING

    def __missing__(self, name: str) -> Tracer:
        try:
            task = self._app.tasks[name]
        except NotRegistered:
            return self._report_unknown
        trace = self._tracer(task).trace
        self[name] = trace
        return trace

    def _tracer(self, task: Task[..., Any]) -> TaskTracer:
        own = self._app.tracer_class(task)
        if own is not None:
            tracer: TaskTracer = own(self._app, self._link, self._node, task, self._leaving)
            return tracer
        if task.batch is None:
            return TaskTracer(self._app, self._link, self._node, task, self._leaving)
        from fastworker.child.batch_trace import BatchTracer

        return BatchTracer(self._app, self._link, self._node, task, self._leaving)

    def interrupted(self, call: Call | Batch, exc: BaseException) -> None:
        """An interrupt came when a call had been taken and not begun."""
        self._tracer(self._app.tasks[call.task]).interrupted_outside(call, None, exc)

    def _report_unknown(self, call: Call | Batch) -> None:
        if isinstance(call, Batch):
            for one in call.calls:
                self._report_unknown(one)
            self._link.end_batch(call)
            return
        error = NotRegistered(call.task)
        doc = self._app.backend.document(call.id, error, states.FAILURE)
        self._link.report(
            call,
            "poison",
            status=states.FAILURE,
            doc=doc,
            reason=f"task {call.task!r} is registered in the parent but not in this child",
            **error_of(call, error, None),
        )


class TaskTracer:
    """Runs the calls of one task.

    Args:
        app: Whose task it is.
        link: Where outcomes go.
        node: The worker's name, ``request.hostname``.
        task: The task.
        leaving: What it may raise to end its process.
    """

    def __init__(
        self,
        app: FastWorker,
        link: ChildLink,
        node: str,
        task: Task[..., Any],
        leaving: tuple[type[BaseException], ...] = LEAVING,
    ) -> None:
        self.app = app
        self.leaving = leaving
        self.link = link
        self.node = node
        self.task = task
        self.name = str(task.name)
        self.show = results_of(task)
        task_class = type(task)
        from fastworker.app.task import Task as BaseTask

        self.fun = task if task_class.__call__ is not BaseTask.__call__ else task.run
        if is_coroutine_task(task):
            self.fun = self.awaited(self.fun)
        has_handlers = any(
            getattr(task_class, name) is not getattr(BaseTask, name) for name in _HANDLERS
        )
        self.ignores_result = bool(task.ignore_result)
        self.stores_errors = bool(task.store_errors_even_if_ignored)
        self.tracks_start = bool(task.track_started)
        #: A failed message that is not to be acknowledged is rejected: it goes to the dead letters.
        self.failure = "failure" if task.acks_on_failure or not task.acks_late else "reject"
        conf = app.conf
        self.has_plain_results = (
            conf.result_serializer == "json"
            and not conf.result_extended
            and conf.result_compression is None
        )
        self.accepts_json = accepts_json(app)
        #: What was delivered again may have ended before.
        self.deduplicates = bool(
            conf.worker_deduplicate_successful_tasks and task.acks_late and app.backend.persistent
        )
        self.logs = logger.isEnabledFor(logging.INFO)
        self.is_special = (
            has_handlers or self.logs or self.tracks_start or not self.has_plain_results
        )

    def awaited(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """What is called for a task that is a coroutine: here, what runs it to its end."""
        return blocking(fun)

    def is_plain(self) -> bool:
        """Nothing needs the long way: no handlers, no receivers, no log lines. Asked for each call, so spelled out."""
        return not (
            self.is_special
            or signals.task_prerun.has_receivers
            or signals.task_postrun.has_receivers
            or signals.task_success.has_receivers
            or signals.task_failure.has_receivers
            or signals.task_retry.has_receivers
        )

    def stores(self, call: Call) -> bool:
        """Whether the result of this call is stored."""
        ignores = call.ignore_result
        return not (self.ignores_result if ignores is None else ignores)

    def trace(self, call: Call) -> None:
        """Run one call and report it."""
        run = None
        try:
            run = self.enter(call)
            if run is None:
                return
            if not run.embed and self.is_plain():
                self._run_plain(run)
            else:
                self._run(run)
        except INTERRUPTS as exc:
            self.interrupted_outside(call, run, exc)
        except Exception as exc:
            self.broke(call, run, exc)
        except BaseException as exc:
            self.left(call, run, exc)
        finally:
            if run is not None:
                self.leave()

    def enter(self, call: Call) -> Run | None:
        """Make a call the current one, until ``leave``. None: it cannot be run, or need not, and that is reported."""
        run = self.read(call)
        if run is not None and self.deduplicates and ended_before(self, run):
            return None
        if run is not None:
            push_current_task(self.task)
            self.task.request_stack.push(run.request)
        return run

    def read(self, call: Call) -> Run | None:
        """What a call says, and the results that it refers to. None: it cannot be run, and that is reported. The
        request keeps the references: a retry sends them on."""
        try:
            args, kwargs, embed = decode_call(call, self.app, self.accepts_json)
            given = with_values(args, self.app)
        except Exception as exc:
            self.link.report(
                call,
                "poison",
                reason=f"its body cannot be read: {exc}",
                **self._failed(call, exc),
                **error_of(call, exc, None),
            )
            return None
        request = WorkerRequest(call, args, kwargs, embed, self.node, self.link)
        return Run(call, request, given, kwargs, embed or {})

    def leave(self) -> None:
        """The call that was entered last is not the current one any more."""
        self.task.request_stack.pop()
        pop_current_task()

    def interrupted_outside(self, call: Any, run: Run | None, exc: BaseException) -> None:
        """An interrupt came before the function was called, after it had returned, or while its end was being
        reported."""
        if self.link.is_running:
            self.link.start_over(call)
            self.raised(run or self._unread(call), exc)

    def _unread(self, call: Call) -> Run:
        """A call whose body was not read, or was not kept when it was."""
        args: Any = ()
        kwargs: dict[str, Any] = {}
        embed = None
        try:
            args, kwargs, embed = decode_call(call, self.app, self.accepts_json)
        except Exception as exc:
            logger.debug("task %s[%s] cannot be read: %r", self.name, call.id, exc)
        request = WorkerRequest(call, args, kwargs, embed, self.node, self.link)
        return Run(call, request, args, kwargs, embed or {})

    def broke(self, call: Call, run: Run | None, exc: Exception) -> None:
        """Something around the task's own code raised: the user's classes, a serializer, or a mistake of ours."""
        run = run or self._unread(call)
        logger.critical("Task %s[%s] INTERNAL ERROR: %r", self.name, call.id, exc, exc_info=exc)
        signals.task_internal_error.send(
            sender=self.task,
            task_id=call.id,
            args=run.args,
            kwargs=run.kwargs,
            request=run.request,
            exception=exc,
            traceback=exc.__traceback__,
            einfo=ExceptionInfo(exc),
        )
        if self.link.is_running:
            self.link.start_over(call)
            facts = self._failed_somehow(call, exc)
            facts.update(error_of(call, exc, ExceptionInfo(exc).traceback))
            self.link.report(call, "failure", parts=self._parts_somehow(run, exc), **facts)

    def left(self, call: Call, run: Run | None, exc: BaseException) -> None:
        """Something around the task's own code wants the process to exit: it does where the task has it for itself;
        where it is shared, the task fails as if it had died of that.

        Raises:
            BaseException: ``exc``.
        """
        if self.leaving or not self.link.is_running:
            raise exc
        lost = WorkerLostError(repr(exc))
        lost.__cause__ = exc
        self.broke(call, run, lost)

    def _failed_somehow(self, call: Call, exc: Exception) -> dict[str, Any]:
        """``_failed``, when the store's serializer may be what is broken."""
        try:
            return self._failed(call, exc, ExceptionInfo(exc).traceback)
        except Exception:
            logger.exception("Task %s[%s]: its failure cannot be stored", self.name, call.id)
            return {}

    def _parts_somehow(self, run: Run, exc: Exception) -> list[Part]:
        """``_parts``, likewise: an error that every serializer knows takes the place of ``exc``."""
        try:
            return self._parts(run, exc)
        except Exception:
            logger.exception(
                "Task %s[%s]: its chord is told of its end in words", self.name, run.call.id
            )
            return self._parts(run, RuntimeError(repr(exc)))

    # --------------------------------------------------------------------------------------------- the short way

    def _run_plain(self, run: Run) -> None:
        try:
            value = self.fun(*run.args, **run.kwargs)
        except self.leaving:
            raise
        except BaseException as exc:
            self.raised(run, exc)
            return
        self.returned_plain(run, value)

    def returned_plain(self, run: Run, value: Any) -> None:
        """It returned, and nothing needs the long way."""
        try:
            call = run.call
            self.link.succeed(call, value, self.stores(call), None, self.show)
        except (TypeError, ValueError) as exc:
            self._unstorable(run, value, exc)

    # ---------------------------------------------------------------------------------------------- the long way

    def _run(self, run: Run) -> None:
        # What task_postrun says when the process is leaving (SystemExit), as in Celery.
        state: str | None = None
        value: Any = None
        try:
            self.before(run)
            started = time.monotonic()
            try:
                self.task.before_start(run.call.id, run.args, run.kwargs)
                value = self.fun(*run.args, **run.kwargs)
            except self.leaving:
                raise
            except BaseException as exc:
                state, value = self.raised(run, exc)
            else:
                state, value = self.returned(run, value, time.monotonic() - started)
            self.after(run, state, value)
        finally:
            try:
                self.postrun(run, state, value)
            finally:
                # The traceback of an exception holds this frame.
                value = None

    def before(self, run: Run) -> None:
        """What is told of a task that is about to start."""
        call = run.call
        if signals.task_prerun.has_receivers:
            signals.task_prerun.send(
                sender=self.task, task_id=call.id, task=self.task, args=run.args, kwargs=run.kwargs
            )
        self.store_started(run)

    def store_started(self, run: Run) -> None:
        """STARTED, if the task tracks it."""
        call = run.call
        if self.tracks_start and self.stores(call):
            meta = {"pid": os.getpid(), "hostname": self.node}
            doc = self.app.backend.document(call.id, meta, states.STARTED, request=run.request)
            self.link.store(call, states.STARTED, doc)

    def after(self, run: Run, state: str, value: Any) -> None:
        """The task's own handler at the end of it."""
        if state not in (states.RETRY, states.IGNORED, states.REJECTED):
            self._guard(
                run.call, "after_return", state, value, run.call.id, run.args, run.kwargs, None
            )

    def postrun(self, run: Run, state: str | None, value: Any) -> None:
        """What is told of a task that has ended."""
        if signals.task_postrun.has_receivers:
            signals.task_postrun.send(
                sender=self.task,
                task_id=run.call.id,
                task=self.task,
                args=run.args,
                kwargs=run.kwargs,
                retval=value,
                state=state,
            )

    def returned(self, run: Run, value: Any, runtime: float) -> tuple[str, Any]:
        call, request = run.call, run.request
        stores = self.stores(call)
        try:
            if run.embed:
                self.link.collect_successors(True)
                publish_successors(self.app, request, value, run.embed)
            member = membership(request, run.embed) if run.embed else None
            if self.has_plain_results:
                self.link.succeed(call, value, stores, member, self.show)
            else:
                shown = self.show(value) if call.is_watched else ""
                self._succeed(run, value, stores, member, shown)
        except (
            TypeError,
            ValueError,
            EncodeError,
            OperationalError,
            MissingReferenceError,
        ) as exc:
            self.link.collect_successors(False)
            return self._unstorable(run, value, exc)
        self._guard(call, "on_success", value, call.id, run.args, run.kwargs)
        if signals.task_success.has_receivers:
            signals.task_success.send(sender=self.task, result=value, runtime=runtime)
        if self.logs:
            logger.info(
                "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(return_value)s",
                {
                    "name": request.shadow or self.name,
                    "id": call.id,
                    "runtime": runtime,
                    "return_value": saferepr(value, self.task.resultrepr_maxsize),
                },
            )
        return states.SUCCESS, value

    def _succeed(
        self, run: Run, value: Any, stores: bool, member: Membership | None, shown: str
    ) -> None:
        """Report a success in another form than plain JSON."""
        call, backend = run.call, self.app.backend
        doc = backend.document(call.id, value, states.SUCCESS, request=run.request)
        parts: list[Part] = []
        if member is not None:
            group, index, record = member
            part = backend.encode_part(call.id, states.SUCCESS, value)
            parts.append((call.id, group, index, part, record, None))
        self.link.report(
            call,
            "success",
            status=states.SUCCESS if stores else None,
            doc=doc if stores else None,
            parts=parts,
            shown=shown,
        )

    def _parts(self, run: Run, exc: BaseException) -> list[Part]:
        """What its failure means for chords."""
        return ends(self.app, run.request, run.embed, states.FAILURE, exc) if run.embed else []

    def _guard(self, call: Call, handler: str, *args: Any) -> None:
        """Call one of the task's handlers after the outcome is reported: an error in it is logged, the outcome kept."""
        try:
            getattr(self.task, handler)(*args)
        except Exception as exc:
            text = "Task %s[%s] %s handler raised: %r"
            logger.exception(text, self.name, call.id, handler, exc)

    # -------------------------------------------------------------------------------------------------- endings

    def _unstorable(self, run: Run, value: Any, exc: Exception) -> tuple[str, Any]:
        """What it returned has no form in the result serializer, or what follows from it cannot be published."""
        if isinstance(exc, OperationalError | MissingReferenceError):
            return self.raised(run, exc)
        problem = unstorable(self.task, value, exc)
        problem.__cause__ = exc
        return self.raised(run, problem)

    def raised(self, run: Run, exc: BaseException) -> tuple[str, Any]:
        """It raised ``exc``: a failure, or one of the ways to say something else. Returns state and value."""
        call = run.call
        if isinstance(exc, ToldToEnd):
            return self._told(run, exc)
        if isinstance(exc, LEAVING):
            # What would end the process fails the task where others run beside it, as in Celery's pools.
            lost = WorkerLostError(repr(exc))
            lost.__cause__ = exc
            exc = lost
        if isinstance(exc, Reject):
            return self._rejected(run, exc)
        if isinstance(exc, Ignore):
            # A chord would wait for ever for a member that is ignored; for a replaced one its replacement counts.
            parts = [] if isinstance(exc, Replaced) else self._parts(run, exc)
            self.link.report(call, "ignore", parts=parts)
            logger.info("Task %s[%s] ignored", self.name, call.id)
            return states.IGNORED, exc
        if isinstance(exc, Retry):
            return self._retried(run, exc)
        return self._failed_for_good(run, exc)

    def _told(self, run: Run, exc: ToldToEnd) -> tuple[str, Any]:
        """It was told to end: the worker writes its result, the same as for a process that it had to kill."""
        self.link.collect_successors(False)
        self.link.report(run.call, exc.outcome)
        state = states.REVOKED if isinstance(exc, Terminated) else states.FAILURE
        words = "terminated" if isinstance(exc, Terminated) else "ended by its hard time limit"
        logger.error("Task %s[%s] %s", run.request.shadow or self.name, run.call.id, words)
        return state, exc

    def _rejected(self, run: Run, exc: Reject) -> tuple[str, Any]:
        """Not requeued, it never runs again: that is a FAILURE for whoever waits, as in Celery 5.7."""
        call = run.call
        logger.warning("Task %s[%s] %r", run.request.shadow or self.name, call.id, exc)
        if exc.requeue:
            # What was acknowledged before cannot go back.
            parts = self._parts(run, exc) if call.is_early_acked else []
            self.link.report(call, "requeue", parts=parts)
            return states.REJECTED, exc
        if run.embed:
            self.link.collect_successors(True)
            call_errbacks(self.app, run.request, exc, None, run.embed)
        einfo = ExceptionInfo(exc)
        facts = self._failed(call, exc, None, run.request)
        facts.update(error_of(call, exc, einfo.traceback))
        reason = str(exc.reason or "raised Reject")
        self.link.report(call, "reject", reason=reason, parts=self._parts(run, exc), **facts)
        self._signal_failure(run, exc, einfo)
        return states.REJECTED, exc

    def _retried(self, run: Run, exc: Retry) -> tuple[str, Any]:
        call, request = run.call, run.request
        einfo = ExceptionInfo(exc)
        doc = None
        if self.stores(call) or self.stores_errors:
            doc = self.app.backend.document(
                call.id, exc.exc, states.RETRY, einfo.traceback, request
            )
        status = states.RETRY if doc else None
        error = error_of(call, exc.exc, einfo.traceback)
        self.link.report(call, "retry", status=status, doc=doc, **error)
        self._guard(call, "on_retry", exc.exc, call.id, run.args, run.kwargs, einfo)
        if signals.task_retry.has_receivers:
            signals.task_retry.send(sender=self.task, request=request, reason=exc, einfo=einfo)
        logger.info("Task %s[%s] retry: %s", request.shadow or self.name, call.id, exc)
        return states.RETRY, exc

    def _failed_for_good(self, run: Run, exc: BaseException) -> tuple[str, Any]:
        call, args, kwargs = run.call, run.args, run.kwargs
        einfo = ExceptionInfo(exc)
        if run.embed:
            self.link.collect_successors(True)
            # An errback may ask for the result, so that it must not run before the failure is stored.
            with leaving_with_outcome() if call.is_early_acked else contextlib.nullcontext():
                call_errbacks(self.app, run.request, exc, einfo.traceback, run.embed)
        failed = self._failed(call, exc, einfo.traceback, run.request)
        failed.update(error_of(call, exc, einfo.traceback))
        # Only what goes to the dead letters needs its reason there.
        reason = f"it failed: {exc!r}\n{einfo.traceback}" if self.failure == "reject" else ""
        parts = self._parts(run, exc)
        self.link.report(call, self.failure, reason=reason, parts=parts, **failed)
        self._guard(call, "on_failure", exc, call.id, args, kwargs, einfo)
        self._signal_failure(run, exc, einfo)
        self.log_failure(run, exc, einfo)
        return states.FAILURE, exc

    def log_failure(self, run: Run, exc: BaseException, einfo: ExceptionInfo) -> None:
        """In Celery's words."""
        shown = run.request.shadow or self.name
        if isinstance(exc, tuple(self.task.throws or ())):
            logger.info("Task %s[%s] raised expected: %r", shown, run.call.id, exc)
        else:
            logger.error(
                "Task %s[%s] raised unexpected: %r\n%s",
                shown,
                run.call.id,
                exc,
                einfo.traceback.rstrip(),
            )

    def _signal_failure(self, run: Run, exc: BaseException, einfo: ExceptionInfo) -> None:
        if signals.task_failure.has_receivers:
            signals.task_failure.send(
                sender=self.task,
                task_id=run.call.id,
                exception=exc,
                args=run.args,
                kwargs=run.kwargs,
                traceback=exc.__traceback__,
                einfo=einfo,
            )

    def _failed(
        self, call: Call, exc: BaseException, traceback: str | None = None, request: Any = None
    ) -> dict[str, Any]:
        """Status and document of a failure, when it is to be stored."""
        if not (self.stores(call) or self.stores_errors):
            return {}
        doc = self.app.backend.document(call.id, exc, states.FAILURE, traceback, request)
        return {"status": states.FAILURE, "doc": doc}
