"""How a scenario runs: in rounds where the systems take turns, within a bounded time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from benches.harness.results import Run

T = TypeVar("T")

IS_QUICK = os.environ.get("BENCH_QUICK") == "1"
"""``BENCH_QUICK=1``: two rounds and small loads, to see that everything works."""

ROUNDS = 2 if IS_QUICK else 5
DRAIN_S = 0.8 if IS_QUICK else 3.0
"""How long one drain shall last, so that 10 ms clock ticks and start effects are small against it.

"""


def rounds(systems: Sequence[T], count: int = ROUNDS) -> Iterator[tuple[int, T]]:
    """A B C, B C A, C A B …: neighbours in time are compared, and nobody always goes first."""
    for number in range(count):
        turn = number % len(systems)
        for system in [*systems[turn:], *systems[:turn]]:
            yield number, system


def sized(tasks_per_s: float, seconds: float = DRAIN_S, most: int = 200_000) -> int:
    """How many tasks take about ``seconds``, in round hundreds."""
    return min(most, max(100, int(round(tasks_per_s * seconds, -2))))


@contextmanager
def open_run(scenario: str, question: str | None, conditions: dict[str, str]) -> Iterator[Run]:
    """Collect one run and write its results file; a run that fails leaves none.

    Args:
        scenario: Name of the module.
        question: The module's docstring.
        conditions: What was the same for all, and what differed, in words.
    """
    run = Run(scenario, " ".join((question or "").split()), IS_QUICK, dict(conditions))
    print(f"{scenario}: {run.question}", flush=True)
    started = time.monotonic()
    yield run
    path = run.write()
    elapsed = time.monotonic() - started
    print(f"  {elapsed:.0f} s; every sample is in benches/results/{path.name}", flush=True)
