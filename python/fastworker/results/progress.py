"""How far many tasks are: counted where it is cheap, else estimated from a sample."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any

from fastworker import states
from fastworker.results.gathering import by_backend, leaves, look

#: Up to this many results are counted one by one: ten round trips.
COUNTED = 10_000
#: Of more, this many are looked at, spread evenly: two round trips.
_SAMPLE = 2_000
#: Documents asked for at once.
_BATCH = 1_000
#: The rate is that of this time before, seconds.
_WINDOW_S = 60.0


@dataclass(frozen=True)
class Progress:
    """How far the tasks of a group, a stream or a bulk publish are.

    Attributes:
        completed: Tasks that returned.
        failed: Tasks that raised or were revoked.
        total: Tasks published; of a group whose generator is still being read, so far.
        is_estimate: The counts come from a sample of the results, which is right to about a thousandth where tasks end
            in the order in which they were published.
        rate: Tasks that end in a second, over the last minute; None while nothing is known of it.
        at: When this was so, UTC.
    """

    completed: int
    failed: int
    total: int
    is_estimate: bool = False
    rate: float | None = None
    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def ended(self) -> int:
        """Tasks that returned or failed."""
        return self.completed + self.failed

    @property
    def waiting(self) -> int:
        """Tasks that have not ended: waiting, running, or to be tried again."""
        return self.total - self.ended

    @property
    def fraction(self) -> float:
        """What part has ended, 0 to 1; 1 of nothing."""
        return self.ended / self.total if self.total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all will have ended at this rate; None while there is no rate."""
        if not self.waiting:
            return 0.0
        return self.waiting / self.rate if self.rate else None

    @property
    def ends_at(self) -> datetime | None:
        """When that will be, UTC; None while there is no rate, and beyond the calendar."""
        left_s = self.seconds_left
        if left_s is None:
            return None
        try:
            return self.at + timedelta(seconds=left_s)
        except OverflowError:
            return None

    def __str__(self) -> str:
        about = "about " if self.is_estimate else ""
        said = [f"{about}{self.ended:,} of {self.total:,} ({self.fraction:.1%})"]
        if self.failed:
            said.append(f"{about}{self.failed:,} failed")
        if self.rate is not None:
            said.append(f"{self.rate:,.1f}/s")
        if self.waiting and self.seconds_left is not None:
            said.append(f"{timedelta(seconds=round(min(self.seconds_left, 1e9)))} left")
        return ", ".join(said)


class Pace:
    """What earlier looks have seen, to tell the rate.

    Args:
        began: When publishing began, of ``time.monotonic``: nothing had ended then. None: nobody knows, and the first
            look tells no rate.
    """

    __slots__ = ("_looks",)

    def __init__(self, began: float | None = None) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        if began is not None:
            self._looks.append((began, 0))

    def rate(self, now: float, ended: int) -> float | None:
        """Note a look, and tell the rate up to it."""
        # The youngest of those that are old enough stays: there is always something to compare with.
        while len(self._looks) > 1 and self._looks[1][0] <= now - _WINDOW_S:
            self._looks.popleft()
        before = self._looks[0] if self._looks else None
        self._looks.append((now, ended))
        if before is None or now <= before[0]:
            return None
        return max(0.0, (ended - before[1]) / (now - before[0]))


class Tally:
    """Counts how members of a set have ended, and makes a ``Progress`` of it.

    Args:
        members: Results, or sets of results: such a one has ended when all in it have.
        total: How many there are; counted are all of them, or with many a sample: one of each of two thousand equal
            parts, so that it is exact but for the parts in which some have ended and some have not.
        pace: Of the set.
        exact: No sample, however many there are.
        calls_of: How many calls the member at a place stands for. None: one.
        calls: How many all stand for. None: ``total``.
    """

    def __init__(
        self,
        members: Sequence[Any],
        total: int,
        pace: Pace,
        exact: bool,
        calls_of: Callable[[int], int] | None = None,
        calls: int | None = None,
    ) -> None:
        self._members = members
        self._total = total
        self._pace = pace
        self._calls_of = calls_of or (lambda place: 1)
        self._calls = total if calls is None else calls
        self._is_sample = not exact and total > COUNTED
        #: Calls of the members that were looked at.
        self._seen = self._completed = self._failed = 0

    def take(self) -> Progress:
        """Look at them, a round trip for every thousand."""
        for places in self._batches():
            batch = [self._members[place] for place in places]
            for _ in look(leaves(batch)):
                pass
            self._count(places, batch)
        return self._progress()

    async def atake(self) -> Progress:
        """The same for a coroutine.

        Raises:
            OperationalError: The store has not answered for some seconds.
        """
        for places in self._batches():
            batch = [self._members[place] for place in places]
            for backend, unknown in by_backend(leaves(batch)):
                documents = await backend.watcher.get_many([result.id for result in unknown])
                for result, doc in zip(unknown, documents, strict=True):
                    result._keep(backend.decode(result.id, doc))
            self._count(places, batch)
        return self._progress()

    def _batches(self) -> Iterator[list[int]]:
        """The places to look at."""
        places: Iterator[int] = iter(range(self._total))
        if self._is_sample:
            bounds = [part * self._total // _SAMPLE for part in range(_SAMPLE + 1)]
            places = (random.randrange(*pair) for pair in pairwise(bounds))
        while batch := list(islice(places, _BATCH)):
            yield batch

    def _count(self, places: list[int], batch: list[Any]) -> None:
        for place, member in zip(places, batch, strict=True):
            calls = self._calls_of(place)
            seen = [result._seen_state() for result in leaves([member])]
            self._seen += calls
            if all(state == states.SUCCESS for state in seen):
                self._completed += calls
            elif all(state in states.READY_STATES for state in seen):
                self._failed += calls

    def _progress(self) -> Progress:
        scale = self._calls / self._seen if self._is_sample else 1
        completed = round(self._completed * scale)
        # Rounding must not make more of them than there are.
        failed = min(round(self._failed * scale), self._calls - completed)
        rate = self._pace.rate(time.monotonic(), completed + failed)
        return Progress(completed, failed, self._calls, self._is_sample, rate)
