"""What is tried: times of different means and variances, waiting and computing, with and without limits of keys."""

from __future__ import annotations

from dataclasses import dataclass

from benches.validate.app import HALF, KEY_RATE
from fastworker.plan.distributions import (
    Constant,
    Distribution,
    Exponential,
    LogNormal,
    Mixture,
    Uniform,
)
from fastworker.plan.keyed import KeyedLimit

LOADS = (0.5, 0.7, 0.85)
SLOTS = (2, 4)
#: Calibration is done with so many slots, whatever is predicted from it.
CALIBRATED_SLOTS = 2


@dataclass(frozen=True)
class Case:
    """A workload.

    Attributes:
        name: In tables.
        task: Of ``benches.validate.app``.
        times: The service times that tasks are told, in seconds.
        zipf: Exponent of the keys' shares where the task has a limit for each; None: it has none.
        scv: Of the times between arrivals: 1 is Poisson, more is bursts.
        nodes: Workers that share the queue, each with the slots that are said.
    """

    name: str
    task: str
    times: Distribution
    zipf: float | None = None
    scv: float = 1.0
    nodes: int = 1

    @property
    def computes(self) -> bool:
        """Whether it needs a core for all of its time."""
        return self.task == "validate.spin"

    @property
    def cpu_share(self) -> float:
        """What part of its time computes."""
        return {"validate.spin": 1.0, "validate.half": HALF}.get(self.task, 0.0)

    @property
    def is_plain(self) -> bool:
        """One node, Poisson arrivals, and tasks that either wait or compute."""
        return self.nodes == 1 and self.scv == 1.0 and self.cpu_share in (0.0, 1.0)

    def limit(self, slots: int) -> KeyedLimit | None:
        """So many keys that the largest reaches its limit when the slots do."""
        if self.zipf is None:
            return None
        most, keys = slots * self.nodes / self.times.mean_s, 1
        while KeyedLimit(keys, self.zipf, KEY_RATE).most() < most:
            keys += 5
        return KeyedLimit(keys, self.zipf, KEY_RATE)


CASES = (
    Case("sleep, constant 10 ms", "validate.sleep", Constant(0.010)),
    Case("sleep, exponential 15 ms", "validate.sleep", Exponential(0.015)),
    Case("sleep, log-normal 10 ms, SCV 3", "validate.sleep", LogNormal(0.010, 3.0)),
    Case(
        "sleep, 4 ms or (1 of 10) 64 ms",
        "validate.sleep",
        Mixture([(0.9, Constant(0.004)), (0.1, Constant(0.064))]),
    ),
    Case("sleep, exponential 15 ms, 4/s a key", "validate.keyed", Exponential(0.015), 0.3),
    Case("compute, exponential 12 ms", "validate.spin", Exponential(0.012)),
    Case("compute, uniform 2 to 18 ms", "validate.spin", Uniform(0.002, 0.018)),
    Case("half computing, exponential 16 ms", "validate.half", Exponential(0.016)),
    Case("sleep, exponential 15 ms, in bursts", "validate.sleep", Exponential(0.015), scv=4.0),
    Case("sleep, exponential 20 ms, two nodes", "validate.sleep", Exponential(0.020), nodes=2),
)
