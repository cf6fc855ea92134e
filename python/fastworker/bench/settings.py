"""What a bench is told to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.bench.check import Check
from fastworker.bench.errors import BenchError
from fastworker.bench.workload import Workload

#: 99 of 100 messages have to be handed to the broker within this time of their moment, or the run is not valid; with an
#: added round trip within twice that, if it is longer.
PUNCTUAL_S = 1e-3


@dataclass(frozen=True)
class Search:
    """What the highest rate has to satisfy.

    Attributes:
        target: What has to hold of each trial, besides the queue not growing.
        precision: How far the ends of the bracket may be apart; relative.
    """

    target: Check
    precision: float = 0.05


@dataclass(frozen=True)
class BenchSettings:
    """One run of ``fastworker bench run``.

    Attributes:
        workload: What is called.
        arrivals: ``constant``, ``poisson``, ``bursts``, ``recorded``, ``closed`` or ``drain``.
        rate: Arrivals a second, of the first three.
        duration_s: Of each repeat; ``drain`` and ``recorded`` take as long as they take.
        warm_up_s: Before the first; it is not counted.
        repeats: At least 1.
        seed: The same seed draws the same arrivals and calls.
        spec: What ``-A`` names; for a worker of our own.
        workers: Nodes that are started.
        concurrency: Slots of each.
        pool: What runs tasks in them.
        worker_options: Further options of ``fastworker worker``.
        is_attached: Use the workers that run, and the task's own queue.
        nodes: Those of them that are measured; empty: all.
        in_flight: Messages kept waiting, of ``closed``.
        messages: Of ``drain``.
        connections: Publishers that take turns.
        rtt_s: Added round trip to the broker.
        search: Look for the highest rate that holds, instead of ``rate``; of the first three.
        patience_s: How long the last tasks of a repeat are waited for, after its own length.
        command: The command line, for the file.
    """

    workload: Workload
    arrivals: str = "poisson"
    rate: float = 100.0
    duration_s: float = 10.0
    warm_up_s: float = 2.0
    repeats: int = 5
    seed: int = 1
    spec: str = "fastworker.bench.tasks:app"
    workers: int = 1
    concurrency: int = 4
    pool: str = "prefork"
    worker_options: Sequence[str] = ()
    is_attached: bool = False
    nodes: Sequence[str] = ()
    in_flight: int = 1000
    messages: int = 10_000
    connections: int = 1
    rtt_s: float = 0.0
    search: Search | None = None
    patience_s: float = 30.0
    command: Sequence[str] = ()

    def check(self) -> None:
        """See whether this can be measured.

        Raises:
            BenchError: The text says what does not go together.
        """
        delays = any(call.delay_s for call in self.workload.calls)
        if self.arrivals == "closed" and delays:
            raise BenchError(
                f"{self.workload.name} in a closed loop, which keeps messages waiting in the queue: calls that are due "
                f"later do not wait there; expected another workload"
            )

    @property
    def is_open(self) -> bool:
        """Arrivals do not depend on what becomes of them."""
        return self.arrivals not in ("closed", "drain")

    @property
    def punctual_s(self) -> float:
        """Bound of the schedule error at p99."""
        return max(PUNCTUAL_S, 2 * self.rtt_s)
