"""What Celery publishes with in an accelerated client: kombu's ``Producer``, but for the last step.

Celery makes the message, asks its routers and tells its signals; kombu serialises, compresses and repeats. Then a
message for a queue goes to the broker on our connection. Everything else goes as it always did, on a producer of
Celery's pool: the first message for a queue (kombu declares it), exchanges, events, queues that expire, properties that
we do not write, and whatever our connection could not deliver.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

from celery.canvas import group
from kombu.messaging import Producer

from fastworker import _core
from fastworker.errors import OperationalError

if TYPE_CHECKING:
    from celery import Celery
    from kombu.connection import Connection

    from fastworker.app.link import Envelope
    from fastworker.hosting.acceleration.road import Road

#: Brokers have ten levels.
_PRIORITIES = range(10)
_PERSISTENT = 2
#: Properties that an envelope of ours has, or that say how it is delivered.
_KNOWN_PROPERTIES = frozenset({"correlation_id", "reply_to", "delivery_mode", "expiration"})
_PARAMETERS = tuple(inspect.signature(Producer._publish).parameters)[1:]
#: Messages of a group that are published in one go.
BATCH = 256


class QuickProducer(Producer):
    """Publishes for one thread.

    Args:
        road: Our connection.
        connection: kombu's, which stays closed: it knows what errors there are, and how often to try again.
    """

    def __init__(self, road: Road, connection: Connection) -> None:
        super().__init__(connection, auto_declare=False)  # type: ignore[no-untyped-call]  # kombu has no types
        self.road = road

    def hand_over(self, envelope: Envelope, otherwise: Callable[[], Any]) -> None:
        """Publish an envelope; ``otherwise`` does the same in Celery's way, should ours fail."""
        self.road.catch_up()
        try:
            self.road.publisher.publish([envelope])
        except OperationalError:
            otherwise()

    def _publish(self, *args: Any, **kwargs: Any) -> Any:
        # Its parameters are kombu's, whatever the release.
        message = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        if not self._is_ours(message):
            return self._publish_as_ever(message)
        body, properties = message["body"], message["properties"]
        queue, priority = message["routing_key"], message["priority"] or 0
        encoding, expiration = message["content_encoding"], properties.get("expiration")
        try:
            headers = _core.dumps(message["headers"])
        except (TypeError, ValueError):
            # What has no form in JSON, kombu refuses in its own words.
            return self._publish_as_ever(message)
        envelope = _core.write_envelope(
            headers=headers,
            correlation_id=properties.get("correlation_id") or "",
            reply_to=properties.get("reply_to"),
            priority=priority,
            queue=queue,
            expiration_ms=None if expiration is None else int(expiration),
            content_type=message["content_type"],
            content_encoding=encoding,
            body=body.encode(encoding or "utf-8") if isinstance(body, str) else bytes(body),
        )
        self.hand_over((queue, priority, envelope), lambda: self._publish_as_ever(message))
        return None

    def _is_ours(self, message: Mapping[str, Any]) -> bool:
        """Whether it goes to a queue that is there, and we write all that is in it."""
        properties, queue, get = message["properties"], message["routing_key"], message.get
        priority = message["priority"] or 0
        return bool(
            message["exchange"] == ""
            and self.road.is_declared(queue)
            and self.road.why_not() is None
            and not any(map(get, ("mandatory", "immediate", "timeout", "confirm_timeout")))
            and properties.keys() <= _KNOWN_PROPERTIES
            and properties.get("delivery_mode") == _PERSISTENT
            and type(priority) is int
            and priority in _PRIORITIES
            and isinstance(properties.get("reply_to", ""), str)
            # RabbitMQ drops what has expired itself, and its headers know times and bytes: neither is written by us.
            and not (
                self.road.is_amqp
                and ("expiration" in properties or not _is_plain(message["headers"]))
            )
            and all(getattr(entity, "name", None) == queue for entity in get("declare") or ())
        )

    def _publish_as_ever(self, message: Mapping[str, Any]) -> Any:
        """On a producer of Celery's pool, as often as the policy says."""
        celery = self.road.celery
        self.road.catch_up()
        with type(celery).producer_or_acquire(celery) as producer:
            publish = producer._publish
            if message.get("retry"):
                policy = message.get("retry_policy") or {}
                publish = producer.connection.ensure(producer, publish, **policy)
            published = publish(**message)
        if message["exchange"] == "":
            self.road.note_declared(message.get("declare") or (), message["routing_key"])
        return published


def _is_plain(value: Any) -> bool:
    """Whether a header has the same form in JSON and in AMQP, which knows times and bytes besides."""
    if isinstance(value, dict):
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


class GroupProducer(QuickProducer):
    """Publishes the members of one group, which leave in batches: nobody has a result before all are published."""

    def __init__(self, road: Road, connection: Connection) -> None:
        super().__init__(road, connection)
        self._waiting: list[tuple[Envelope, Callable[[], Any]]] = []

    def hand_over(self, envelope: Envelope, otherwise: Callable[[], Any]) -> None:
        """Keep an envelope until there are enough."""
        self._waiting.append((envelope, otherwise))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Publish what was kept."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self.road.publisher.publish([envelope for envelope, _ in waiting])
        except OperationalError:
            for _, otherwise in waiting:
                otherwise()

    @contextmanager
    def batch_of_group(self) -> Iterator[GroupProducer]:
        """For a block: when it ends, by an exception too, all that was handed over has been published. Whatever else
        this thread publishes meanwhile comes after what was handed over before.
        """
        before, self.road.group = self.road.group, self
        try:
            yield self
        finally:
            self.road.group = before
            self.flush()


class QuickAcquire:
    """In the place of ``app.producer_or_acquire``.

    Args:
        celery: The application.
        road: Its way to the broker.
    """

    def __init__(self, celery: Celery, road: Road) -> None:
        self._celery = celery
        self._road = road
        self._local = threading.local()

    def __call__(self, producer: Any = None) -> AbstractContextManager[Any]:
        """As Celery's."""
        if producer is not None:
            return nullcontext(producer)
        if self._road.why_not() is not None:
            made: AbstractContextManager[Any] = type(self._celery).producer_or_acquire(self._celery)
            return made
        if _is_for_members(sys._getframe(1)):
            return GroupProducer(self._road, self._celery.connection_for_write()).batch_of_group()
        return nullcontext(self._own)

    @property
    def _own(self) -> QuickProducer:
        """This thread's."""
        producer: QuickProducer | None = getattr(self._local, "producer", None)
        if producer is None:
            producer = QuickProducer(self._road, self._celery.connection_for_write())
            self._local.producer = producer
        return producer


def _is_for_members(frame: FrameType) -> bool:
    """Whether it is a group that publishes its members, all of which are there: a generator may wait for what the
    members before have done."""
    if frame.f_code is not getattr(group._apply_tasks, "__code__", None):
        return False
    return isinstance(frame.f_locals["self"].tasks, (list, tuple))
