"""Backpressure: how much more may be published until a queue is as long as a bound.

A broker tells nobody when a queue gets shorter, so its length is asked for: once for as many messages as there was room
for, and while there is none with growing pauses.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fastworker.app.deliver import Policy, adeliver, deliver, repeated
from fastworker.app.link import Envelope
from fastworker.app.state import get_current_worker_task

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.app")

#: Pauses between two looks at a queue that does not get shorter, seconds.
_SHORTEST_S = 0.005
_LONGEST_S = 0.5
#: A queue that has not got shorter for this long gets a line in the log, seconds.
_PATIENCE_S = 30.0
#: The hundredth part of the bound is published without a look.
_UNASKED_PART = 100
#: Publishing goes on when a tenth of the bound is free, so that its length is not asked for each message.
_FREE_PART = 10


def bound_of(app: FastWorker, given: Any) -> int | None:
    """The bound in force; None: there is none.

    Args:
        app: Whose settings.
        given: ``max_queue_length`` of the call. None: ``task_stream_max_queue_length``, but not in a task, which might
            wait for the process that it occupies itself. 0: no bound.

    Raises:
        ValueError: It is no such number.
    """
    if given is None:
        given = None if get_current_worker_task() else app.conf.task_stream_max_queue_length
    elif isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError(
            f"max_queue_length={given!r}: expected a number of messages, or 0 for no bound; try 100000"
        )
    return given or None


class QueueRoom:
    """The room in the queues that one stream is published to.

    Args:
        app: Whose broker.
        bound: Messages; None: there is always room.
    """

    def __init__(self, app: FastWorker, bound: int | None) -> None:
        self._app = app
        self._bound = bound
        #: Messages that may be published to each queue before it is looked at again. A few may at once: a short stream
        #: costs no look.
        self._left: dict[str, int] = defaultdict(lambda: (bound or 0) // _UNASKED_PART)

    def take(self, queue: str, wanted: int, policy: Policy | None) -> int:
        """How many of ``wanted`` messages may be published to ``queue`` now, at least one; waits until there is room.

        Raises:
            OperationalError: The broker does not answer, after all that ``policy`` says.
        """
        if self._bound is None:
            return wanted
        if not self._left[queue]:
            looks = self._looks(queue)
            for pause_s in looks:
                if pause_s:
                    time.sleep(pause_s)
                looks.length = self._depth(queue, policy)
        return self._taken(queue, wanted)

    async def atake(self, queue: str, wanted: int, policy: Policy | None) -> int:
        """The same for a coroutine."""
        if self._bound is None:
            return wanted
        import asyncio  # whoever gets here has it already

        if not self._left[queue]:
            looks = self._looks(queue)
            for pause_s in looks:
                if pause_s:
                    await asyncio.sleep(pause_s)
                looks.length = await asyncio.to_thread(self._depth, queue, policy)
        return self._taken(queue, wanted)

    def _looks(self, queue: str) -> _Looks:
        assert self._bound is not None
        return _Looks(self._left, queue, self._bound)

    def _depth(self, queue: str, policy: Policy | None) -> int:
        publisher = self._app.publishing.publisher
        return repeated(self._app, lambda: publisher.depth(queue), policy)

    def _taken(self, queue: str, wanted: int) -> int:
        some = min(wanted, self._left[queue])
        self._left[queue] -= some
        return some


def deliver_in_portions(
    app: FastWorker, room: QueueRoom, envelopes: list[Envelope], policy: Policy | None
) -> None:
    """``deliver``, as there is room."""
    for queue, waiting in _by_queue(envelopes):
        while waiting:
            some = room.take(queue, len(waiting), policy)
            deliver(app, waiting[:some], policy)
            waiting = waiting[some:]


async def adeliver_in_portions(
    app: FastWorker, room: QueueRoom, envelopes: list[Envelope], policy: Policy | None
) -> None:
    """The same for a coroutine."""
    for queue, waiting in _by_queue(envelopes):
        while waiting:
            some = await room.atake(queue, len(waiting), policy)
            await adeliver(app, waiting[:some], policy)
            waiting = waiting[some:]


def _by_queue(envelopes: list[Envelope]) -> Iterable[tuple[str, list[Envelope]]]:
    found: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        found.setdefault(envelope[0], []).append(envelope)
    return found.items()


class _Looks(Iterator[float]):
    """The pauses before each look at a queue, until there is room; after each, ``length`` is set."""

    def __init__(self, left: dict[str, int], queue: str, bound: int) -> None:
        self._left = left
        self._queue = queue
        self._bound = bound
        self._most = bound - max(1, bound // _FREE_PART)
        self._pause_s = _SHORTEST_S
        self._shortest = sys.maxsize
        self._stalled_at = time.monotonic()
        self._is_told = False
        self.length = -1

    def __next__(self) -> float:
        if self.length < 0:
            return 0.0
        if self.length <= self._most:
            self._left[self._queue] = self._bound - self.length
            raise StopIteration
        if self.length < self._shortest:
            self._shortest = self.length
            self._pause_s = _SHORTEST_S
            self._stalled_at = time.monotonic()
        else:
            self._pause_s = min(self._pause_s * 2, _LONGEST_S)
            self._tell()
        return self._pause_s

    def _tell(self) -> None:
        if not self._is_told and time.monotonic() - self._stalled_at > _PATIENCE_S:
            self._is_told = True
            logger.warning(
                "Queue %r has %d messages and has not got shorter for %d s: a stream waits until it has less than %d "
                "(max_queue_length, task_stream_max_queue_length). Does a worker consume it?",
                self._queue,
                self.length,
                _PATIENCE_S,
                self._bound,
            )
