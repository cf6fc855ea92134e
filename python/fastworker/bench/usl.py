"""The Universal Scalability Law (Gunther): throughput X of N workers,

    X(N) = rN / (1 + s(N - 1) + kN(N - 1))

r is what one does alone; s, the *contention* (sigma), is the share of the work that must be done one after another;
k, the *coherency* (kappa), is what each pair costs to keep in step. With k above 0 throughput has a peak, at
√((1 - s) / k), and falls beyond it.

Fitted by least squares of relative deviations, since what disturbs a throughput disturbs it in proportion. Intervals
are a bootstrap of the deviations, which hold what the repeats differ by and what the law misses.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastworker.bench.errors import BenchError
from fastworker.bench.statistics import LEVEL

#: Three parameters are found from this many values of N at least, so that one is left to check them.
LEAST_VALUES = 4
#: The law is not used if it misses the medians by more than this, typically (root mean square, relative).
WORST_ERROR = 0.15
#: The knee has this share of the most in the measured range.
NEARLY_ALL = 0.95
_CLEARLY = 0.9
_RESAMPLES = 500


class NoFit(Exception):
    """The law says nothing about these measurements; the text says why."""


@dataclass(frozen=True)
class Law:
    """The law with its parameters.

    Attributes:
        rate: Of one; a second.
        contention: 0 or more.
        coherency: 0 or more.
    """

    rate: float
    contention: float
    coherency: float

    def throughput(self, count: float) -> float:
        """Of so many workers; a second."""
        others = count - 1
        cost = 1 + self.contention * others + self.coherency * count * others
        return self.rate * count / cost

    @property
    def peak_at(self) -> float:
        """Where throughput is highest, at least 1; infinite where it does not fall."""
        if self.coherency <= 0 and self.contention < 1:
            return math.inf
        if self.contention >= 1:
            return 1.0
        return max(1.0, math.sqrt((1 - self.contention) / self.coherency))

    @property
    def peak(self) -> float:
        """The highest throughput; infinite if there is no bound."""
        if math.isfinite(self.peak_at):
            return self.throughput(self.peak_at)
        return self.rate / self.contention if self.contention > 0 else math.inf

    def knee_at(self, most: int) -> int:
        """The fewest that do nearly as much as the best number up to ``most``."""
        values = [self.throughput(count) for count in range(1, most + 1)]
        enough = NEARLY_ALL * max(values)
        return next(count for count, value in enumerate(values, 1) if value >= enough)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval; either may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """The law of some measurements.

    Attributes:
        law: With the parameters that fit best.
        error: What it misses the medians by, typically; relative.
        most: The largest number measured.
        rate, contention, coherency: The parameters.
        knee_at, knee: The fewest that do nearly as much as the best number measured, and their throughput.
        peak_at, peak: The highest throughput by the law, wherever it is.
        curve: ``(N, throughput, low, high)`` from 1 to ``most``.
    """

    law: Law
    error: float
    most: int
    rate: Interval
    contention: Interval
    coherency: Interval
    knee_at: Interval
    knee: Interval
    peak_at: Interval
    peak: Interval
    curve: Sequence[tuple[float, float, float, float]]

    @property
    def is_extrapolated(self) -> bool:
        """There is a peak, and it lies beyond what was measured."""
        return self.most < self.peak_at.value < math.inf

    @property
    def is_knee_reached(self) -> bool:
        """Clearly fewer than the most that was measured do nearly as much: growth in proportion would not let them."""
        return self.knee_at.value < _CLEARLY * self.most


def need_scipy() -> None:
    """See that a law can be fitted at all.

    Raises:
        BenchError: It is not installed.
    """
    try:
        import scipy.optimize  # noqa: F401
    except ImportError as exc:
        raise BenchError(
            f'the law of a sweep is fitted with SciPy ({exc}): pip install "fastworker-rs[bench]"'
        ) from exc


def fit(measured: Mapping[int, Sequence[float]]) -> Fit:
    """Find the law.

    Args:
        measured: By number of workers, the throughput in each repeat.

    Raises:
        NoFit: There are too few numbers, something stood still, or the law misses what was measured.
        BenchError: SciPy is not installed.
    """
    need_scipy()
    _check(measured)
    counts = [count for count in sorted(measured) for _ in measured[count]]
    values = [value for count in sorted(measured) for value in measured[count]]
    law = _best(counts, values)
    error = _error(law, measured)
    if error > WORST_ERROR:
        raise NoFit(
            f"the law misses what was measured by {error:.0%}, more than {WORST_ERROR:.0%}: something changes in kind "
            f"between these numbers, so it says nothing about others"
        )
    most = max(measured)
    laws = _resampled(law, counts, values)

    def interval(of: Callable[[Law], float]) -> Interval:
        values = sorted(of(one) for one in laws)
        tail = (1 - LEVEL) / 2
        low, high = values[int(tail * len(values))], values[int((1 - tail) * len(values)) - 1]
        value = of(law)
        return Interval(value, min(low, value), max(high, value))

    def at(count: float) -> tuple[float, float, float, float]:
        found = interval(lambda one: one.throughput(count))
        return count, found.value, found.low, found.high

    knee_at = law.knee_at(most)
    steps = max(1, round((most - 1) / max(0.25, most / 60)))
    return Fit(
        law=law,
        error=error,
        most=most,
        rate=interval(lambda one: one.rate),
        contention=interval(lambda one: one.contention),
        coherency=interval(lambda one: one.coherency),
        knee_at=interval(lambda one: one.knee_at(most)),
        knee=interval(lambda one: one.throughput(knee_at)),
        peak_at=interval(lambda one: one.peak_at),
        peak=interval(lambda one: one.peak),
        curve=[at(1 + (most - 1) * step / steps) for step in range(steps + 1)],
    )


def _check(measured: Mapping[int, Sequence[float]]) -> None:
    if len(measured) < LEAST_VALUES:
        raise NoFit(
            f"{len(measured)} numbers were measured; expected {LEAST_VALUES} or more, for a law with three parameters"
        )
    for count, samples in measured.items():
        if not samples or not all(0 < value < math.inf for value in samples):
            raise NoFit(f"with {count} nothing went through in a repeat")


def _best(counts: Sequence[int], values: Sequence[float]) -> Law:
    """Least squares of the relative deviations. N / X(N) is linear in 1/r, s/r and k/r, none of which is below 0: so
    there is one answer, and it is found without a first guess.
    """
    from scipy.optimize import nnls

    rows = [
        [value / n, (n - 1) * value / n, (n - 1) * value]
        for n, value in zip(counts, values, strict=True)
    ]
    (one, serial, crosstalk), _ = nnls(rows, [1.0] * len(rows))
    if not one > 0:
        raise NoFit("one worker would have to be infinitely fast: measure smaller numbers too")
    return Law(float(1 / one), float(serial / one), float(crosstalk / one))


def _error(law: Law, measured: Mapping[int, Sequence[float]]) -> float:
    misses = [
        law.throughput(count) / statistics.median(samples) - 1
        for count, samples in measured.items()
    ]
    return math.sqrt(math.fsum(miss * miss for miss in misses) / len(misses))


def _resampled(law: Law, counts: Sequence[int], values: Sequence[float]) -> list[Law]:
    """The laws of measurements that might have been as well: the deviations are dealt out anew."""
    expected = [law.throughput(count) for count in counts]
    freedom = math.sqrt(len(values) / max(1, len(values) - 3))
    misses = [
        freedom * math.log(value / mean) for value, mean in zip(values, expected, strict=True)
    ]
    rng = random.Random(len(values))
    return [
        _best(counts, [mean * math.exp(miss) for mean, miss in zip(expected, dealt, strict=True)])
        for dealt in (rng.choices(misses, k=len(misses)) for _ in range(_RESAMPLES))
    ]
