"""Hearing events. Source: celery/events/receiver.py."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.errors import DecodeError, ImproperlyConfigured
from fastworker.events.event import adjust_timestamp
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.events.application import EventApp

Handler = Callable[[dict[str, Any]], object]

#: Clients do not know the workers' clocks, so that theirs are not taken over.
_CLIENT_CLOCK_SKEW = -1
#: So often ``should_stop`` is looked at, in seconds.
_SLICE_S = 0.5


@dataclass(frozen=True)
class EventQueue:
    """How a receiver listens. Field names are read by ``rust/py/src/control.rs``."""

    exchange: str
    routing_key: str
    name: str
    ttl_ms: int | None
    expires_ms: int | None
    is_exclusive: bool
    is_durable: bool


class EventReceiver:
    """Hears events; ``app.events.Receiver`` is one of the application.

    Args:
        channel: As in Celery; not used: a receiver has a connection of its own.
        handlers: By type of event; ``*`` for those that have none.
        routing_key: Which events: ``task.#``, ``worker.#``; ``#`` for all.
        node_id: Of the receiver's queue, where there are queues. None: a new one.
        app: The application.
        queue_prefix: None: the setting ``event_queue_prefix``.
        accept: Content types or serializers that are read. None: ``event_serializer`` and JSON.
        queue_ttl: Seconds that an event may wait. None: the setting ``event_queue_ttl``.
        queue_expires: Seconds that an unused queue lives. None: the setting ``event_queue_expires``.
        queue_exclusive: None: the setting ``event_queue_exclusive``.
        queue_durable: None: the setting ``event_queue_durable``.

    Attributes:
        should_stop: Set it, and ``capture`` returns within half a second.

    Raises:
        ImproperlyConfigured: Exclusive and durable; or no application.
    """

    app: EventApp | None = None

    def __init__(
        self,
        channel: Any = None,
        handlers: Mapping[str, Handler] | None = None,
        routing_key: str = "#",
        node_id: str | None = None,
        app: EventApp | None = None,
        queue_prefix: str | None = None,
        accept: set[str] | None = None,
        queue_ttl: float | None = None,
        queue_expires: float | None = None,
        queue_exclusive: bool | None = None,
        queue_durable: bool | None = None,
    ) -> None:
        own = app or self.app
        if own is None:
            raise ImproperlyConfigured(
                "EventReceiver() without an application: expected app=…, or use app.events.Receiver"
            )
        self._app = own
        conf = own.conf
        self.channel = channel
        self.handlers = {} if handlers is None else handlers
        self.routing_key = routing_key
        self.node_id = node_id or _core.new_id()
        self.queue_prefix = queue_prefix or conf.event_queue_prefix
        self.accept = accept or {conf.event_serializer, "json"}
        self.clock = own.clock
        self.should_stop = False
        exclusive = _first(queue_exclusive, conf.event_queue_exclusive)
        durable = _first(queue_durable, conf.event_queue_durable)
        if exclusive and durable:
            raise ImproperlyConfigured(
                "an event queue cannot be both exclusive and durable: expected event_queue_exclusive or "
                "event_queue_durable, or neither"
            )
        self.queue = EventQueue(
            exchange=conf.event_exchange,
            routing_key=routing_key,
            name=f"{self.queue_prefix}.{self.node_id}",
            ttl_ms=_ms(_first(queue_ttl, conf.event_queue_ttl)),
            expires_ms=_ms(_first(queue_expires, conf.event_queue_expires)),
            is_exclusive=bool(exclusive),
            is_durable=bool(durable),
        )

    def capture(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> None:
        """Hear, and have handlers called, until ``should_stop``.

        Args:
            limit: Messages after which it ends; None: it does not.
            timeout: Seconds of silence after which it ends with ``TimeoutError``; None: it waits.
            wakeup: First have every worker say that it is there.

        Raises:
            OperationalError: The broker cannot be reached, or was lost: what was sent since then is missed.
            TimeoutError: See ``timeout``.
        """
        for _ in self.itercapture(limit, timeout, wakeup):
            pass

    def itercapture(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> Iterator[None]:
        """``capture`` piece by piece: gives nothing, after each message."""
        client = self._app.events.client()
        try:
            client.listen_to_events(self.queue)
            self.on_consume_ready(None, self.channel, [], wakeup=wakeup)
            yield from self._messages(client, limit, timeout)
        finally:
            client.close()

    def _messages(
        self, client: _core.ControlClient, limit: int | None, timeout: float | None
    ) -> Iterator[None]:
        for _ in range(limit) if limit else count():
            since = time.monotonic()
            envelope = None
            while envelope is None:
                if self.should_stop:
                    return
                left = _SLICE_S
                if timeout:
                    left = min(left, since + timeout - time.monotonic())
                    if left <= 0:
                        raise TimeoutError(f"no event within {timeout} s")
                envelope = client.next_event(self.queue, left)
            self._receive(self._body(envelope))
            yield

    def on_consume_ready(
        self, connection: Any, channel: Any, consumers: Any, wakeup: bool = True, **kwargs: Any
    ) -> None:
        """It listens from now on."""
        if wakeup:
            self.wakeup_workers()

    def wakeup_workers(self, channel: Any = None) -> None:
        """Have every worker send a heartbeat."""
        self._app.control.broadcast("heartbeat")

    def process(self, type: str, event: dict[str, Any]) -> None:
        """Call the handler."""
        handler = self.handlers.get(type) or self.handlers.get("*")
        if handler:
            handler(event)

    def event_from_message(
        self, body: dict[str, Any], localize: bool = True, now: Callable[[], float] = time.time
    ) -> tuple[str, dict[str, Any]]:
        """An event as handlers get it: with ``local_received``, and its ``timestamp`` as here."""
        if body["type"] == "task-sent":
            body["clock"] = (self.clock.value or 1) + _CLIENT_CLOCK_SKEW
            self.clock.adjust(body["clock"])
        elif isinstance(body.get("clock"), int):
            self.clock.adjust(body["clock"])
        else:
            body["clock"] = self.clock.forward()
        if localize and "utcoffset" in body and "timestamp" in body:
            body["timestamp"] = adjust_timestamp(body["timestamp"], body["utcoffset"])
        body["local_received"] = now()
        return body["type"], body

    def _receive(self, body: Any, message: Any = None) -> None:
        for event in body if isinstance(body, list) else [body]:
            self.process(*self.event_from_message(event))

    def _body(self, envelope: bytes) -> Any:
        """What a message says.

        Raises:
            ContentDisallowed, DecodeError: It cannot be read.
        """
        try:
            parts = json.loads(envelope)
            data = parts["body"].encode()
            if (parts.get("properties") or {}).get("body_encoding") == "base64":
                data = base64.b64decode(data)
            content_type, encoding = parts["content-type"], parts["content-encoding"]
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            raise DecodeError(f"an event is not kombu's envelope: {envelope[:80]!r}") from exc
        return registry.loads(data, content_type, encoding, registry.content_types(self.accept))


def _first(said: Any, otherwise: Any) -> Any:
    return otherwise if said is None else said


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
