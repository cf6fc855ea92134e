"""Hearing events for as long as a program runs, whatever becomes of the connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastworker.errors import OperationalError
from fastworker.events.receiver import EventReceiver

#: Seconds between two tries to reach a broker that was lost.
_PAUSE_S = 1.0


def keep_hearing(
    make: Callable[[], EventReceiver],
    on_lost: Callable[[OperationalError], Any],
    on_ready: Callable[[EventReceiver], Any] = lambda _receiver: None,
    pause: Callable[[float], Any] = time.sleep,
) -> None:
    """Hear until a receiver's ``should_stop`` is set, or something is raised: ``KeyboardInterrupt``, for example.

    Args:
        make: Makes a receiver for each connection.
        on_lost: Called when the broker was lost; it is tried again a second later.
        on_ready: Called with the receiver once it hears.
        pause: Called with the seconds until then.

    Raises:
        OperationalError: The broker was never reached: it may be a wrong address.
    """
    was_reached = False

    def ready(receiver: EventReceiver) -> None:
        nonlocal was_reached
        was_reached = True
        on_ready(receiver)

    while True:
        receiver = make()
        _have_told(receiver, ready)
        try:
            return receiver.capture()
        except OperationalError as exc:
            if not was_reached:
                raise
            on_lost(exc)
            pause(_PAUSE_S)


def _have_told(receiver: EventReceiver, ready: Callable[[EventReceiver], None]) -> None:
    consume_ready = receiver.on_consume_ready

    def told(*args: Any, **kwargs: Any) -> None:
        consume_ready(*args, **kwargs)
        ready(receiver)

    receiver.on_consume_ready = told  # type: ignore[method-assign]
