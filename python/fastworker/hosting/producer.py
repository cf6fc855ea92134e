"""What a Celery application publishes with in our processes: it stands where kombu's ``Producer`` does.

Celery makes the message, asks its routers and tells ``before_task_publish``; then it hands the message to a producer.
This one serialises it as kombu does and gives it to the worker, or to our connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kombu import compression, serialization
from kombu.exceptions import OperationalError as KombuOperationalError

from fastworker import _core, errors
from fastworker.app.deliver import announce, deliver, repeated
from fastworker.app.delivery_mode import is_transient
from fastworker.app.link import leaving_with_outcome
from fastworker.hosting.outcome import current_outcome

if TYPE_CHECKING:
    from fastworker.hosting.app import HostedApp

#: Brokers have ten levels; a larger number (RabbitMQ's) is the least urgent of them.
_HIGHEST_PRIORITY_NUMBER = 9


class _Connection:
    """The part of kombu's ``Connection`` that Celery uses of a producer's."""

    recoverable_connection_errors = ()
    recoverable_channel_errors = ()

    @contextlib.contextmanager
    def _reraise_as_library_errors(self, *_args: Any, **_kwargs: Any) -> Iterator[None]:
        yield


class HostedProducer:
    """Publishes for a Celery application.

    Args:
        app: Whose connection and queues.
    """

    def __init__(self, app: HostedApp) -> None:
        self._app = app
        self.connection = _Connection()
        self.channel = self

    def __enter__(self) -> HostedProducer:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Nothing to give back."""

    def release(self) -> None:
        """Nothing to give back."""

    def revive(self, _channel: Any) -> None:
        """The connection looks after itself."""

    def publish(
        self,
        body: Any,
        routing_key: str | None = None,
        exchange: Any = None,
        headers: dict[str, Any] | None = None,
        serializer: str | None = None,
        compression: str | None = None,
        retry: bool = False,
        retry_policy: Mapping[str, Any] | None = None,
        priority: int | None = None,
        expiration: float | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        declare: Any = None,
        delivery_mode: int | str | None = None,
        **_properties: Any,
    ) -> None:
        """Publish a message; arguments as of ``kombu.Producer.publish``.

        Queues in ``declare`` need no declaring: publishing to a queue makes it.

        Raises:
            kombu.exceptions.EncodeError: The body has no form in ``serializer``.
            kombu.exceptions.OperationalError: Not confirmed.
        """
        headers = {} if headers is None else headers
        if serializer or not content_type:
            content_type, content_encoding, data = serialization.dumps(body, serializer)
        else:
            data = body
        if isinstance(data, str):
            data = data.encode(content_encoding or "utf-8")
        if compression:
            data, headers["compression"] = _compressed(data, compression)
        level = min(max(int(priority or 0), 0), _HIGHEST_PRIORITY_NUMBER)
        said = delivery_mode or getattr(exchange, "delivery_mode", None)
        transient = is_transient(said or self._app.celery.conf.task_default_delivery_mode)

        def write(queue: str, announced_on: str | None = None) -> bytes:
            return _core.write_envelope(
                headers=_core.dumps(headers),
                correlation_id=correlation_id or "",
                reply_to=reply_to,
                priority=level,
                queue=queue,
                expiration_ms=None if expiration is None else int(expiration * 1000),
                content_type=content_type,
                content_encoding=content_encoding or "binary",
                body=data,
                announced_on=announced_on,
                is_transient=transient,
            )

        policy = retry_policy if retry else None
        exchange_name = str(getattr(exchange, "name", exchange) or "")
        key = routing_key or ""
        settings = self._app.publishing.settings
        try:
            if self._is_event(exchange_name):
                event = (
                    key,
                    content_type,
                    content_encoding or "binary",
                    _core.dumps(headers),
                    data,
                )
                repeated(self._app, lambda: self._app.events.deliver(event), policy)
                return
            names = settings.queues.reached_by(exchange_name, key)
            envelopes = [(name, level, write(name)) for name in names]
            with _leaving(headers):
                deliver(self._app, envelopes, policy)
            if exchange_name and settings.queues.is_fanout(exchange_name):
                announce(self._app, (exchange_name, key, write(key, exchange_name)), policy)
        except errors.OperationalError as exc:
            raise KombuOperationalError(str(exc)) from exc

    def _is_event(self, exchange: str) -> bool:
        """Nobody keeps it: events, which programs listen to."""
        return bool(exchange == self._app.celery.conf.event_exchange)


def _compressed(data: bytes, method: str) -> tuple[bytes, str]:
    body, content_type = compression.compress(data, method)
    return body, str(content_type)


def _leaving(headers: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    """A retry of the task that runs here leaves in one step with its end: one that left before could be over first,
    and this run's RETRY would replace its result. So does a member that it adds to its chord."""
    outcome = current_outcome.get()
    task_id = headers.get("id")
    leaves = outcome is not None and (task_id == outcome.call.id or task_id in outcome.added)
    return leaving_with_outcome() if leaves else contextlib.nullcontext()
