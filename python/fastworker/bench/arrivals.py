"""When calls are made: moments in microseconds after the beginning, drawn beforehand, so that nothing that happens
meanwhile can change them (an open loop).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from fastworker.bench.errors import BenchError

KINDS = ("constant", "poisson", "bursts")
#: Arrivals of one burst that come together.
BURST = 50
_S = 1_000_000


def moments(kind: str, rate: float, duration_s: float, rng: random.Random) -> array[int]:
    """Arrivals of one phase, rising.

    Args:
        kind: ``constant``: equal gaps. ``poisson``: exponential gaps, as of many independent callers. ``bursts``: 50 at
            once, at exponential gaps.
        rate: Arrivals a second.
        duration_s: Length of the phase.
        rng: Where chance comes from.

    Raises:
        BenchError: A rate or duration that is not above 0, or so short that nothing would come.
    """
    if not rate > 0 or not duration_s > 0:
        raise BenchError(f"rate {rate:g} for {duration_s:g} s: expected both above 0")
    end_us = duration_s * _S
    if kind == "constant":
        count = int(rate * duration_s)
        found = array("Q", (int(place * _S / rate) for place in range(count)))
    elif kind == "poisson":
        found = _poisson(rate, end_us, rng)
    elif kind == "bursts":
        starts = _poisson(rate / BURST, end_us, rng)
        found = array("Q", (start for start in starts for _ in range(BURST)))
    else:
        raise BenchError(f"arrivals {kind!r}: expected one of {', '.join(KINDS)}")
    if not found:
        raise BenchError(
            f"{kind} arrivals at {rate:g}/s for {duration_s:g} s: nothing comes; take a higher rate or a longer time"
        )
    return found


def _poisson(rate: float, end_us: float, rng: random.Random) -> array[int]:
    found = array("Q")
    at_us = rng.expovariate(rate) * _S
    while at_us < end_us:
        found.append(int(at_us))
        at_us += rng.expovariate(rate) * _S
    return found


def recorded(times_s: Sequence[float]) -> array[int]:
    """Arrivals as they were recorded, the first one at 0; they may be in any order.

    Raises:
        BenchError: There are none.
    """
    if not times_s:
        raise BenchError("recorded arrivals: the file has no calls")
    first = min(times_s)
    return array("Q", sorted(int((time_s - first) * _S) for time_s in times_s))
