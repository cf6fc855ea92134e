"""What events know of an application: this much, so that they can be read without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastworker._core import ControlClient, LamportClock

#: Routing key, content type and encoding, headers (JSON) and body.
Message = tuple[str, str, str, bytes, bytes]


class EventChannel(Protocol):
    """Where events go, and come from."""

    def deliver(self, message: Message) -> None:
        """Send one message to whoever listens.

        Raises:
            OperationalError: The broker cannot be reached.
        """

    def client(self) -> ControlClient:
        """A connection of its own, to listen on."""


class EventApp(Protocol):
    """The application as events see it."""

    @property
    def conf(self) -> Any:
        """Its settings."""

    @property
    def clock(self) -> LamportClock:
        """Its logical clock."""

    @property
    def control(self) -> Any:
        """Its orders to workers."""

    @property
    def events(self) -> EventChannel:
        """Where its events go."""
