"""Cameras: what a cluster looks like, taken again and again, for example to be stored in a database.

Source: celery/events/snapshot.py. A camera of Celery's, a subclass of its ``Polaroid``, finds what it needs here,
and one of ours has the same methods.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from fastworker.events.timer import Timer
from fastworker.observer import Signal
from fastworker.rates import per_second

if TYPE_CHECKING:
    from fastworker.events.application import EventApp
    from fastworker.events.state import State

logger = logging.getLogger("fastworker.evcam")


class _Allowance:
    """Pictures that may be taken: at most so many a second, one at a time."""

    def __init__(self, per_second: float) -> None:
        self._pause_s = 1 / per_second
        self._next = time.monotonic()

    def is_there(self) -> bool:
        """Whether one may be taken now."""
        return time.monotonic() >= self._next

    def take(self) -> bool:
        """The same; then it counts."""
        if not self.is_there():
            return False
        self._next = time.monotonic() + self._pause_s
        return True


class Polaroid:
    """Takes pictures of a state. Override ``on_shutter`` and ``on_cleanup``.

    Args:
        state: Whose pictures are taken.
        freq: Seconds between two of them.
        maxrate: At most so often, as a rate limit: ``"10/m"``. None: as often as ``freq`` says.
        cleanup_freq: Seconds between two calls of ``on_cleanup``.
        timer: What repeats them; None: the class's own ``timer``, or a thread.
        app: The application.

    Attributes:
        shutter_signal, cleanup_signal: Sent with the state as the sender before ``on_shutter`` and ``on_cleanup``.
        clear_after: Forget what has ended after each picture, and the workers.

    Raises:
        ImproperlyConfigured: ``maxrate`` is no rate.
    """

    timer: Any = None
    shutter_signal = Signal("shutter_signal", ("state",))
    cleanup_signal = Signal("cleanup_signal")
    clear_after = False

    _tref: Any = None
    _ctref: Any = None

    def __init__(
        self,
        state: State,
        freq: float = 1.0,
        maxrate: str | float | None = None,
        cleanup_freq: float = 3600.0,
        timer: Any = None,
        app: EventApp | None = None,
    ) -> None:
        self.app = app
        self.state = state
        self.freq = freq
        self.cleanup_freq = cleanup_freq
        self._own_timer = None if timer or self.timer else Timer()
        self.timer = timer or self.timer or self._own_timer
        self.logger = logger
        rate = per_second(maxrate, "a camera (maxrate)")
        self.maxrate = None if rate is None else _Allowance(rate)

    def install(self) -> None:
        """Begin."""
        self._tref = self.timer.call_repeatedly(self.freq, self.capture)
        self._ctref = self.timer.call_repeatedly(self.cleanup_freq, self.cleanup)

    def on_shutter(self, state: Any) -> None:
        """A picture is taken: no event is taken in until this returns."""

    def on_cleanup(self) -> None:
        """Time to remove what is too old."""

    def cleanup(self) -> None:
        """Signal, and ``on_cleanup``."""
        logger.debug("Cleanup: Running...")
        self.cleanup_signal.send(sender=self.state)
        self.on_cleanup()

    def shutter(self) -> None:
        """Signal, and ``on_shutter``, unless it would be too often."""
        if self.maxrate is None or self.maxrate.take():
            logger.debug("Shutter: %s", self.state)
            self.shutter_signal.send(sender=self.state)
            self.on_shutter(self.state)

    def capture(self) -> None:
        """Take a picture while the state stands still, unless it would be too often."""
        # What no picture is taken of must not be forgotten either.
        if self.maxrate is None or self.maxrate.is_there():
            self.state.freeze_while(self.shutter, clear_after=self.clear_after)

    def cancel(self) -> None:
        """End, after a last picture of what was heard since the one before."""
        for entry in (self._tref, self._ctref):
            if entry is not None:
                entry.cancel()
        if self._own_timer is not None:
            self._own_timer.stop()
        if self._tref is not None:
            self.maxrate = None
            self.capture()

    def __enter__(self) -> Polaroid:
        self.install()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.cancel()
