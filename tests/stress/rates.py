"""Whether the limits of all workers together held, told from when tasks took effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from tests.stress.numbers import CLUSTER_RATE, KEYED_RATE, Effect, key_of, kind_of

#: A task that has its permit waits so long at most for a process: both may be busy with tasks that
#: run over a limit, or be replaced.
LATE_S = 2.0


def excesses(effects: Mapping[int, Sequence[Effect]]) -> dict[str, float]:
    """For each limit, by how many starts it was exceeded in the worst stretch of the run. A second
    run needs no second permit, and is left out.
    """
    starts: dict[str, list[float]] = defaultdict(list)
    for number, runs in effects.items():
        kind = kind_of(number)
        if runs and kind in ("cluster", "keyed"):
            starts[kind if kind == "cluster" else f"key {key_of(number)}"].append(runs[0].ran)
    return {
        limit: _excess(sorted(times), CLUSTER_RATE if limit == "cluster" else KEYED_RATE)
        for limit, times in starts.items()
    }


def bound(limit: str) -> float:
    """What is explained by starts that come later than their permits, and by no other thing."""
    return LATE_S * (CLUSTER_RATE if limit == "cluster" else KEYED_RATE)


def _excess(times: Sequence[float], rate: float) -> float:
    """The largest difference between the starts after a first one and what the rate allows in that
    time, over all stretches.
    """
    ahead = [index - rate * at for index, at in enumerate(times)]
    fewest = accumulate(ahead, min)
    return max(now - before for now, before in zip(ahead, fewest, strict=True))
