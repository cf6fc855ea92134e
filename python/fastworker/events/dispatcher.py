"""Sending events. Source: celery/events/dispatcher.py."""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.errors import ImproperlyConfigured, OperationalError
from fastworker.events.event import Event, group_from, routing_key_of, utcoffset
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.events.application import EventApp

#: Messages that wait while the broker is away; beyond it the oldest go.
_WAITING = 10_000


class EventDispatcher:
    """Sends events; ``app.events.Dispatcher`` is one of the application.

    Args:
        connection: As in Celery; not used: the application has its own.
        hostname: Who sends; None: ``gen<pid>@<host>``.
        enabled: Events are sent; else ``send`` does nothing.
        channel: As ``connection``.
        buffer_while_offline: Keep what the broker does not take, for ``flush``. False: that is an error.
        app: The application.
        serializer: None: the setting ``event_serializer``.
        groups: Send the events of these groups (``task``, ``worker``) only; empty: of all.
        delivery_mode: As in Celery; no broker stores events.
        buffer_group: Groups whose events are gathered into lists, which ``flush`` sends.
        buffer_limit: Events of a list that is sent at once.
        on_send_buffered: Called when an event has been added to a list.

    Attributes:
        on_enabled, on_disabled: Sets of functions to call after that.
    """

    app: EventApp | None = None

    def __init__(
        self,
        connection: Any = None,
        hostname: str | None = None,
        enabled: bool = True,
        channel: Any = None,
        buffer_while_offline: bool = True,
        app: EventApp | None = None,
        serializer: str | None = None,
        groups: Iterable[str] | None = None,
        delivery_mode: int = 1,
        buffer_group: Iterable[str] | None = None,
        buffer_limit: int = 24,
        on_send_buffered: Callable[[], object] | None = None,
    ) -> None:
        own = app or self.app
        if own is None:
            raise ImproperlyConfigured(
                "EventDispatcher() without an application: expected app=…, or use app.events.Dispatcher"
            )
        self._app = own
        self.connection = connection
        self.channel = channel
        self.hostname = hostname or f"gen{os.getpid()}@{os.uname().nodename}"
        self.enabled = enabled
        self.buffer_while_offline = buffer_while_offline
        self.buffer_group = frozenset(buffer_group or ())
        self.buffer_limit = buffer_limit
        self.on_send_buffered = on_send_buffered
        self.serializer = serializer or own.conf.event_serializer
        self.groups = set(groups or ())
        self.delivery_mode = delivery_mode
        self.on_enabled: set[Callable[[], object]] = set()
        self.on_disabled: set[Callable[[], object]] = set()
        self.clock = own.clock
        self.headers = {"hostname": self.hostname}
        self.pid = os.getpid()
        self._lock = threading.RLock()
        self._lists: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._outbound: deque[tuple[Any, str]] = deque(maxlen=_WAITING)

    def __enter__(self) -> EventDispatcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def enable(self) -> None:
        """Send from now on."""
        self.enabled = True
        for callback in self.on_enabled:
            callback()

    def disable(self) -> None:
        """Send nothing from now on."""
        if self.enabled:
            self.close()
            self.enabled = False
            for callback in self.on_disabled:
                callback()

    def send(
        self,
        type: str,
        blind: bool = False,
        utcoffset: Callable[[], float] = utcoffset,
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
        Event: Callable[..., dict[str, Any]] = Event,
        **fields: Any,
    ) -> None:
        """Send an event.

        Args:
            type: Such as ``task-progress``.
            blind: It carries no clock.
            utcoffset: Gives hours west of UTC.
            retry, retry_policy: As in Celery; the connection tries again by itself.
            Event: Makes the event.
            fields: What it says; of what the serializer has a form for.

        Raises:
            EncodeError: A field has no form.
            OperationalError: The broker cannot be reached, and ``buffer_while_offline`` is False.
        """
        group = group_from(type)
        if not self.enabled or (self.groups and group not in self.groups):
            return
        event = self._event(type, fields, blind, utcoffset, Event)
        if group not in self.buffer_group:
            self._publish(event, routing_key_of(type))
            return
        with self._lock:
            gathered = self._lists[group]
            gathered.append(event)
            is_full = len(gathered) >= self.buffer_limit
        if is_full:
            self.flush()
        elif self.on_send_buffered:
            self.on_send_buffered()

    def publish(
        self,
        type: str,
        fields: Mapping[str, Any],
        producer: Any = None,
        blind: bool = False,
        Event: Callable[..., dict[str, Any]] = Event,
        **kwargs: Any,
    ) -> None:
        """Send an event, whatever ``enabled`` and ``groups`` say; arguments and errors as of ``send``."""
        self._publish(self._event(type, fields, blind, utcoffset, Event), routing_key_of(type))

    def flush(self, errors: bool = True, groups: bool = True) -> None:
        """Send what waits: what the broker has not taken (``errors``), and lists (``groups``)."""
        with self._lock:
            outbound = list(self._outbound) if errors else []
            if errors:
                self._outbound.clear()
            lists = {
                name: list(events) for name, events in self._lists.items() if groups and events
            }
            if groups:
                self._lists.clear()
        for event, routing_key in outbound:
            self._publish(event, routing_key)
        for name, events in lists.items():
            self._publish(events, f"{name}.multi")

    def extend_buffer(self, other: EventDispatcher) -> None:
        """Take over what another one could not send."""
        self._outbound.extend(other._outbound)

    def close(self) -> None:
        """Nothing is held open; what waits stays for ``flush``."""

    def _event(
        self,
        type: str,
        fields: Mapping[str, Any],
        blind: bool,
        offset: Callable[[], float],
        make: Callable[..., dict[str, Any]],
    ) -> dict[str, Any]:
        clock = None if blind else self.clock.forward()
        common = {"hostname": self.hostname, "utcoffset": offset(), "pid": self.pid}
        return make(type, **{**common, "clock": clock, **fields})

    def _publish(self, event: Any, routing_key: str) -> None:
        content_type, encoding, body = registry.dumps(event, self.serializer)
        headers = _core.dumps(self.headers)
        try:
            self._app.events.deliver((routing_key, content_type, encoding, headers, body))
        except OperationalError:
            if not self.buffer_while_offline:
                raise
            self._outbound.append((event, routing_key))
