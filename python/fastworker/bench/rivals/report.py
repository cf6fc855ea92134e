"""The file of a comparison."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastworker.bench.errors import BenchError
from fastworker.bench.statistics import Estimate, estimate

FORMAT = "fastworker-rivals/1"


@dataclass
class System:
    """A system that was measured.

    Attributes:
        project: Its own name.
        version: Of it.
        python: That it ran on.
        broker: Name and version of the server.
        guarantee: ``at least once`` or ``at most once``.
        commands: Command lines of its worker, and the workloads that each was for.
    """

    project: str
    version: str
    python: str
    broker: str
    guarantee: str
    commands: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Sample:
    """One system, one workload, one round. ``at`` is Unix time; names of metrics carry their unit."""

    at: float
    round: int
    system: str
    workload: str
    metrics: dict[str, float]


@dataclass
class Failure:
    """What did not work, and the round in which it showed."""

    round: int
    system: str
    workload: str
    reason: str


@dataclass
class Report:
    """What is collected.

    Attributes:
        fastworker: Version.
        command: The command line.
        machine: As ``fastworker.bench.machine`` says it; ``load_average`` is that before the first measurement.
        conditions: What was the same for all, in words.
        workloads: What each is.
        systems: Those that were measured.
        left_out: Those that could not be, with the reason.
        failures: What did not work.
        samples: In the order they were taken.
        notes: What a reader should know besides.
    """

    fastworker: str
    command: list[str]
    conditions: dict[str, str]
    workloads: dict[str, str]
    machine: dict[str, Any] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    created: float = field(default_factory=time.time)

    def add(self, number: int, system: str, workload: str, metrics: dict[str, float]) -> None:
        """Keep one sample."""
        self.samples.append(Sample(time.time(), number, system, workload, metrics))
        if metrics["extra_runs"]:
            self.note(
                f"{system}: {metrics['extra_runs']:,.0f} of {metrics['tasks']:,.0f} {workload} tasks ran more than once"
            )

    def fail(self, system: str, workload: str, number: int, reason: str) -> None:
        """Keep a failure; it is not tried again. Of the reason the first line: what follows are logs, with paths."""
        first = reason.splitlines()[0].rstrip(":")
        self.failures.append(Failure(number, system, workload, first))

    def has_failed(self, system: str, workload: str) -> bool:
        """Whether it has, in an earlier round."""
        return any((one.system, one.workload) == (system, workload) for one in self.failures)

    def note(self, text: str) -> None:
        """Keep it, once."""
        if text not in self.notes:
            self.notes.append(text)

    def content(self) -> dict[str, Any]:
        """Of the file."""
        now = {"load_average_at_end": os.getloadavg()[0], "ended": time.time()}
        found = asdict(self)
        return {"format": FORMAT, **found, "machine": {**self.machine, **now}}


def read(path: Path) -> dict[str, Any]:
    """A file.

    Raises:
        BenchError: It cannot be read, or is of another format.
    """
    expected = f"expected {FORMAT!r}, of `fastworker bench rivals --json`"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise BenchError(f"{path}: {exc}; {expected}") from exc
    said = content.get("format") if isinstance(content, dict) else None
    if said != FORMAT:
        raise BenchError(f"{path}: its format is {said!r}; {expected}")
    return content  # type: ignore[no-any-return]


def values(
    content: Mapping[str, Any], system: str, workload: str, metric: str
) -> Sequence[tuple[float, float]]:
    """One metric of one system, with the moment of each sample; empty: it was not measured."""
    return [
        (sample["at"], sample["metrics"][metric])
        for sample in content["samples"]
        if (sample["system"], sample["workload"]) == (system, workload)
        and metric in sample["metrics"]
    ]


def summary(content: Mapping[str, Any], system: str, workload: str, metric: str) -> Estimate | None:
    """Its median over the rounds; None: it was not measured."""
    found = [value for _, value in values(content, system, workload, metric)]
    return estimate(found) if found else None


def ratio(content: Mapping[str, Any], system: str, workload: str, metric: str) -> Estimate | None:
    """fastworker's value over the system's: each of its samples with the one of fastworker that was taken nearest to
    it, since the speed of a machine drifts. None without both.
    """
    ours = values(content, "fastworker", workload, metric)
    theirs = values(content, system, workload, metric)
    if not ours:
        return None
    found = [
        min(ours, key=lambda sample: abs(sample[0] - at))[1] / value
        for at, value in theirs
        if value > 0
    ]
    return estimate(found) if found else None


def systems(content: Mapping[str, Any]) -> Sequence[str]:
    """Names in the order of a table: fastworker, then the others by their rate in the first workload that they ran."""
    workloads = list(content["workloads"])

    def place(name: str) -> tuple[bool, int, float]:
        for number, workload in enumerate(workloads):
            found = summary(content, name, workload, "tasks_per_s")
            if found is not None:
                return name != "fastworker", number, -found.median
        return True, len(workloads), 0.0

    return sorted(content["systems"], key=place)
