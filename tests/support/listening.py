"""Hearing events as Celery's monitors do: its own receiver, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from fastworker import FastWorker
from tests.support.waiting import wait_until

Event = dict[str, Any]


class Heard:
    """What was heard so far, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, task_id: str) -> list[Event]:
        """The events about a task."""
        return [event for event in list(self.events) if event.get("uuid") == task_id]

    def kinds(self, task_id: str) -> list[str]:
        """Their types."""
        return [event["type"] for event in self.of(task_id)]

    def wait(self, task_id: str, kind: str, timeout_s: float = 30) -> Event:
        """The first event of a type about a task."""
        return self.wait_for(
            lambda event: event.get("uuid") == task_id and event["type"] == kind, kind, timeout_s
        )

    def wait_for(
        self, is_it: Callable[[Event], bool], what: str, timeout_s: float = 30, count: int = 1
    ) -> Event:
        """The event with which there are so many."""

        def found() -> list[Event] | None:
            matching = [event for event in list(self.events) if is_it(event)]
            return matching if len(matching) >= count else None

        return wait_until(found, f"event {what}", timeout_s)[count - 1]


@contextmanager
def listening(app: Any, routing_key: str = "#", **options: Any) -> Iterator[Heard]:
    """Hear with the receiver of ``app``, which is Celery's or ours, until the block ends."""
    heard = Heard()
    is_ready = threading.Event()
    # Ours has connections of its own.
    with nullcontext() if isinstance(app, FastWorker) else app.connection_for_read() as connection:
        receiver = app.events.Receiver(
            connection, handlers={"*": heard.events.append}, routing_key=routing_key, **options
        )
        on_ready = receiver.on_consume_ready

        def ready(*args: Any, **kwargs: Any) -> None:
            on_ready(*args, **kwargs)
            is_ready.set()

        receiver.on_consume_ready = ready
        thread = threading.Thread(target=lambda: receiver.capture(wakeup=False), daemon=True)
        thread.start()
        assert is_ready.wait(30), "the receiver does not consume"
        try:
            yield heard
        finally:
            receiver.should_stop = True
            thread.join(10)
