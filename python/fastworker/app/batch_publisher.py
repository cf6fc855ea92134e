"""Publishing for coroutines: one thread an application, which hands all that waits to the broker in one go.

A coroutine that publishes does not block its loop and does not cost a thread: its message waits for the thread's next
turn, and many of them share one round trip. The loop is told once for all of them. What waits is bounded by the number
of coroutines that wait, since each waits until its message is confirmed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fastworker.app.link import Envelope
from fastworker.on_demand import OnDemandThread, Waiter, finish

#: Calls that are handed over together: as many as a publish in bulk sends at once.
_AT_ONCE = 256


class BatchPublisher:
    """The publishing thread of one application.

    Args:
        publish: Blocks until the broker has confirmed all; called on the thread.
    """

    def __init__(self, publish: Callable[[list[Envelope]], None]) -> None:
        self._publish = publish
        self._waiting: deque[tuple[Waiter, list[Envelope]]] = deque()
        self._thread = OnDemandThread(
            "fastworker-publish", lambda: bool(self._waiting), self._turn, self._waiting.clear
        )

    async def publish(self, envelopes: list[Envelope]) -> None:
        """Publish all; returns once they are confirmed.

        Cancelled while it waits, the messages may be published or not.

        Raises:
            OperationalError: Not confirmed; some may have been published.
        """
        waiter = Waiter()
        with self._thread.changed:
            self._waiting.append((waiter, envelopes))
            self._thread.wake()
        await waiter.future

    def _turn(self) -> None:
        with self._thread.changed:
            count = min(_AT_ONCE, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
        # Who was cancelled before its turn is left out; asking from here is only a hint, and may be late.
        batch = [entry for entry in batch if not entry[0].future.cancelled()]
        outcome: BaseException | None = None
        try:
            self._publish([envelope for _, envelopes in batch for envelope in envelopes])
        except Exception as exc:  # whatever it is, those who wait must hear of it
            outcome = exc
        finish((waiter, outcome) for waiter, _ in batch)
