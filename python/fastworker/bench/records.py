"""What the workers have recorded, put together."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastworker import _core

#: Of a worker's stages; ``service`` first, which is what a planner needs.
STAGES = ("service", "wait", "queue", "fetch", "dispatch", "settle", "total", "cpu")
#: Ways to end that are followed by another try.
_GOES_ON = ("retry", "requeue")
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
_US = 1e-6


@dataclass
class TaskTimes:
    """One task name: how its calls ended, and how long each stage took."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stages: dict[str, _core.Histogram] = field(
        default_factory=lambda: {stage: _core.Histogram() for stage in STAGES}
    )

    def add(self, outcomes: Mapping[str, int], stages: Mapping[str, _core.Histogram]) -> None:
        """Count what another worker, or another phase, has recorded."""
        self.outcomes.update(outcomes)
        for stage, histogram in stages.items():
            self.stages[stage].add(histogram)

    @property
    def ends(self) -> int:
        """Calls that ended for good."""
        return sum(count for how, count in self.outcomes.items() if how not in _GOES_ON)

    @property
    def computed_s(self) -> float | None:
        """What all its runs have computed. Children measure each run, or one in 16 where runs are short; None: none was
        measured, because several shared a process.
        """
        runs, measured = self.stages["service"], self.stages["cpu"]
        if not runs.count:
            return 0.0
        return runs.count * measured.mean_us * _US if measured.count else None


@dataclass
class Recorded:
    """What a phase has recorded, over all workers.

    Attributes:
        tasks: By name.
        distinct: Numbered messages that ended.
        ended: Ends of numbered messages.
        early: Tasks that started before their intended moment.
        last_us: When the last one was settled; Unix time, microseconds; 0 for none.
    """

    tasks: dict[str, TaskTimes] = field(default_factory=dict)
    distinct: int = 0
    ended: int = 0
    early: int = 0
    last_us: int = 0

    @property
    def duplicated(self) -> int:
        """Messages that ended more than once."""
        return self.ended - self.distinct

    @property
    def ends(self) -> int:
        """Calls that ended for good, those made by tasks included."""
        return sum(times.ends for times in self.tasks.values())

    def stage(self, name: str) -> _core.Histogram:
        """A stage over all tasks."""
        whole = _core.Histogram()
        for times in self.tasks.values():
            whole.add(times.stages[name])
        return whole


def merged(answers: Iterable[Mapping[str, Any]]) -> Recorded:
    """The answers of all workers to ``read`` or ``stop``."""
    recorded = Recorded()
    numbers = 0
    for record in (record for answer in answers for record in answer["records"]):
        for name, task in record["tasks"].items():
            stages = {stage: _core.Histogram.decode(text) for stage, text in task["stages"].items()}
            recorded.tasks.setdefault(name, TaskTimes()).add(task["outcomes"], stages)
        recorded.ended += record["firsts"] + record["repeats"]
        recorded.early += record["early"]
        recorded.last_us = max(recorded.last_us, record["last_us"])
        numbers |= int.from_bytes(zlib.decompress(b64decode(record["numbers"])), "little")
    recorded.distinct = bin(numbers).count("1")
    return recorded


def since(after: Recorded, before: Recorded) -> Recorded:
    """What was recorded between two readings of one recording; which messages ended is that of the later one."""
    found = Recorded(
        distinct=after.distinct, ended=after.ended, early=after.early, last_us=after.last_us
    )
    for name, times in after.tasks.items():
        earlier = before.tasks.get(name, TaskTimes())
        outcomes = times.outcomes - earlier.outcomes
        stages = {
            stage: _minus(histogram, earlier.stages[stage])
            for stage, histogram in times.stages.items()
        }
        found.tasks[name] = TaskTimes(outcomes, stages)
    return found


def _minus(whole: _core.Histogram, part: _core.Histogram) -> _core.Histogram:
    """A histogram without the values of another one, to the precision of its buckets."""
    left = _core.Histogram()
    gone = dict(part.buckets())
    for value_us, count in whole.buckets():
        rest = count - gone.get(value_us, 0)
        if rest > 0:
            left.record(round(value_us), rest)
    return left


def ends_of(answers: Iterable[Mapping[str, Any]]) -> int:
    """How many ended, of the answers to ``count``."""
    return sum(
        count
        for answer in answers
        for record in answer["records"]
        for task in record["tasks"].values()
        for how, count in task["outcomes"].items()
        if how not in _GOES_ON
    )


def distribution(histogram: _core.Histogram, *, has_buckets: bool = False) -> dict[str, Any] | None:
    """As in the file of a bench; None without values."""
    if not histogram.count:
        return None
    mean_us = histogram.mean_us
    said: dict[str, Any] = {
        "count": histogram.count,
        "mean": mean_us * _US,
        "scv": (histogram.stdev_us / mean_us) ** 2 if mean_us else 0.0,
        "min": histogram.min_us * _US,
        "max": histogram.max_us * _US,
        "quantiles": {str(share): histogram.quantile_us(share) * _US for share in QUANTILES},
        "histogram": {"format": "hdr-v2-deflate", "unit_s": _US, "data": histogram.encode()},
    }
    if has_buckets:
        said["buckets"] = [[round(middle * _US, 9), count] for middle, count in histogram.buckets()]
    return said


def waited(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> dict[str, float] | None:
    """Seconds in which threads of each role had no core, between two answers of the same workers; None: not told. What
    ended meanwhile takes its own along.
    """
    roles: Counter[str] = Counter()
    for sign, answers in ((-1, before), (1, after)):
        for answer in answers:
            if answer["core_wait_s"] is None:
                return None
            for role, seconds in answer["core_wait_s"].items():
                roles[role] += sign * seconds
    return {role: max(0.0, seconds) for role, seconds in roles.items()}


def used(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """CPU seconds by role between two answers of the same workers. A child that was replaced meanwhile counts as
    long as its zygote has waited for it."""
    roles: Counter[str] = Counter()
    for sign, answers in ((-1, before), (1, after)):
        for answer in answers:
            for role, seconds in answer["cpu_s"].items():
                roles[role] += sign * seconds
    return {role: max(0.0, roles[role]) for role in ("supervisor", "zygote", "children")}
