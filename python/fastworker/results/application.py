"""What results know of an application: this much, so that they can be tested, and read, without
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastworker.results.backend import Backend


class ResultApp(Protocol):
    """The application as results see it."""

    @property
    def backend(self) -> Backend:
        """Where its results are."""

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
    def chord_run(self) -> str:
        """A name for the run of a chord that begins here."""

    @property
    def control(self) -> Any:
        """Its orders to workers."""

    def reply_address(self) -> tuple[str, dict[str, str]]:
        """Where results of ``rpc://`` come in to this process, as ``_core.ResultStore`` takes it."""

    def is_in_broker(self, task_id: str, queues: Iterable[str] = ()) -> bool:
        """A message of this task is in its broker."""

    def now(self) -> datetime:
        """The time in its timezone, aware."""


_lookup: Callable[[], ResultApp] | None = None


def set_application_lookup(lookup: Callable[[], ResultApp]) -> None:
    """Say how the current application is found. ``app/state.py`` calls it once."""
    global _lookup
    _lookup = lookup


def current_application() -> ResultApp:
    """The current application, for a result that was made without one.

    Raises:
        RuntimeError: No application module was imported in this process.
    """
    if _lookup is None:
        raise RuntimeError(
            "no application: import fastworker and create FastWorker() before asking for results"
        )
    return _lookup()
