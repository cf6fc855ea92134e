"""What publishing needs of the configuration, read once per change of it, and the connection to
publish on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.batch_publisher import BatchPublisher
from fastworker.app.broker import is_rpc
from fastworker.app.delivery_mode import is_transient
from fastworker.app.link import Envelope, usable_link
from fastworker.app.queues import QueueTable, queue_table
from fastworker.app.routing import Destination, Router
from fastworker.greenlets import cooperative

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@dataclass(frozen=True)
class PublishSettings:
    """The settings that publishing depends on; the attributes are settings of similar name."""

    version: int
    router: Router
    queues: QueueTable
    default_queue: str
    serializer: str
    is_transient: bool
    compression: str | None
    retry: bool
    retry_policy: Mapping[str, Any]
    repr_levels: int
    is_eager: bool
    inherits_priority: bool
    protocol: int
    deadline_s: float
    sends_events: bool
    expects_replies: bool

    def sends_transient(self, options: Mapping[str, Any], destination: Destination) -> bool:
        """Whether a message need not outlive a restart of the broker: as the call says, else the exchange of its
        queue, else ``task_default_delivery_mode``.
        """
        mode = options.get("delivery_mode")
        if mode is None and len(destination.queues) == 1:
            mode = self.queues.delivery_mode(destination.queues[0])
        return self.is_transient if mode is None else is_transient(mode)


class Publishing:
    """An application's side of publishing.

    Args:
        app: The application.
    """

    def __init__(self, app: FastWorker) -> None:
        self._app = app
        self._settings: PublishSettings | None = None
        self._publisher: _core.Publisher | None = None
        self._address: tuple[str, dict[str, str]] | None = None
        #: For coroutines; its thread exists while one of them publishes.
        self.batches = BatchPublisher(self._publish)

    @property
    def settings(self) -> PublishSettings:
        """The settings in force."""
        conf = self._app.conf
        if self._settings is None or self._settings.version != conf.version:
            self._settings = _read(conf, self._declared, self._copies)
        return self._settings

    @property
    def publisher(self) -> _core.Publisher:
        """The connection; another one when the address in the settings has changed. Threads share
        it.

        Raises:
            ImproperlyConfigured: The URL or an option cannot be used.
        """
        url = self._app.broker.write_url
        address = (url, {**_time_limits(url, self.settings.deadline_s), **self._app.broker.options})
        if self._publisher is None or self._address != address:
            self._app.broker.prepare()
            self._publisher = cooperative(_core.Publisher(*address))
            self._address = address
        return self._publisher

    def expect_replies(self) -> None:
        """Results are messages: before a task leaves there is a queue for its own. What a task in a
        worker publishes has none, as in Celery.

        Raises:
            ImproperlyConfigured: The broker is not RabbitMQ.
            OperationalError: It does not answer.
        """
        if usable_link(self._app.broker.write_address) is None:
            self._app.backend.expect_replies()

    def _declared(self, exchange: str) -> list[tuple[str, str, str]]:
        return self.publisher.bindings(exchange)

    def _copies(self, exchange: str) -> list[str]:
        return self.publisher.copies(exchange)

    def _publish(self, envelopes: list[Envelope]) -> None:
        self.publisher.publish(envelopes)

    def close(self) -> None:
        """Let go of the connection, which ends it; the next publish opens another."""
        self._publisher = self._address = None


def _time_limits(url: str, deadline_s: float) -> dict[str, str]:
    """Transport options that bound one attempt; the user's own win."""
    if url.startswith("memory:"):
        return {}
    names = (
        ("busy_timeout",)
        if url.startswith("sqlite")
        else ("socket_timeout", "socket_connect_timeout")
    )
    return dict.fromkeys(names, str(deadline_s)) if deadline_s else {}


def _read(
    conf: Any,
    declared: Callable[[str], Iterable[tuple[str, str, str]]],
    copies: Callable[[str], Iterable[str]],
) -> PublishSettings:
    version = conf.version
    queues = queue_table(conf, declared=declared, copies=copies)
    return PublishSettings(
        version=version,
        router=Router(conf.task_routes, queues, conf.task_default_queue),
        queues=queues,
        default_queue=conf.task_default_queue,
        serializer=conf.task_serializer,
        is_transient=is_transient(conf.task_default_delivery_mode),
        compression=conf.task_compression,
        retry=bool(conf.task_publish_retry),
        retry_policy=dict(conf.task_publish_retry_policy),
        repr_levels=conf.task_repr_maxlevels,
        is_eager=bool(conf.task_always_eager),
        inherits_priority=bool(conf.task_inherit_parent_priority),
        protocol=conf.task_protocol,
        deadline_s=float(conf.broker_publish_deadline),
        sends_events=bool(conf.task_send_sent_event),
        expects_replies=is_rpc(conf.result_backend),
    )
