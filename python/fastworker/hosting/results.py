"""Where Celery's tracer stores results: into the outcome of the running call, in a worker's child.

Of Celery's Redis backend only the writing is ours: the document is made by Celery and travels with the call's end, so
that it is stored in one step with the acknowledgement; the same holds for what a member of a chord has to say. Every
other backend works as it is, before the call's end is reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import states

from fastworker.app.link import leaving_with_outcome
from fastworker.app.runs import member_id
from fastworker.child.members import failures_borne, membership
from fastworker.hosting.outcome import Outcome, current_outcome
from fastworker.hosting.redis_backend import is_redis, redis_backend

if TYPE_CHECKING:
    from celery.backends.base import Backend

    from fastworker.hosting.app import HostedApp

#: Celery calls these when a task has ended.
_ENDINGS = ("mark_as_done", "mark_as_failure", "mark_as_retry", "mark_as_revoked")
#: Of these, what follows must not be seen before the state itself: an errback may ask for the result.
_FAILURES = ("mark_as_failure", "mark_as_revoked")


def is_ours(backend: Backend) -> bool:
    """Whether we write what this backend reads: a Redis backend that nobody has taught to write otherwise."""
    return is_redis(backend) and all(
        getattr(type(backend), name) is getattr(redis_backend(), name)
        for name in ("_store_result", "_set_with_state", "set", "on_chord_part_return")
    )


def capture(app: HostedApp, backend: Backend) -> None:
    """From now on, what is stored of the running call leaves with its end. Once for a backend.

    Args:
        app: Whose backend it is.
        backend: Celery's.
    """
    if not is_ours(backend) or isinstance(vars(backend).get("_store_result"), _Store):
        return
    # Celery looks these up on the instance.
    backend._store_result = _Store(backend, backend._store_result)
    backend.on_chord_part_return = _CountPart(backend, backend.on_chord_part_return)
    backend.add_to_chord = _AddMember(app, backend.add_to_chord)
    for name in _ENDINGS:
        setattr(backend, name, _ending(getattr(backend, name), follows=name in _FAILURES))


class _Store:
    """In the place of ``Backend._store_result``."""

    def __init__(self, backend: Backend, original: Callable[..., Any]) -> None:
        self._backend = backend
        self._original = original

    def __call__(
        self,
        task_id: Any,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        outcome = _outcome_of(task_id)
        if outcome is None:
            return self._original(
                task_id, result, state, traceback=traceback, request=request, **kwargs
            )
        backend = self._backend
        meta = backend._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = outcome.call.id
        doc = _as_bytes(backend.encode(meta))
        if outcome.is_ending:
            outcome.status, outcome.doc = state, doc
            if getattr(request, "errbacks", None):
                # Celery calls some of them here and now, and they may ask for the result.
                self._original(
                    task_id, result, state, traceback=traceback, request=request, **kwargs
                )
        else:
            outcome.link.store(outcome.call, state or "", doc)
        return result


class _CountPart:
    """In the place of ``Backend.on_chord_part_return``: the join is made by whoever settles the last member."""

    def __init__(self, backend: Backend, original: Callable[..., Any]) -> None:
        self._backend = backend
        self._original = original

    def __call__(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        outcome = current_outcome.get()
        if outcome is None:
            self._original(request, state, result, **kwargs)
            return
        member = membership(request, {"chord": request.chord})
        if member is None or not request.id:
            return
        backend = self._backend
        part = backend.encode([1, request.id, state, backend.encode_result(result, state)])
        group, index, record = member
        borne = None if state == states.SUCCESS else failures_borne(request.chord)
        outcome.parts.append((str(request.id), group, index, _as_bytes(part), record, borne))


class _AddMember:
    """In the place of ``RedisBackend.add_to_chord``. Celery counts a member, then publishes it; here its message leaves
    with the end of the call that adds it, and it counts once, however often that call has to run: its chord never waits
    for a member that nobody published."""

    def __init__(self, app: HostedApp, original: Callable[..., Any]) -> None:
        self._app = app
        self._original = original

    def __call__(self, group_id: str, result: Any) -> None:
        outcome = current_outcome.get()
        name = None if outcome is None else member_id(outcome)
        if outcome is None or name is None:
            self._original(group_id, result)
            return
        self._app.backend.add_to_chord(group_id, self._app.AsyncResult(name))
        outcome.added.add(result.id)


def _outcome_of(task_id: Any) -> Outcome | None:
    """That of the running call, if it is the one of this id and has not ended."""
    outcome = current_outcome.get()
    if outcome is None or str(task_id) != outcome.call.id or not outcome.link.is_open(outcome.call):
        return None
    return outcome


def _ending(mark: Callable[..., Any], follows: bool) -> Callable[..., Any]:
    def mark_ended(task_id: Any, *args: Any, **kwargs: Any) -> Any:
        outcome = _outcome_of(task_id)
        if outcome is None:
            return mark(task_id, *args, **kwargs)
        before, outcome.is_ending = outcome.is_ending, True
        try:
            with leaving_with_outcome() if follows else contextlib.nullcontext():
                return mark(task_id, *args, **kwargs)
        finally:
            outcome.is_ending = before

    return mark_ended


def _as_bytes(encoded: Any) -> bytes:
    return encoded.encode() if isinstance(encoded, str) else bytes(encoded)
