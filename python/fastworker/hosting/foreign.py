"""Results that a backend of Celery's keeps, other than its Redis one: a database, Django's tables, files, memcached.

The child stores them with that backend, as Celery's children do, before the end of a call is reported. How a call ended
that no child saw to the end is stored by the parent, before it is settled or as soon as it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from billiard import exceptions as billiard_exceptions
from celery import exceptions, states
from celery.app.task import Context

from fastworker.results.disabled import DisabledBackend

if TYPE_CHECKING:
    from celery.backends.base import Backend as CeleryBackend

    from fastworker.hosting.app import HostedApp


class ForeignBackend(DisabledBackend):
    """What ``app.backend`` is of an application whose results are not ours to write.

    Those exceptions of ours that Celery has too are stored as Celery's.

    Args:
        app: The application.
        theirs: Celery's backend.
    """

    keeps_endings = True

    def __init__(self, app: HostedApp, theirs: CeleryBackend) -> None:
        super().__init__(app)
        self._theirs = theirs

    def document(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
    ) -> bytes:
        """Store a state. There is no document for the worker: what it is given in its place goes nowhere."""
        self.store_result(task_id, result, state, traceback, request)
        return b"{}"

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        """Store a state."""
        return self._theirs.store_result(task_id, as_theirs(result), state, traceback=traceback)

    def keep_ending(
        self, state: str, exc: BaseException, fields: Mapping[str, Any], stores: bool
    ) -> None:
        """Store how a call ended that no child saw to the end, and tell its chord. Errbacks are the worker's to call.

        Args:
            state: ``FAILURE`` or ``REVOKED``.
            exc: Why.
            fields: The attributes of its request.
            stores: Whether the state itself is stored; a chord is told in any case.
        """
        request = Context(fields)
        if state == states.REVOKED:
            self._theirs.mark_as_revoked(request.id, str(exc), request=request, store_result=stores)
            return
        self._theirs.mark_as_failure(
            request.id, as_theirs(exc), request=request, store_result=stores, call_errbacks=False
        )


def as_theirs(result: Any) -> Any:
    """An exception of ours as Celery's of the same name; anything else as it is."""
    kind = type(result)
    if not isinstance(result, BaseException) or not kind.__module__.startswith("fastworker."):
        return result
    for module in (exceptions, billiard_exceptions):
        theirs = getattr(module, kind.__name__, None)
        if theirs is not None:
            return theirs(*result.args)
    return result
