"""Times that a task takes, by name: ``constant``, ``exponential``, ``lognormal``, ``pareto``.

A bench calls a limited number of messages again and again, so a distribution is a list of equally likely times: its
quantiles at the middles of equal shares, scaled to the mean that was asked for. Of ``pareto``, whose tail is heavy,
the largest of 2,048 is what there is; the mean is still exact.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from fastworker.bench.errors import BenchError

NAMES = ("constant", "exponential", "lognormal", "pareto")
#: Equally likely times.
SAMPLES = 2048
#: Of the logarithm: squared coefficient of variation e - 1 = 1.7.
_SIGMA = 1.0
#: Of Pareto's law; the variance is infinite.
_ALPHA = 1.5


def samples(name: str, mean_s: float) -> list[float]:
    """Equally likely times, in seconds; one for ``constant``.

    Raises:
        BenchError: No such distribution, or a mean below 0.
    """
    if not mean_s >= 0:
        raise BenchError(f"mean {mean_s:g} s: expected 0 or more")
    if name == "constant":
        return [mean_s]
    if name not in NAMES:
        raise BenchError(f"distribution {name!r}: expected one of {', '.join(NAMES)}")
    shares = [(place + 0.5) / SAMPLES for place in range(SAMPLES)]
    normal = NormalDist()
    if name == "exponential":
        raw = [-math.log1p(-share) for share in shares]
    elif name == "lognormal":
        raw = [math.exp(_SIGMA * normal.inv_cdf(share)) for share in shares]
    else:
        raw = [(1 - share) ** (-1 / _ALPHA) for share in shares]
    scale = mean_s * SAMPLES / math.fsum(raw)
    return [time_s * scale for time_s in raw]
