"""What a running node has kept of its tasks, as ``inspect workload`` tells it; and what came between two answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastworker import _core


@dataclass(frozen=True)
class Counts:
    """Arrivals by equal stretches of time.

    Attributes:
        first: The number of the first: Unix time / a stretch's length.
        counts: From there on.
    """

    first: int
    counts: tuple[int, ...]

    def at(self, number: int) -> int:
        """Arrivals in one of them."""
        place = number - self.first
        return self.counts[place] if 0 <= place < len(self.counts) else 0

    def since(self, earlier: Counts) -> Counts:
        """What came after an earlier answer of the same lane."""
        left = (count - earlier.at(self.first + place) for place, count in enumerate(self.counts))
        # What went back since then is not counted any more.
        return Counts(self.first, tuple(max(0, count) for count in left))


@dataclass(frozen=True)
class TaskWorkload:
    """One task in one lane.

    Attributes:
        arrivals: Calls that came.
        seconds: By second, of the last ten minutes.
        hours: By hour, of the last week.
        waits, runs: Microseconds that calls stood there, and ran.
        cpu_us: What those computed whose processor time was measured…
        cpu_run_us: …and how long they ran.
    """

    arrivals: int
    seconds: Counts
    hours: Counts
    waits: _core.Histogram
    runs: _core.Histogram
    cpu_us: int
    cpu_run_us: int

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> TaskWorkload:
        """From an answer."""
        seconds, hours = said["seconds"], said["hours"]
        return cls(
            int(said["arrivals"]),
            Counts(int(seconds[0]), tuple(seconds[1])),
            Counts(int(hours[0]), tuple(hours[1])),
            _core.Histogram.decode(said["wait_s"]["histogram"]),
            _core.Histogram.decode(said["run_s"]["histogram"]),
            int(said["cpu_us"]),
            int(said["cpu_run_us"]),
        )

    def since(self, earlier: TaskWorkload) -> TaskWorkload:
        """What came after an earlier answer. Its histograms are of use no more."""
        self.waits.subtract(earlier.waits)
        self.runs.subtract(earlier.runs)
        return TaskWorkload(
            max(0, self.arrivals - earlier.arrivals),
            self.seconds.since(earlier.seconds),
            self.hours.since(earlier.hours),
            self.waits,
            self.runs,
            self.cpu_us - earlier.cpu_us,
            self.cpu_run_us - earlier.cpu_run_us,
        )


@dataclass(frozen=True)
class LaneWorkload:
    """One lane.

    Attributes:
        began, now: From when to when it was kept, Unix time.
        tasks: By name.
    """

    began: float
    now: float
    tasks: Mapping[str, TaskWorkload]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> LaneWorkload:
        """From an answer."""
        tasks = {name: TaskWorkload.of(task) for name, task in said["tasks"].items()}
        return cls(float(said["began"]), float(said["now"]), tasks)

    def since(self, earlier: LaneWorkload) -> LaneWorkload | None:
        """What came after an earlier answer; None: it was started anew meanwhile."""
        if self.began != earlier.began:
            return None
        tasks = {
            name: task.since(earlier.tasks[name]) if name in earlier.tasks else task
            for name, task in self.tasks.items()
        }
        return LaneWorkload(earlier.now, self.now, tasks)


@dataclass(frozen=True)
class NodeWorkload:
    """One node.

    Attributes:
        name: Of the node.
        version: Of its fastworker.
        pool: What runs its tasks.
        slots, cores: That it has.
        cpu_s: Of ``supervisor``, ``zygote`` and ``children``.
        memory_bytes: Of all its processes; None: not known.
        lanes: At least one.
    """

    name: str
    version: str
    pool: str
    slots: int
    cores: float
    cpu_s: Mapping[str, float]
    memory_bytes: float | None
    lanes: tuple[LaneWorkload, ...]

    @classmethod
    def of(cls, name: str, said: Mapping[str, Any]) -> NodeWorkload:
        """From an answer."""
        return cls(
            name,
            str(said["version"]),
            str(said["pool"]),
            int(said["slots"]),
            float(said["cores"]),
            {role: float(value) for role, value in said["cpu_s"].items()},
            None if said["memory_bytes"] is None else float(said["memory_bytes"]),
            tuple(LaneWorkload.of(lane) for lane in said["lanes"]),
        )

    def since(self, earlier: NodeWorkload) -> NodeWorkload | None:
        """What came after an earlier answer; None: it was started anew meanwhile."""
        if len(self.lanes) != len(earlier.lanes):
            return None
        lanes = [lane.since(before) for lane, before in zip(self.lanes, earlier.lanes, strict=True)]
        kept = tuple(lane for lane in lanes if lane is not None)
        if len(kept) < len(lanes):
            return None
        used = {
            role: max(0.0, value - earlier.cpu_s.get(role, 0.0))
            for role, value in self.cpu_s.items()
        }
        return NodeWorkload(
            self.name,
            self.version,
            self.pool,
            self.slots,
            self.cores,
            used,
            self.memory_bytes,
            kept,
        )
