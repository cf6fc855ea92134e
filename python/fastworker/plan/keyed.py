"""Limits for each key (a host, a customer): where politeness, and not workers, says how fast it goes.

A task with ``rate_limit_key`` waits in its key's lane for a permit; permits come one by one at equal distances. So each
key is an M/D/1 queue of its own, and what has its permit then waits for a slot. Keys are drawn by Zipf's law.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fastworker.plan.wait_law import OVERLOADED, WaitLaw, waiting

#: Keys of nearly equal load are worked out together: one for each doubling of the rank, four for each.
_STEPS_A_DOUBLING = 4


@dataclass(frozen=True)
class KeyedLimit:
    """A limit for each key.

    Attributes:
        keys: How many there are.
        zipf: The exponent of their shares: 0 is all alike; 1 is usual for hosts.
        rate: Starts a second for each.
    """

    keys: int
    zipf: float
    rate: float

    @cached_property
    def _weights(self) -> list[float]:
        return [rank**-self.zipf for rank in range(1, self.keys + 1)]

    @cached_property
    def total(self) -> float:
        """The sum of the keys' weights."""
        return math.fsum(self._weights)

    @cached_property
    def _upto(self) -> list[float]:
        return list(itertools.accumulate(self._weights))

    def share(self, rank: int) -> float:
        """What the key of a rank (from 1) has of all tasks."""
        return float(rank**-self.zipf) / self.total

    def draw(self, rng: random.Random) -> int:
        """A task's key: its rank, from 0."""
        place = bisect.bisect_right(self._upto, rng.random() * self._upto[-1])
        return min(place, self.keys - 1)

    def over(self, rate: float) -> int:
        """How many keys get more than their limit when so many tasks arrive a second: the first so many."""
        low, high = 0, self.keys
        while low < high:
            middle = (low + high) // 2
            if rate * self.share(middle + 1) > self.rate:
                low = middle + 1
            else:
                high = middle
        return low

    def throughput(self, rate: float) -> float:
        """Tasks a second that get a permit when ``rate`` arrive: what is over a key's limit stays behind."""
        over = self.over(rate)
        kept = self._upto[over - 1] / self.total if over else 0.0
        return over * self.rate + rate * (1 - kept)

    def most(self) -> float:
        """Arrivals a second at which the largest key reaches its limit."""
        return self.rate / self.share(1)

    def drain_s(self, tasks: float) -> float:
        """How long so many tasks that are all there take, if nothing but the limit holds them: as the largest key."""
        return tasks * self.share(1) / self.rate

    def wait(self, rate: float) -> WaitLaw:
        """The wait for a permit: an M/D/1 queue for each key, weighted with what arrives there.

        What comes to a key that is over its limit waits for ever.
        """
        laws = [(share, self._key_wait(rate * each)) for share, each in self._groups()]
        return WaitLaw(
            sum(share * law.p_wait for share, law in laws),
            sum(share * law.mean_s for share, law in laws),
            lambda t: sum(share * law.tail(t) for share, law in laws),
        )

    def _key_wait(self, rate: float) -> WaitLaw:
        rho = rate / self.rate
        if rho >= 1:
            return OVERLOADED
        delayed_s = 1 / self.rate / (2 * (1 - rho))
        return waiting(rho, delayed_s, 2 * rho - 1 + 4 * (1 - rho) / 3)

    def _groups(self) -> list[tuple[float, float]]:
        """Groups of keys of like rank: what they have of all tasks, and what each of them has."""
        groups: list[tuple[float, float]] = []
        first = 0
        while first < self.keys:
            size = max(1, int(first * (2 ** (1 / _STEPS_A_DOUBLING) - 1)))
            last = min(self.keys, first + size)
            share = (self._upto[last - 1] - (self._upto[first - 1] if first else 0)) / self.total
            groups.append((share, share / (last - first)))
            first = last
        return groups


def permits(
    limit: KeyedLimit, arrivals_s: Sequence[float], rng: random.Random
) -> list[tuple[float, float]]:
    """When each of these arrivals has its permit, and how long it waited for it; by the time of the permit."""
    granted = permits_of(limit, arrivals_s, [limit.draw(rng) for _ in arrivals_s])
    return sorted((at, at - came) for at, came in zip(granted, arrivals_s, strict=True))


def permits_of(limit: KeyedLimit, arrivals_s: Sequence[float], keys: Sequence[int]) -> list[float]:
    """When arrivals with these keys have their permits, in the same order."""
    step_s = 1 / limit.rate
    due: dict[int, float] = {}
    granted: list[float] = []
    for arrived, key in zip(arrivals_s, keys, strict=True):
        at = max(arrived, due.get(key, 0.0))
        due[key] = at + step_s
        granted.append(at)
    return granted
