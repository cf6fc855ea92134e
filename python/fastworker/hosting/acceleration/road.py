"""What a client of Celery publishes on, and reads results from, in our way: the connections of one process.

Nothing is read from the application before its first use, and nothing is connected. A fork leaves the child with a road
of its own.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastworker.app.amqp import is_amqp
from fastworker.app.app import FastWorker
from fastworker.errors import ImproperlyConfigured
from fastworker.greenlets import at_work
from fastworker.hosting.acceleration import untouched
from fastworker.hosting.settings import settings_of

if TYPE_CHECKING:
    from celery import Celery

    from fastworker import _core
    from fastworker.hosting.acceleration.producer import GroupProducer

_log = logging.getLogger("fastworker.accelerate")

_REDIS = ("redis", "rediss", "valkey", "valkeys", "redis+socket", "unix")
_AMQP = ("amqp", "amqps", "pyamqp")
#: Transport options that we act on as kombu does, or that only concern who consumes or how kombu connects.
_KNOWN_OPTIONS = frozenset((
    "ack_emulation", "client_name", "confirm_publish", "fanout_patterns", "fanout_prefix", "global_keyprefix",
    "health_check_interval", "interval_max", "interval_start", "interval_step", "max_connections",
    "max_retries", "min_other_sentinels", "polling_interval", "priority_steps", "queue_order_strategy",
    "reauth_check_interval", "retry_on_timeout", "sep", "socket_connect_timeout", "socket_keepalive",
    "socket_keepalive_options", "socket_timeout", "unacked_index_key", "unacked_key", "unacked_mutex_expire",
    "unacked_mutex_key", "unacked_restore_interval", "unacked_restore_limit", "unacked_restore_throttle",
    "visibility_timeout",
))  # fmt: skip


class Road:
    """The connections for one application. Cheap to make.

    Args:
        celery: The application.
    """

    def __init__(self, celery: Celery) -> None:
        self.celery = celery
        self._ours: FastWorker | None = None
        self._why_not: str | None = None
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Let go of what belongs to one process."""
        self._publisher: _core.Publisher | None = None
        #: Queues that kombu has declared from this process.
        self._declared: set[str] = set()
        #: Another one makes prepared messages wrong.
        self.epoch = object()
        self._local = threading.local()
        self._making = threading.RLock()
        if self._ours is not None:
            self._ours.publishing.close()

    # -------------------------------------------------------------------------------------------- what is ours

    @property
    def ours(self) -> FastWorker:
        """An application of ours with the settings of the Celery one, for addresses and connections.

        Raises:
            ImproperlyConfigured: A setting that we cannot follow.
        """
        if self._ours is None:
            with self._making:
                if self._ours is None:
                    self._ours = FastWorker(
                        self.celery.main,
                        set_as_current=False,
                        changes=settings_of(self.celery),
                        config_source={},
                    )
        return self._ours

    @property
    def publisher(self) -> _core.Publisher:
        """Our connection to the broker; threads share it."""
        if self._publisher is None:
            with self._making:
                if self._publisher is None:
                    self._publisher = self.ours.publishing.publisher
        return self._publisher

    @property
    def is_amqp(self) -> bool:
        """Whether the broker is RabbitMQ."""
        return is_amqp(self.ours.broker.write_url)

    # -------------------------------------------------------------------------------------------- order

    @property
    def group(self) -> GroupProducer | None:
        """What keeps messages back in this thread, while a group publishes its members."""
        group: GroupProducer | None = getattr(self._local, "group", None)
        return group

    @group.setter
    def group(self, group: GroupProducer | None) -> None:
        self._local.group = group

    def catch_up(self) -> None:
        """Publish what this thread keeps back: something else is about to leave, and comes after it."""
        group = self.group
        if group is not None:
            group.flush()

    # -------------------------------------------------------------------------------------------- queues

    def is_declared(self, queue: str) -> bool:
        """Whether kombu has declared it from this process, so that we may publish to it."""
        return queue in self._declared

    def note_declared(self, queues: Iterable[Any], routing_key: str) -> None:
        """kombu has just published to the queue of this name, having declared ``queues``.

        A queue that the server drops when nobody uses it stays kombu's, which prolongs its life with each message.
        """
        for queue in queues:
            if getattr(queue, "name", None) == routing_key and not _expires(queue):
                self._declared.add(routing_key)

    # -------------------------------------------------------------------------------------------- whether

    def why_not(self) -> str | None:
        """Why nothing is published in our way; None: it is. Reads the application's settings.

        What it says stays, except for what others have put into Celery's place meanwhile.
        """
        greenlets = at_work()
        if greenlets is not None:
            return f"{greenlets.name} is at work, and our connections would keep every greenlet waiting"
        if not untouched.acquires_itself(self.celery):
            return "the application has a way of its own to get a producer"
        if self._why_not is None:
            with self._making:
                self._why_not = self._look()
            if self._why_not:
                tell(self.celery, f"publishing is not accelerated: {self._why_not}")
        return self._why_not or None

    def _look(self) -> str:
        conf = self.celery.conf
        url = conf.broker_write_url
        scheme = url.partition("://")[0].lower() if isinstance(url, str) else ""
        if scheme not in (*_REDIS, *_AMQP):
            return f"fastworker's client does not speak to the broker {self.celery.connection_for_write().as_uri()}"
        if scheme in _REDIS and (";" in url or "," in url):
            return "there are several broker URLs"
        for name in ("broker_use_ssl", "broker_transport"):
            if conf.get(name):
                return f"the setting {name} is set"
        unknown = sorted(set(conf.broker_transport_options or {}) - _KNOWN_OPTIONS)
        if unknown:
            return f"fastworker's client does not know the transport option {unknown[0]}"
        try:
            self.publisher  # noqa: B018 (made, not connected)
        except ImproperlyConfigured as exc:
            return str(exc)
        return ""


def _expires(queue: Any) -> bool:
    arguments = queue.queue_arguments or {}
    return queue.expires is not None or "x-expires" in arguments


def tell(celery: Celery, line: str) -> None:
    """What goes in Celery's way all the same."""
    _log.info("application %s: %s", celery.main, line)


_all: weakref.WeakSet[Road] = weakref.WeakSet()


def _after_fork() -> None:
    for road in list(_all):
        road.forget()


os.register_at_fork(after_in_child=_after_fork)
