"""Arrivals that several workers have counted, by second and by hour: rate, shape of the day, and burstiness.

Counts of several workers add up, times between arrivals would not; so burstiness is the index of dispersion of counts:
variance / mean of the number in a window. For a Poisson process it is 1, and for one whose gaps are independent of each
other it is the squared coefficient of variation of a gap, once windows are long. Source: D. R. Cox and P. A. W. Lewis,
The Statistical Analysis of Series of Events, 1966, chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.plan.arrivals import HOURS
from fastworker.plan.node_workload import TaskWorkload

_HOUR_S = 3600
#: Whole seconds that workers remember; the running one is not over.
_REMEMBERED_S = 599
#: Windows whose counts are compared, in seconds.
_WINDOWS_S = (1, 10)
#: Fewer arrivals, or windows, say nothing of bursts.
_LEAST = 20
#: An hour of which less is known says nothing of it.
_LEAST_OF_HOUR_S = 600


@dataclass(frozen=True)
class Span:
    """A time that all workers ran.

    Attributes:
        since, until: Unix time.
        is_even: All began at about the same time: what they counted in all came within the span.
    """

    since: float
    until: float
    is_even: bool = False

    @property
    def length_s(self) -> float:
        """Its length."""
        return self.until - self.since


def rate(parts: Sequence[TaskWorkload], span: Span) -> float:
    """Arrivals a second: of the whole span if it is even, else of its last ten minutes."""
    if span.is_even and span.length_s > 0:
        return sum(part.arrivals for part in parts) / span.length_s
    # The seconds in which it begins and ends are parts of seconds.
    since = max(span.since, int(span.until) - _REMEMBERED_S + 1)
    if span.until <= since:
        return 0.0
    return sum(_counts(parts, int(since), int(span.until))) / (span.until - since)


def by_hour(parts: Sequence[TaskWorkload], span: Span) -> dict[int, float]:
    """Arrivals a second in hours of the day (UTC), averaged over days; an hour that is not known is not in it."""
    seen: dict[int, list[float]] = {}
    first, last = math.ceil(span.since / _HOUR_S), int(span.until // _HOUR_S)
    for hour in range(first, last + 1):
        known_s = min(_HOUR_S, span.until - hour * _HOUR_S)
        if known_s >= _LEAST_OF_HOUR_S:
            count = sum(part.hours.at(hour) for part in parts)
            seen.setdefault(hour % HOURS, []).append(count / known_s)
    return {hour: math.fsum(rates) / len(rates) for hour, rates in seen.items()}


def burstiness(parts: Sequence[TaskWorkload], span: Span) -> float:
    """The index of dispersion: of seconds, or of longer windows if theirs is higher by more than chance. Of few: 1."""
    counts = _by_second(parts, span)
    if sum(counts) < _LEAST:
        return 1.0
    found: float | None = None
    for window_s in _WINDOWS_S:
        windows = [
            sum(counts[start : start + window_s])
            for start in range(0, len(counts) - window_s + 1, window_s)
        ]
        if len(windows) < _LEAST:
            break
        index = _dispersion(windows)
        # Of a Poisson process the index has this standard error.
        by_chance = math.sqrt(2 / (len(windows) - 1))
        if found is None or index > found * (1 + 2 * by_chance):
            found = index
    return 1.0 if found is None else found


def _by_second(parts: Sequence[TaskWorkload], span: Span) -> list[int]:
    """Of whole seconds only."""
    last = int(span.until) - 1
    return _counts(parts, max(math.ceil(span.since), last + 1 - _REMEMBERED_S), last)


def _counts(parts: Sequence[TaskWorkload], first: int, last: int) -> list[int]:
    return [sum(part.seconds.at(second) for part in parts) for second in range(first, last + 1)]


def _dispersion(counts: Sequence[int]) -> float:
    mean = sum(counts) / len(counts)
    variance = math.fsum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    return variance / mean if mean > 0 else 1.0
