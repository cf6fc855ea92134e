"""Running the calls of a Celery task: Celery's tracer runs it, we report how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import states
from celery.app import trace as celery_trace
from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from fastworker.app.errbacks import fail_steps
from fastworker.child.members import ends
from fastworker.child.request import request_fields
from fastworker.child.shown import error_of
from fastworker.child.trace import Run, TaskTracer
from fastworker.hosting.context import find_custom_headers_quickly
from fastworker.hosting.outcome import Outcome, current_outcome
from fastworker.hosting.result_repr import show_plain_results_quickly
from fastworker.hosting.stacks import look_at_stacks_quickly
from fastworker.hosting.task import HostedTask

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink
    from fastworker.hosting.app import HostedApp

#: What ``Task.replace`` says when it ignores the task that it has replaced. Source: celery/app/task.py.
_REPLACED = "Replaced by new task"


class HostedTracer(TaskTracer):
    """Runs the calls of one task.

    Args:
        app: Whose task it is.
        link: Where outcomes go.
        node: The worker's name.
        task: The task.
        leaving: What it may raise to end its process.
    """

    def __init__(
        self,
        app: HostedApp,
        link: ChildLink,
        node: str,
        task: HostedTask,
        leaving: tuple[type[BaseException], ...],
    ) -> None:
        super().__init__(app, link, node, task, leaving)
        find_custom_headers_quickly()
        show_plain_results_quickly()
        look_at_stacks_quickly()
        self.celery_task = task.celery_task
        # By the module's attribute: error trackers replace it.
        self.traced = celery_trace.build_tracer(
            self.name, self.celery_task, app.celery.loader, node, app=app.celery
        )

    def is_plain(self) -> bool:
        """Celery's tracer has a way of its own to be short."""
        return False

    def _run(self, run: Run) -> None:
        call = run.call
        outcome = Outcome(call, self.link)
        fields = request_fields(call, run.args, run.kwargs, run.embed, self.node)
        token = current_outcome.set(outcome)
        try:
            ended = self.traced(call.id, run.args, run.kwargs, fields)
            if ended.info is None:
                if call.is_watched:
                    outcome.facts = {"shown": ended.retstr or ""}
                self._end(outcome, "success")
                return
            traceback = getattr(ended.retval, "traceback", None)
            if call.is_watched:
                outcome.facts = _error_shown(call, ended, traceback)
            self._report(run, outcome, fields, ended.info, traceback)
        except Reject as exc:
            # A handler raised it after the task had run.
            self._reject(run, outcome, fields, exc)
        finally:
            current_outcome.reset(token)

    def _report(
        self,
        run: Run,
        outcome: Outcome,
        fields: dict[str, Any],
        info: Any,
        traceback: str | None,
    ) -> None:
        state = info.state
        if state == states.RETRY:
            self._end(outcome, "retry")
        elif state == states.IGNORED:
            self._ignore(run, outcome, info.retval)
        elif state == states.REJECTED:
            self._reject(run, outcome, fields, info.retval)
        else:
            self._fail_behind(run, outcome, info.retval, traceback)
            reason = f"it failed: {info.retval!r}" if self.failure == "reject" else ""
            self._end(outcome, self.failure, reason)

    def _end(self, outcome: Outcome, kind: str, reason: str = "") -> None:
        self.link.report(
            outcome.call,
            kind,
            status=outcome.status,
            doc=outcome.doc,
            reason=reason,
            parts=outcome.parts,
            **outcome.facts,
        )

    def _ignore(self, run: Run, outcome: Outcome, exc: Ignore) -> None:
        """A chord would wait for ever for a member that is ignored; for a replaced one its replacement counts."""
        if run.embed and str(exc) != _REPLACED:
            outcome.parts = ends(self.app, run.request, run.embed, states.FAILURE, exc)
        self._end(outcome, "ignore")

    def _fail_behind(
        self, run: Run, outcome: Outcome, exc: BaseException, traceback: str | None
    ) -> None:
        """What waits behind a failed task fails too, also where Celery leaves it without an end: members of groups, and
        chords that they belong to."""
        steps = [step for step in run.embed.get("chain") or () if step.get("subtask_type")]
        if not steps:
            return
        fail_steps(self.app, steps, exc, traceback)
        counted = {part[:3] for part in outcome.parts}
        parts = ends(self.app, run.request, run.embed, states.FAILURE, exc)
        outcome.parts += [part for part in parts if part[:3] not in counted]

    def _reject(self, run: Run, outcome: Outcome, fields: dict[str, Any], exc: Reject) -> None:
        """Not requeued, it never runs again: that is a FAILURE for whoever waits, as in Celery 5.7."""
        self.link.collect_successors(False)
        if exc.requeue and not run.call.is_early_acked:
            self.link.report(run.call, "requeue")
            return
        request = Context(fields, args=run.args, kwargs=run.kwargs, called_directly=False)
        self.celery_task.backend.mark_as_failure(
            run.call.id,
            exc,
            request=request,
            store_result=self.stores(run.call) or self.stores_errors,
        )
        self._fail_behind(run, outcome, exc, None)
        kind = "requeue" if exc.requeue else "reject"
        self._end(outcome, kind, str(exc.reason or "raised Reject"))


def _error_shown(call: Call, ended: Any, traceback: str | None) -> dict[str, str]:
    """How events show an error that Celery's tracer caught. Source: ``Request.on_failure``; a success has its text in
    ``retstr``, as ``Request.on_success`` takes it."""
    error = ended.info.retval
    return error_of(call, getattr(error, "exc", error), traceback)
