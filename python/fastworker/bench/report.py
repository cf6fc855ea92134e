"""From phases to the file of a bench; its format is ``docs/reference/bench-file.md``."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastworker import _core
from fastworker.bench.errors import BenchError
from fastworker.bench.phase import Phase
from fastworker.bench.records import STAGES, TaskTimes, distribution
from fastworker.bench.settings import BenchSettings
from fastworker.bench.statistics import LEVEL, estimate

FORMAT = "fastworker-bench/1"
#: Workers that need longer than this for what is left had a backlog.
_BEHIND_S = 1.0
_US = 1e-6
#: What is summarised of the repeats, by stage.
_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_SUMMED = ("wait", "service", "total", "queue", "fetch", "dispatch", "settle")


def document(
    settings: BenchSettings,
    phases: Sequence[Phase],
    facts: Mapping[str, Any],
    broker: Mapping[str, Any],
    nodes: int,
) -> dict[str, Any]:
    """The content of the file."""
    measured = [phase for phase in phases if phase.kind == "measure"]
    samples = [measures(phase) for phase in measured]
    slots = measured[-1].slots
    found = faults(settings, measured)
    return {
        "format": FORMAT,
        "fastworker": _core.__version__,
        "created": time.time(),
        "command": list(settings.command),
        "valid": not found,
        "faults": found,
        "notes": notes(settings, measured),
        "workload": {
            "name": settings.workload.name,
            "seed": settings.seed,
            "ends_per_call": settings.workload.ends,
            **settings.workload.parameters,
        },
        "arrivals": _arrivals(settings),
        "slots": slots,
        "workers": nodes,
        "concurrency": slots // nodes,
        "pool": settings.pool,
        "tasks": _tasks(measured),
        "overhead": _overhead(measured, slots),
        "machine": dict(facts),
        "broker": dict(broker),
        "phases": [_phase(phase) for phase in phases],
        "summary": {
            name: _summary([sample[name] for sample in samples if name in sample])
            for name in dict.fromkeys(name for sample in samples for name in sample)
        },
    }


def measures(phase: Phase) -> dict[str, float]:
    """The figures of one repeat that are summarised; those that there are."""
    found = {"throughput": phase.throughput, "utilisation": phase.utilisation}
    for stage in _SUMMED:
        times = phase.recorded.stage(stage)
        if times.count:
            found[f"{stage}_mean_s"] = times.mean_us * _US
            found[f"{stage}_max_s"] = times.max_us * _US
            for name, share in _SHARES.items():
                found[f"{stage}_{name}_s"] = times.quantile_us(share) * _US
    for name, histogram in (("publish", phase.confirmed), ("schedule_error", phase.late)):
        if histogram is not None and histogram.count:
            found[f"{name}_p99_s"] = histogram.quantile_us(0.99) * _US
    if phase.completed:
        found["cpu_ms_per_task"] = sum(phase.cpu_s.values()) / phase.completed * 1000
    return found


def faults(settings: BenchSettings, measured: Sequence[Phase]) -> list[str]:
    """Why the run must not be relied on."""
    found = []
    for phase in measured:
        where = f"repeat {(phase.repeat or 0) + 1}"
        if phase.lost:
            found.append(
                f"{where}: {phase.lost} of {phase.published} messages had not ended when the bench gave up"
            )
        if phase.recorded.duplicated:
            found.append(f"{where}: {phase.recorded.duplicated} messages ran more than once")
        if phase.recorded.early:
            found.append(
                f"{where}: {phase.recorded.early} tasks started before they were published: the clocks of worker and "
                f"generator disagree"
            )
        if phase.late is not None and phase.late.count:
            late_s = phase.late.quantile_us(0.99) * _US
            if late_s > settings.punctual_s:
                found.append(
                    f"{where}: the generator could not keep up: 1 of 100 messages was more than {late_s * 1000:.2f} ms "
                    f"late (bound {settings.punctual_s * 1000:g} ms); take a lower rate, more "
                    f"--connections, or a quieter machine"
                )
    return found


def notes(settings: BenchSettings, measured: Sequence[Phase]) -> list[str]:
    """What a reader should know beside the figures."""
    found = []
    delay_s = max(call.delay_s for call in settings.workload.calls)
    behind = [phase for phase in measured if _backlog_s(phase) - delay_s > _BEHIND_S]
    if behind:
        found.append(
            f"in {len(behind)} of {len(measured)} repeats the workers were more than "
            f"{_BEHIND_S:g} s behind at the end: such waits are those of a queue that grows, "
            f"and depend on how long one looks"
        )
    if len(measured) < 5:
        found.append(
            f"{len(measured)} repeats: the intervals are the range of the samples; 5 or more give {LEVEL:.0%} ones"
        )
    return found


def _backlog_s(phase: Phase) -> float:
    """From the last arrival of an open loop to the last end; 0 for others."""
    return phase.duration_s - phase.published / phase.offered if phase.offered else 0.0


def read(path: Path) -> dict[str, Any]:
    """A file.

    Raises:
        BenchError: It cannot be read, or is of another format.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise BenchError(
            f"{path}: {exc}; expected a file that `fastworker bench run --json` wrote"
        ) from exc
    said = content.get("format") if isinstance(content, dict) else None
    if said != FORMAT:
        raise BenchError(
            f"{path}: its format is {said!r}; expected {FORMAT!r}, of `fastworker bench run --json`"
        )
    return content  # type: ignore[no-any-return]


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the file.

    Raises:
        BenchError: It cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as exc:
        raise BenchError(f"{path}: {exc.strerror}") from exc


