"""What one stretch of a bench has shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastworker import _core
from fastworker.bench.probe import Figures
from fastworker.bench.records import Recorded

_US = 1e-6
#: How ``Phase.instability`` begins when it is not the workers that could not keep up.
GENERATOR = "the generator"

#: Gets (seconds, published, ended, depth) while a phase goes on; None: not known.
Watch = Callable[[float, int, int | None, int], None]
#: Gets a line of what comes next; how to watch it.
Progress = Callable[[str], Watch]


@dataclass
class Phase:
    """What a phase has shown.

    Attributes:
        kind: ``warm_up``, ``saturate`` or ``search`` (on the way to the highest rate), or ``measure``.
        repeat: From 0; None: not one of those that are counted.
        began_us: The first possible arrival; Unix time.
        duration_s: Until the last end; of a closed loop until it was read.
        rate: Arrivals a second that were asked for; None: a closed loop, or recorded ones.
        offered: Arrivals a second as they were drawn.
        published: Messages that the broker has taken.
        completed: Calls that ended, those made by tasks included.
        lost: Messages that did not end in time.
        duplicated: Messages that ended more than once.
        recorded: By the workers.
        late: How late messages were handed to the connection; of open loops.
        confirmed: How long after their moment the broker had them.
        results: How long after a result was written the client had it; of some calls of open loops.
        depth: ``(seconds, messages waiting)``.
        cpu_s: By role, without the broker's server.
        core_wait_s: By role, in which its threads were ready to compute and had no core; None: not told.
        broker: What that has used; None: it is part of the other roles, or cannot be asked.
        memory_bytes: Of all workers, at the end; None: not told.
        nodes: Workers.
        slots: Of all workers.
        children: Processes of all workers that run tasks; 0: tasks run in the worker's own.
        cores: Of this machine, as far as they may be used.
        cores_busy: Which share of them was busy, whoever kept it so; None: not told.
        backlog: Calls that were due and had not ended when the last one of an open loop was published; None: others.
        held: Messages that were over their rate limit at the end of a closed loop; None: others.
        left: Messages that waited then, those included.
        dry: At which share of the looks the queue of a closed loop was empty; None: others.
        instability: Why the rate was too high; None: it was not, or nobody asked.
        bound: The lowest rate that was too high, of a search; None: others.
        bounded_by: Why it was.
    """

    kind: str
    repeat: int | None
    began_us: int
    duration_s: float
    rate: float | None
    offered: float | None
    published: int
    completed: int
    lost: int
    duplicated: int
    recorded: Recorded
    late: _core.Histogram | None
    confirmed: _core.Histogram
    results: _core.Histogram
    depth: list[tuple[float, int]]
    cpu_s: dict[str, float]
    core_wait_s: dict[str, float] | None
    broker: Figures | None
    memory_bytes: int | None
    nodes: int
    slots: int
    children: int
    cores: int
    cores_busy: float | None
    backlog: int | None = None
    held: int | None = None
    left: int | None = None
    dry: float | None = None
    instability: str | None = None
    bound: float | None = None
    bounded_by: str | None = None

    @property
    def throughput(self) -> float:
        """Ends a second."""
        return self.completed / self.duration_s if self.duration_s else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the slots' time that was spent in tasks. A task counts where it ends, with all of its time, so a
        short closed loop of long tasks might seem to have more than there is.
        """
        service = self.recorded.stage("service")
        return min(1.0, service.mean_us * _US * service.count / (self.duration_s * self.slots or 1))

    @property
    def cores_wanted(self) -> float:
        """Share of the time in which a supervisor, or a child, was on a core or had none while it was ready; the
        larger of the two, 0 to 1. 1 where the kernel does not tell.
        """
        if self.core_wait_s is None or not self.duration_s:
            return 1.0
        counts = {"supervisor": self.nodes, "children": self.children}
        shares = (
            (self.cpu_s.get(role, 0.0) + self.core_wait_s.get(role, 0.0)) / self.duration_s / count
            for role, count in counts.items()
            if count
        )
        return min(1.0, max(shares))

    @property
    def cores_own(self) -> float:
        """Share of this machine's cores that workers, broker and publisher used; 0 to 1."""
        own_s = sum(self.cpu_s.values()) + (0.0 if self.broker is None else self.broker.cpu_s)
        return min(1.0, own_s / self.duration_s / self.cores) if self.duration_s else 0.0
