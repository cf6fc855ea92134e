"""``app.events``: what an application sends events with, and hears them. Source: celery/app/events.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from fastworker import _core
from fastworker.app import link as links
from fastworker.errors import OperationalError
from fastworker.events import EventDispatcher, EventReceiver, State
from fastworker.greenlets import cooperative

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.app.message import TaskMessage
    from fastworker.app.routing import Destination
    from fastworker.events.application import Message

logger = logging.getLogger("fastworker.app.events")


class Events:
    """An application's events.

    Args:
        app: Its settings name exchange and serializer.
    """

    def __init__(self, app: FastWorker) -> None:
        self.app = app

    @cached_property
    def Receiver(self) -> type[EventReceiver]:
        """Hears events of this application's workers."""
        return type("EventReceiver", (EventReceiver,), {"app": self.app})

    @cached_property
    def Dispatcher(self) -> type[EventDispatcher]:
        """Sends events in this application's name."""
        return type("EventDispatcher", (EventDispatcher,), {"app": self.app})

    @cached_property
    def State(self) -> type[State]:
        """What this application's cluster looks like by its events."""
        return type("State", (State,), {"app": self.app, "_pickled_as": State})

    @contextmanager
    def default_dispatcher(
        self, hostname: str | None = None, enabled: bool = True, buffer_while_offline: bool = False
    ) -> Iterator[EventDispatcher]:
        """A dispatcher for a few events.

        Args:
            hostname: Who sends; None: ``gen<pid>@<host>``.
            enabled: False: nothing is sent.
            buffer_while_offline: As for ``EventDispatcher``.
        """
        with self.Dispatcher(
            hostname=hostname, enabled=enabled, buffer_while_offline=buffer_while_offline
        ) as dispatcher:
            yield dispatcher

    def task_sent(self, message: TaskMessage, destination: Destination) -> None:
        """Tell that a task was published. One that the broker does not take is lost: the task is there."""
        headers = message.headers
        fields = {
            name: headers[name] for name in ("root_id", "parent_id", "retries", "eta", "expires")
        }
        try:
            self.Dispatcher(buffer_while_offline=False).publish(
                "task-sent",
                {
                    **fields,
                    "uuid": headers["id"],
                    "name": headers["task"],
                    "args": headers["argsrepr"],
                    "kwargs": headers["kwargsrepr"],
                    "queue": destination.queues[0] if destination.queues else None,
                    "exchange": destination.exchange,
                    "routing_key": destination.routing_key,
                },
            )
        except OperationalError as exc:
            logger.warning(
                "task %s[%s] was sent, and its event is lost: %s",
                headers["task"],
                headers["id"],
                exc,
            )

    def deliver(self, message: Message) -> None:
        """Send one message: inside of a running task through its worker, which does not let the task wait; else on
        the connection of remote control.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        link = links.link_to(self.app.broker.write_address)
        if link is not None and link.is_own:
            link.send_event(*message)
        else:
            exchange = self.app.conf.event_exchange
            self.app.control.mailbox.client.send_event(exchange, message)

    def client(self) -> _core.ControlClient:
        """A connection of its own, to listen on."""
        broker = self.app.broker
        broker.prepare()
        return cooperative(_core.ControlClient(broker.read_url, broker.options))
