"""A chord's body that will not run, since a member of its header failed: what it is made of fails, and its error
callbacks are called. Source: celery-contract 6.4, 9.9; ``Backend.chord_error_from_stack``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker.app.context import Context
from fastworker.app.errbacks import call_errbacks
from fastworker.canvas.chord_errors import DEFAULT, policy_of

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def fail_body(
    app: FastWorker,
    body: Mapping[str, Any],
    origin: Mapping[str, Any],
    error: BaseException,
    traceback: str | None,
    node: str | None,
) -> None:
    """Fail all that ``body`` is made of; each error callback runs once.

    Args:
        app: Whose tasks they are.
        body: The signature, of any kind.
        origin: ``id`` and ``root_id`` of the task by which it failed, both optional.
        error: A ``ChordError``. The members of a group fail with its cause, as in Celery.
        traceback: As text, if there is one.
        node: The name of the worker.
    """
    _BodyFailure(app, origin, traceback, node).fail(body, error, ())


class _BodyFailure:
    def __init__(
        self, app: FastWorker, origin: Mapping[str, Any], traceback: str | None, node: str | None
    ) -> None:
        self._app = app
        self._origin = origin
        self._traceback = traceback
        self._node = node

    def fail(
        self,
        body: Mapping[str, Any],
        error: BaseException,
        errbacks: Sequence[Any],
        called: Sequence[Any] = (),
    ) -> None:
        """``errbacks``: of the whole that ``body`` is a part of; ``called``: those that were called for it."""
        options, kwargs = body.get("options") or {}, body.get("kwargs") or {}
        errbacks = [*errbacks, *_unique(options.get("link_error"), [*errbacks, *called])]
        kind = body.get("subtask_type")
        if kind == "group":
            cause = error.__cause__ or error
            self._store(options.get("task_id"), cause)
            for task in kwargs.get("tasks") or ():
                self.fail(task, cause, errbacks, called)
        elif kind == "chord" and kwargs.get("body"):
            self.fail(kwargs["body"], error, errbacks, called)
        elif kind == "chain" and kwargs.get("tasks"):
            first, *rest = kwargs["tasks"]
            if errbacks and options.get("task_id"):
                # As in Celery, those of the chain are called about the id that whoever waits for the chain waits for.
                self._fail_one(body, error, errbacks)
                called, errbacks = [*called, *errbacks], []
            self.fail(first, error, errbacks, called)
            self._fail_steps(rest, error)
        else:
            self._fail_one(body, error, errbacks)
        if options.get("chain"):
            self._fail_steps(options["chain"], error)

    def _fail_steps(self, steps: Any, error: BaseException) -> None:
        call_errbacks(self._app, Context({}), error, self._traceback, {"chain": steps})

    def _fail_one(
        self, task: Mapping[str, Any], error: BaseException, errbacks: Sequence[Any]
    ) -> None:
        options = task.get("options") or {}
        errbacks = _unique(errbacks, _of_chord_around(options))
        request = Context(
            {
                "id": options.get("task_id"),
                "task": task.get("task"),
                "args": task.get("args"),
                "kwargs": task.get("kwargs"),
                "errbacks": errbacks,
                "root_id": options.get("root_id") or self._origin.get("root_id"),
                "parent_id": options.get("parent_id") or self._origin.get("id"),
                "group": options.get("group_id"),
                "hostname": self._node,
            }
        )
        called = call_errbacks(self._app, request, error, self._traceback, {"errbacks": errbacks})
        if called is not None:
            request.children.append(called)
        self._store(options.get("task_id"), error, request)

    def _store(
        self, task_id: str | None, error: BaseException, request: Context | None = None
    ) -> None:
        if task_id:
            self._app.backend.store_result(task_id, error, states.FAILURE, self._traceback, request)


def _of_chord_around(options: Mapping[str, Any]) -> list[Any]:
    """The errbacks of the chord that the failed body is a member of: it fails too, and calls them then. Linking to a
    chord links to those inside it as well, and each of them is to be called once.
    """
    around = options.get("chord")
    if not around or policy_of(around) != DEFAULT:
        return []
    return _unique((around.get("options") or {}).get("link_error"), ())


def _unique(found: Any, before: Sequence[Any]) -> list[Any]:
    errbacks = found if isinstance(found, list | tuple) else [found] if found else []
    return [errback for errback in errbacks if errback not in before]