def _arrivals(settings: BenchSettings) -> dict[str, Any]:
    has_rate = settings.arrivals in ("constant", "poisson", "bursts")
    said: dict[str, Any] = {
        "kind": settings.arrivals,
        "rate": settings.rate if has_rate else None,
        "connections": settings.connections,
    }
    if settings.arrivals == "closed":
        said["in_flight"] = settings.in_flight
    if settings.arrivals == "drain":
        said["messages"] = settings.messages
    return said


def _tasks(measured: Sequence[Phase]) -> dict[str, Any]:
    whole: dict[str, TaskTimes] = {}
    for phase in measured:
        for name, times in phase.recorded.tasks.items():
            whole.setdefault(name, TaskTimes()).add(times.outcomes, times.stages)
    return {
        name: {
            "count": times.ends,
            "outcomes": dict(times.outcomes),
            **{
                f"{stage}_s": distribution(times.stages[stage], has_buckets=stage == "service")
                for stage in STAGES
            },
        }
        for name, times in sorted(whole.items())
    }


def _overhead(measured: Sequence[Phase], slots: int) -> dict[str, Any]:
    completed = sum(phase.completed for phase in measured) or 1
    roles: Counter[str] = Counter()
    commands = bytes_in = bytes_out = 0
    has_figures = all(phase.figures is not None for phase in measured)
    for phase in measured:
        roles.update(phase.cpu_s)
        if phase.figures is not None:
            before, after = phase.figures
            roles["broker"] += after.cpu_s - before.cpu_s  # type: ignore[assignment]
            commands += after.commands - before.commands
            bytes_in += after.bytes_in - before.bytes_in
            bytes_out += after.bytes_out - before.bytes_out
    memory = [phase.memory_bytes for phase in measured if phase.memory_bytes]
    return {
        "cpu_s_per_1000_tasks": {
            role: seconds / completed * 1000 for role, seconds in roles.items()
        }
        | ({} if has_figures else {"broker": None}),
        "task_cpu_s_per_1000_tasks": None,
        "broker_commands_per_task": commands / completed if has_figures else None,
        "broker_bytes_per_task": {"in": bytes_in / completed, "out": bytes_out / completed}
        if has_figures
        else None,
        "memory_per_slot_bytes": statistics.median(memory) / slots if memory else None,
        "throughput_per_s": statistics.median(phase.throughput for phase in measured),
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "kind": phase.kind,
        "repeat": phase.repeat,
        "began": phase.began_us * _US,
        "duration_s": phase.duration_s,
        "offered_per_s": phase.offered,
        "published": phase.published,
        "completed": phase.completed,
        "lost": phase.lost,
        "duplicated": phase.recorded.duplicated,
        "throughput_per_s": phase.throughput,
        "utilisation": phase.utilisation,
        "schedule_error_s": None if phase.late is None else distribution(phase.late),
        "publish_s": distribution(phase.confirmed),
        "depth": [list(point) for point in phase.depth],
        **measures(phase),
    }


def _summary(samples: Sequence[float]) -> dict[str, Any]:
    found = estimate(samples)
    return {
        "median": found.median,
        "low": found.low,
        "high": found.high,
        "level": LEVEL if len(samples) >= 5 else None,
        "samples": list(found.samples),
    }
