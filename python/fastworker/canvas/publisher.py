"""What the canvas knows of an application: this much, so that signatures can be built and tested
without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Outbox(Protocol):
    """Takes calls of one workflow, so that their messages share round trips."""

    def add(self, sig: Any, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Any:
        """Take one call of a single task, ``options`` being all of them; returns its result."""

    def add_member(self, member: Any) -> Any:
        """Take a ``calls.Member``; returns its result, or None when it has to be added the other way."""

    def bound(self, max_queue_length: int | None) -> None:
        """Have what is taken from now on wait while its queue is as long as that; None: as the settings say."""

    def flush(self) -> None:
        """Publish all that was taken."""

    async def aflush(self) -> None:
        """The same for a coroutine."""

    async def arelieve(self) -> None:
        """Publish, for a coroutine, what makes up full batches."""


class Publisher(Protocol):
    """The application as signatures see it."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Registered tasks by name; ``KeyError`` for an unknown one."""

    @property
    def conf(self) -> Any:
        """Its settings."""

    @property
    def AsyncResult(self) -> Any:
        """Its class of results."""

    @property
    def GroupResult(self) -> Any:
        """Its class of groups of results."""

    @property
    def backend(self) -> Any:
        """Where its results are."""

    @property
    def thread_oid(self) -> str:
        """Its id as a client."""

    @property
    def current_worker_task(self) -> Any:
        """The task that a worker runs here, or None."""

    def outbox(self) -> Outbox:
        """A new outbox."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish a call by name."""

    async def asend_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """The same for a coroutine."""
