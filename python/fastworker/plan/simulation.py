"""The simulation of a fleet, event by event: who fetches, who waits, who shares a core.

What it plays, and takes for granted:

- A task first computes, in one piece, then waits for something (a service, a disk); it keeps its slot for both.
- Tasks that compute on one node share its cores evenly; with no more of them than cores each has one.
- A message is for any node that has an idle slot; each of them gets it as often. While none has, it stays at the
  broker, oldest first.

Not played: priorities, fairness between queues, and what a worker fetches ahead of need: while no queue was empty for a
while, a tenth of that time's worth of work at most.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fastworker.plan.layout import Layout


@dataclass(frozen=True)
class Jobs:
    """Tasks in the order in which they may start.

    Attributes:
        ready_s: When each may start: its arrival, or when its permit is there.
        wait_s: How long each has waited by then, for its permit.
        cpu_s: What each computes.
        idle_s: What else it keeps a slot for.
    """

    ready_s: Sequence[float]
    wait_s: Sequence[float]
    cpu_s: Sequence[float]
    idle_s: Sequence[float]


@dataclass(frozen=True)
class Played:
    """What became of them.

    Attributes:
        waits_s: Of each task, from its arrival to its start.
        ends_s: When each ended.
        busy_slots_s: Time that slots were taken, added up, from ``since_s`` to the last arrival.
        busy_cores_s: Likewise of cores.
        span_s: From ``since_s`` to the last arrival.
    """

    waits_s: list[float]
    ends_s: list[float]
    busy_slots_s: float
    busy_cores_s: float
    span_s: float


def play(jobs: Jobs, layout: Layout, rng: random.Random, since_s: float = 0.0) -> Played:
    """Run all tasks, from an empty fleet on.

    Args:
        jobs: The tasks.
        layout: The fleet.
        rng: Which of several idle nodes gets a message.
        since_s: From when on busy time is counted; what comes before is warming up.
    """
    if layout.slots <= layout.cores or not any(jobs.cpu_s):
        return _one_queue(jobs, layout.nodes * layout.slots, since_s)
    return _Fleet(jobs, layout, rng, since_s).run()


def _one_queue(jobs: Jobs, servers: int, since_s: float) -> Played:
    """First come, first served, each server with a core of its own: no events are needed, only who is free first."""
    free = [0.0] * servers
    replace_first = heapq.heapreplace
    waits: list[float] = []
    ends: list[float] = []
    until_s = jobs.ready_s[-1] if jobs.ready_s else 0.0
    slots_s = cores_s = 0.0
    for ready, waited, cpu, idle in zip(
        jobs.ready_s, jobs.wait_s, jobs.cpu_s, jobs.idle_s, strict=True
    ):
        start = free[0] if free[0] > ready else ready
        end = start + cpu + idle
        replace_first(free, end)
        waits.append(waited + start - ready)
        ends.append(end)
        slots_s += max(0.0, min(end, until_s) - max(start, since_s))
        cores_s += max(0.0, min(start + cpu, until_s) - max(start, since_s))
    return Played(waits, ends, slots_s, cores_s, until_s - since_s)


class _Node:
    """One node: its slots, and what it runs."""

    __slots__ = (
        "computing",
        "free",
        "others",
        "updated_at",
        "version",
        "work",
    )

    def __init__(self, slots: int) -> None:
        self.free = slots
        #: How much each task that computes has got since the beginning of time: ends are compared with it.
        self.work = 0.0
        self.computing: list[tuple[float, int]] = []
        self.others: list[tuple[float, int]] = []
        self.updated_at = 0.0
        self.version = 0


class _Fleet:
    """The general case, event by event."""

    def __init__(self, jobs: Jobs, layout: Layout, rng: random.Random, since_s: float) -> None:
        self._jobs = jobs
        self._layout = layout
        self._rng = rng
        self._since_s = since_s
        self._nodes = [_Node(layout.slots) for _ in range(layout.nodes)]
        self._broker: deque[int] = deque()
        self._events: list[tuple[float, int, int]] = []
        count = len(jobs.ready_s)
        self._waits = [0.0] * count
        self._ends = [0.0] * count
        self._until_s = jobs.ready_s[-1] if count else 0.0
        self._slots_s = self._cores_s = 0.0

    def run(self) -> Played:
        """Play until the last task has ended."""
        ready, events = self._jobs.ready_s, self._events
        number, count = 0, len(ready)
        while number < count or events:
            if events and (number >= count or events[0][0] <= ready[number]):
                now, version, place = heapq.heappop(events)
                node = self._nodes[place]
                if version == node.version:
                    self._pass_time(node, now)
                    self._end_what_ended(node, now)
                    self._expect(node, place)
            else:
                self._arrive(number, ready[number])
                number += 1
        return Played(
            self._waits, self._ends, self._slots_s, self._cores_s, self._until_s - self._since_s
        )

    def _arrive(self, job: int, now: float) -> None:
        takers = [place for place, node in enumerate(self._nodes) if node.free > 0]
        if not takers:
            self._broker.append(job)
            return
        place = takers[int(self._rng.random() * len(takers))]
        self._start(self._nodes[place], job, now)
        self._expect(self._nodes[place], place)

    def _start(self, node: _Node, job: int, now: float) -> None:
        self._pass_time(node, now)
        node.free -= 1
        self._waits[job] = self._jobs.wait_s[job] + now - self._jobs.ready_s[job]
        cpu_s = self._jobs.cpu_s[job]
        if cpu_s > 0:
            heapq.heappush(node.computing, (node.work + cpu_s, job))
        else:
            heapq.heappush(node.others, (now + self._jobs.idle_s[job], job))

    def _pass_time(self, node: _Node, now: float) -> None:
        """Everything that computes on the node gets its share of the time since the last event."""
        computing = len(node.computing)
        passed = now - node.updated_at
        if passed <= 0:
            return
        cores = self._layout.cores
        node.work += passed * (min(1.0, cores / computing) if computing else 1.0)
        counted = min(now, self._until_s) - max(node.updated_at, self._since_s)
        if counted > 0:
            self._slots_s += counted * (self._layout.slots - node.free)
            self._cores_s += counted * min(cores, computing)
        node.updated_at = now

    def _end_what_ended(self, node: _Node, now: float) -> None:
        while node.computing and node.computing[0][0] <= node.work + 1e-12:
            _, job = heapq.heappop(node.computing)
            idle_s = self._jobs.idle_s[job]
            if idle_s > 0:
                heapq.heappush(node.others, (now + idle_s, job))
            else:
                self._end(node, job, now)
        while node.others and node.others[0][0] <= now + 1e-12:
            _, job = heapq.heappop(node.others)
            self._end(node, job, now)

    def _end(self, node: _Node, job: int, now: float) -> None:
        self._ends[job] = now
        node.free += 1
        if self._broker:
            self._start(node, self._broker.popleft(), now)

    def _expect(self, node: _Node, place: int) -> None:
        """Say when the node's next task ends, as things stand."""
        node.version += 1
        next_at = node.others[0][0] if node.others else None
        if node.computing:
            left = max(0.0, node.computing[0][0] - node.work)
            rate = min(1.0, self._layout.cores / len(node.computing))
            at = node.updated_at + left / rate
            next_at = at if next_at is None else min(at, next_at)
        if next_at is not None:
            heapq.heappush(self._events, (next_at, node.version, place))
