"""How long tasks wait, as a law with a tail: the answer of a formula, of which any quantile can be asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_HALVINGS = 60
#: Who waits for longer than this many seconds, thirty years, waits for ever.
_NEVER_S = 1e9
#: Below this a delay's variance is taken for an Erlang law's.
_LEAST_OF_TWO_STEPS = 0.55


@dataclass(frozen=True)
class WaitLaw:
    """The wait of a task.

    Attributes:
        p_wait: The share of tasks that wait at all.
        mean_s: The mean wait of all tasks; infinite under overload.
        tail: The share of tasks that wait longer than so many seconds.
    """

    p_wait: float
    mean_s: float
    tail: Callable[[float], float]

    def quantile(self, share: float) -> float:
        """The wait in seconds that ``share`` of the tasks do not exceed; infinite where more wait for ever."""
        over = 1 - share
        if self.tail(0.0) <= over:
            return 0.0
        if self.tail(_NEVER_S) > over:
            return math.inf
        low, high = 0.0, 1e-6
        while self.tail(high) > over:
            low, high = high, high * 2
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.tail(middle) > over else (low, middle)
        return high


#: Nothing can be said: more comes than can be worked off.
OVERLOADED = WaitLaw(1.0, math.inf, lambda _time_s: 1.0)


def waiting(p_wait: float, delayed_mean_s: float, delayed_scv: float) -> WaitLaw:
    """The law of a share that waits, with mean and variance of their wait.

    The wait of those who wait is fitted by two moments: a mixture of two exponential laws (balanced means) when it
    varies more than an exponential one, two exponential steps or Erlang's steps when it varies less.
    Source: W. Whitt, Approximations for the GI/G/m queue, 1993, section 4.
    """
    if delayed_mean_s <= 0 or p_wait <= 0:
        return WaitLaw(0.0, 0.0, lambda _time_s: 0.0)
    delayed = _delayed(delayed_mean_s, delayed_scv)
    return WaitLaw(
        p_wait, p_wait * delayed_mean_s, lambda t: p_wait * (delayed(t) if t > 0 else 1.0)
    )


def _delayed(mean_s: float, scv: float) -> Callable[[float], float]:
    if scv > 1 + 1e-9:
        share = (1 + math.sqrt((scv - 1) / (scv + 1))) / 2
        quick, slow = 2 * share / mean_s, 2 * (1 - share) / mean_s
        return lambda t: share * math.exp(-quick * t) + (1 - share) * math.exp(-slow * t)
    if scv >= 1 - 1e-9:
        return lambda t: math.exp(-t / mean_s)
    if scv > _LEAST_OF_TWO_STEPS:
        apart = math.sqrt(2 * scv - 1)
        first, second = mean_s * (1 + apart) / 2, mean_s * (1 - apart) / 2
        return lambda t: (
            (first * math.exp(-t / first) - second * math.exp(-t / second)) / (first - second)
        )
    steps = max(2, round(1 / max(scv, 1e-3)))
    rate = steps / mean_s
    return lambda t: _erlang_tail(steps, rate * t)


def _erlang_tail(steps: int, x: float) -> float:
    """The share of sums of so many exponential steps of mean 1 that exceed ``x``."""
    if x > 700:
        return 0.0
    term = total = math.exp(-x)
    for number in range(1, steps):
        term *= x / number
        total += term
    return min(1.0, total)
