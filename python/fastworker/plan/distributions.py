"""Distributions of service times that a plan file can name, with what formulas and the simulation need of them.

Moments: ``mean_s``; ``scv``, the squared coefficient of variation (variance / mean²; 0 constant, 1 exponential);
``third``, the third moment / mean³ (1 constant, 6 exponential).
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

_NORMAL = NormalDist()
#: Halvings in the search for a quantile: to the last bits of a float.
_HALVINGS = 80


class Distribution(Protocol):
    """Times of one kind, in seconds."""

    @property
    def mean_s(self) -> float:
        """The mean."""

    @property
    def scv(self) -> float:
        """Variance / mean²."""

    @property
    def third(self) -> float:
        """Third moment / mean³."""

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""

    def sample(self, rng: random.Random) -> float:
        """One time."""


@dataclass(frozen=True)
class Constant:
    """Always the same time."""

    mean_s: float
    scv: float = 0.0
    third: float = 1.0

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        return 1.0 if time_s < self.mean_s else 0.0

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return self.mean_s


@dataclass(frozen=True)
class Exponential:
    """Without memory: many short times, few long ones."""

    mean_s: float
    scv: float = 1.0
    third: float = 6.0

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        return math.exp(-max(0.0, time_s) / self.mean_s)

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return rng.expovariate(1.0) * self.mean_s


@dataclass(frozen=True)
class Uniform:
    """Any time between two ends alike."""

    low_s: float
    high_s: float

    @property
    def mean_s(self) -> float:
        """The mean."""
        return (self.low_s + self.high_s) / 2

    @property
    def scv(self) -> float:
        """Variance / mean²."""
        return (self.high_s - self.low_s) ** 2 / 12 / self.mean_s**2

    @property
    def third(self) -> float:
        """Third moment / mean³."""
        low, high = self.low_s, self.high_s
        return (low + high) * (low * low + high * high) / 4 / self.mean_s**3

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        if self.high_s == self.low_s:
            return 1.0 if time_s < self.low_s else 0.0
        return min(1.0, max(0.0, (self.high_s - time_s) / (self.high_s - self.low_s)))

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return rng.uniform(self.low_s, self.high_s)


@dataclass(frozen=True)
class LogNormal:
    """The logarithm is normal: the usual shape of times of remote services."""

    mean_s: float
    scv: float

    @property
    def third(self) -> float:
        """Third moment / mean³."""
        return (1 + self.scv) ** 3

    @property
    def _sigma(self) -> float:
        return math.sqrt(math.log1p(self.scv))

    @property
    def _mu(self) -> float:
        return math.log(self.mean_s) - math.log1p(self.scv) / 2

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        if time_s <= 0:
            return 1.0
        return _NORMAL.cdf((self._mu - math.log(time_s)) / self._sigma)

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return rng.lognormvariate(self._mu, self._sigma)


@dataclass(frozen=True)
class BoundedPareto:
    """Heavy tail with an end (a time limit has one), so that it has all moments.

    Attributes:
        low_s: The shortest time.
        high_s: The longest.
        alpha: The tail's exponent; the smaller, the heavier.
    """

    low_s: float
    high_s: float
    alpha: float

    def _moment(self, order: int) -> float:
        low, high, alpha = self.low_s, self.high_s, self.alpha
        share = 1 - math.pow(low / high, alpha)
        scale = alpha * math.pow(low, alpha) / share
        if math.isclose(alpha, order):
            return scale * math.log(high / low)
        ends = math.pow(low, order - alpha) - math.pow(high, order - alpha)
        return scale / (alpha - order) * ends

    @property
    def mean_s(self) -> float:
        """The mean."""
        return self._moment(1)

    @property
    def scv(self) -> float:
        """Variance / mean²."""
        return self._moment(2) / self._moment(1) ** 2 - 1

    @property
    def third(self) -> float:
        """Third moment / mean³."""
        return self._moment(3) / self._moment(1) ** 3

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        if time_s <= self.low_s:
            return 1.0
        if time_s >= self.high_s:
            return 0.0
        end = math.pow(self.low_s / self.high_s, self.alpha)
        return (math.pow(self.low_s / time_s, self.alpha) - end) / (1 - end)

    def sample(self, rng: random.Random) -> float:
        """One time."""
        end = math.pow(self.low_s / self.high_s, self.alpha)
        return self.low_s * math.pow(1 - rng.random() * (1 - end), -1 / self.alpha)


class Empirical:
    """What was measured: values with how often each was seen.

    Args:
        values: ``(seconds, count)`` in any order; counts need not be whole.
    """

    def __init__(self, values: Iterable[tuple[float, float]]) -> None:
        rows = sorted((value, count) for value, count in values if count > 0)
        if not rows:
            raise ValueError("no values")
        self._values = [value for value, _ in rows]
        self._upto = list(itertools.accumulate(count for _, count in rows))
        total = self._upto[-1]
        self.count = total
        self.mean_s = sum(value * count for value, count in rows) / total
        if self.mean_s <= 0:
            raise ValueError("all values are 0")
        self.scv = sum((v - self.mean_s) ** 2 * n for v, n in rows) / total / self.mean_s**2
        self.third = sum(v**3 * n for v, n in rows) / total / self.mean_s**3

    def rows(self) -> list[tuple[float, float]]:
        """``(seconds, count)``, rising."""
        before = itertools.chain((0.0,), self._upto)
        counts = (upto - less for upto, less in zip(self._upto, before, strict=False))
        return list(zip(self._values, counts, strict=True))

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        place = bisect.bisect_right(self._values, time_s)
        return 1.0 if place == 0 else 1 - self._upto[place - 1] / self._upto[-1]

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return self._values[bisect.bisect_right(self._upto, rng.random() * self._upto[-1])]


class Mixture:
    """Several kinds of tasks in one stream.

    Args:
        parts: Each with its weight; weights need not add up to 1.
    """

    def __init__(self, parts: Sequence[tuple[float, Distribution]]) -> None:
        total = sum(weight for weight, _ in parts)
        self._parts = [part for _, part in parts]
        self._weights = [weight / total for weight, _ in parts]
        self._upto = list(itertools.accumulate(self._weights))
        pairs = list(zip(self._weights, self._parts, strict=True))
        self.mean_s = sum(weight * part.mean_s for weight, part in pairs)
        second = sum(weight * part.mean_s**2 * (1 + part.scv) for weight, part in pairs)
        self.scv = second / self.mean_s**2 - 1
        self.third = sum(w * part.third * part.mean_s**3 for w, part in pairs) / self.mean_s**3

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        return sum(w * p.tail(time_s) for w, p in zip(self._weights, self._parts, strict=True))

    def sample(self, rng: random.Random) -> float:
        """One time."""
        place = bisect.bisect_right(self._upto, rng.random())
        return self._parts[min(place, len(self._parts) - 1)].sample(rng)


@dataclass(frozen=True)
class Scaled:
    """The times of another distribution, each ``factor`` times as long."""

    of: Distribution
    factor: float

    @property
    def mean_s(self) -> float:
        """The mean."""
        return self.of.mean_s * self.factor

    @property
    def scv(self) -> float:
        """Variance / mean²."""
        return self.of.scv

    @property
    def third(self) -> float:
        """Third moment / mean³."""
        return self.of.third

    def tail(self, time_s: float) -> float:
        """The share of times that are longer."""
        return self.of.tail(time_s / self.factor)

    def sample(self, rng: random.Random) -> float:
        """One time."""
        return self.of.sample(rng) * self.factor


def quantile(of: Distribution, share: float) -> float:
    """The shortest time that at least ``share`` of the times do not exceed, in seconds."""
    low, high = 0.0, of.mean_s
    while of.tail(high) > 1 - share:
        low, high = high, high * 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if of.tail(middle) > 1 - share + 1e-12:
            low = middle
        else:
            high = middle
    return high
