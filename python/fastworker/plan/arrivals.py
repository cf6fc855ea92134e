"""How tasks arrive: over the day, and from one to the next.

The times between arrivals have a squared coefficient of variation (``scv``): 1 is Poisson, less is more even, more
comes in bursts. It is the only thing said about bursts; arrivals that come together for minutes are a daily shape, or
a higher rate.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOURS = 24
#: Nothing is known: the same at all hours.
FLAT = (1.0,) * HOURS


@dataclass(frozen=True)
class Arrivals:
    """The arrivals of one class.

    Attributes:
        rate: A second, on average over the day.
        shape: What each hour has of it, relative to each other.
        scv: Of the times between two arrivals.
        known_hours: Of so many hours ``shape`` is known, if it was measured; the others have the mean of those.
    """

    rate: float
    shape: tuple[float, ...] = FLAT
    scv: float = 1.0
    known_hours: int = 0

    def rate_at(self, hour: int) -> float:
        """Arrivals a second in an hour of the day."""
        return self.rate * self.shape[hour] * HOURS / math.fsum(self.shape)


def scv_of(moments: Sequence[float]) -> float:
    """Of recorded arrivals, in order: variance / mean² of the times between them."""
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    mean = math.fsum(gaps) / len(gaps)
    return math.fsum((gap - mean) ** 2 for gap in gaps) / len(gaps) / mean**2


def gaps(rate: float, scv: float, rng: random.Random) -> Callable[[], float]:
    """A source of times between arrivals, in seconds.

    Constant for ``scv`` 0, gamma below 1, exponential at 1, and two exponential laws with balanced means above.
    """
    mean_s = 1 / rate
    if scv <= 1e-9:
        return lambda: mean_s
    if abs(scv - 1) < 1e-9:
        return lambda: rng.expovariate(rate)
    if scv < 1:
        return lambda: rng.gammavariate(1 / scv, mean_s * scv)
    share = (1 + math.sqrt((scv - 1) / (scv + 1))) / 2
    quick, slow = 2 * share * rate, 2 * (1 - share) * rate
    return lambda: rng.expovariate(quick if rng.random() < share else slow)


def superposed_scv(parts: Sequence[tuple[float, float]]) -> float:
    """Of several streams together: the mean of theirs, weighted with their rates.

    Args:
        parts: Rate and scv of each. Source: S. L. Albin, 1984, without her correction for many streams.
    """
    total = math.fsum(rate for rate, _ in parts)
    return math.fsum(rate * scv for rate, scv in parts) / total if total > 0 else 1.0
