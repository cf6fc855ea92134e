"""What the canvas knows of an application: this much, so that signatures can be built and tested
without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


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

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish a call by name."""

    async def asend_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """The same for a coroutine."""
