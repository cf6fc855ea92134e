"""From phases to the file of a bench; its format is ``docs/reference/bench-file.md``."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fastworker import _core
from fastworker.bench import bottleneck
from fastworker.bench.measures import measures
from fastworker.bench.phase import GENERATOR, Phase
from fastworker.bench.records import STAGES, TaskTimes, distribution
from fastworker.bench.settings import BenchSettings
from fastworker.bench.statistics import LEVEL, estimate

FORMAT = "fastworker-bench/1"
#: Workers that need longer than this for what is left had a backlog.
_BEHIND_S = 1.0
_US = 1e-6


def document(
    settings: BenchSettings,
    phases: Sequence[Phase],
    facts: Mapping[str, Any],
    broker: Mapping[str, Any],
    nodes: int,
) -> dict[str, Any]:
    """The content of the file."""
    measured = [phase for phase in phases if phase.kind == "measure"]
    slots = measured[-1].slots
    busiest = None if settings.is_open else measured
    if settings.search is not None:
        busiest = [phase for phase in phases if phase.kind == "saturate"] or measured
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
        "arrivals": _arrivals(settings, measured),
        "slots": slots,
        "workers": nodes,
        "concurrency": slots // nodes,
        "pool": settings.pool,
        "tasks": _tasks(measured),
        "publish_s": distribution(_merged(phase.confirmed for phase in measured)),
        "result_s": distribution(_merged(phase.results for phase in measured)),
        "overhead": overhead(measured, slots),
        "limits": None if busiest is None else limits(busiest, settings.pool),
        "machine": dict(facts),
        "broker": dict(broker),
        "phases": [_phase(phase) for phase in phases],
        "summary": summary(measured),
    }


def summary(measured: Sequence[Phase], names: Collection[str] | None = None) -> dict[str, Any]:
    """By measure: the median of the repeats, and its interval.

    Args:
        measured: The repeats.
        names: Which measures, of those that there are; None: all.
    """
    samples = [measures(phase) for phase in measured]
    there = dict.fromkeys(name for sample in samples for name in sample)
    found = {
        name: summarised([sample[name] for sample in samples if name in sample])
        for name in there
        if names is None or name in names
    }
    bounds = [phase.bound for phase in measured if phase.bound is not None]
    if bounds:
        # The rate itself lies between the last one that held and the first one that did not.
        found["stable_rate"]["high"] = max(found["stable_rate"]["high"], estimate(bounds).high)
    return found


def limits(measured: Sequence[Phase], pool: str) -> dict[str, Any]:
    """How much of each resource was in use while there was always something to do, and which one binds."""
    found = bottleneck.average(bottleneck.uses(phase, pool) for phase in measured)
    binds = bottleneck.binding(found)
    return {
        "binds": None if binds is None else binds.resource,
        "uses": [
            {"resource": use.resource, "share": use.share, "measured": use.measured}
            for use in found
        ],
    }


def faults(settings: BenchSettings, measured: Sequence[Phase]) -> list[str]:
    """Why the run must not be relied on."""
    found = []
    for phase in measured:
        where = f"repeat {(phase.repeat or 0) + 1}"
        if phase.lost:
            found.append(
                f"{where}: {phase.lost} of {phase.published} messages had not ended when the bench gave up"
            )
        if phase.duplicated:
            found.append(f"{where}: {phase.duplicated} messages ran more than once")
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
    by_generator = [phase for phase in measured if (phase.bounded_by or "").startswith(GENERATOR)]
    if by_generator:
        found.append(
            f"{len(by_generator)} of {len(measured)} searches ended because the generator was late: the workers hold "
            f"at least this rate; take more --connections, or a quieter machine"
        )
    if settings.search is not None:
        blur = max(1 / math.sqrt(phase.published) for phase in measured)
        if blur > settings.search.precision:
            found.append(
                f"trials of {min(phase.published for phase in measured):,} calls tell rates apart that differ by "
                f"{blur:.0%} or more: take a longer --duration for the precision of {settings.search.precision:.0%}"
            )
    if len(measured) < 5:
        found.append(
            f"{len(measured)} repeats: the intervals are the range of the samples; 5 or more give {LEVEL:.0%} ones"
        )
    return found


def _backlog_s(phase: Phase) -> float:
    """From the last arrival of an open loop to the last end; 0 for others."""
    return phase.duration_s - phase.published / phase.offered if phase.offered else 0.0


def _arrivals(settings: BenchSettings, measured: Sequence[Phase]) -> dict[str, Any]:
    rates = [phase.rate for phase in measured if phase.rate is not None]
    if settings.search is not None:
        rates = [phase.offered for phase in measured if phase.offered is not None]
    said: dict[str, Any] = {
        "kind": settings.arrivals,
        "rate": statistics.median(rates) if rates else None,
        "connections": settings.connections,
    }
    if settings.search is not None:
        search = settings.search
        said["search"] = {"target": search.target.text, "precision": search.precision}
    if settings.arrivals == "closed":
        said["in_flight"] = settings.in_flight
    if settings.arrivals == "drain":
        said["messages"] = settings.messages
    return said


def _whole(measured: Sequence[Phase]) -> dict[str, TaskTimes]:
    """Of all repeats, by task name."""
    whole: dict[str, TaskTimes] = {}
    for phase in measured:
        for name, times in phase.recorded.tasks.items():
            whole.setdefault(name, TaskTimes()).add(times.outcomes, times.stages)
    return whole


def _tasks(measured: Sequence[Phase]) -> dict[str, Any]:
    return {
        name: {
            "count": times.ends,
            "outcomes": dict(times.outcomes),
            **{
                f"{stage}_s": distribution(times.stages[stage], has_buckets=stage == "service")
                for stage in STAGES
            },
        }
        for name, times in sorted(_whole(measured).items())
    }


def _merged(histograms: Iterable[_core.Histogram]) -> _core.Histogram:
    whole = _core.Histogram()
    for histogram in histograms:
        whole.add(histogram)
    return whole


def overhead(measured: Sequence[Phase], slots: int) -> dict[str, Any]:
    """What a task costs, over all repeats."""
    completed = sum(phase.completed for phase in measured) or 1
    roles: Counter[str] = Counter()
    for phase in measured:
        roles.update(phase.cpu_s)
    used = [phase.broker for phase in measured]

    def a_task(name: str) -> float | None:
        values = [None if one is None else getattr(one, name) for one in used]
        there = [value for value in values if value is not None]
        return sum(there) / completed if len(there) == len(values) else None

    cpu_s, commands, bytes_in = a_task("cpu_s"), a_task("commands"), a_task("bytes_in")
    memory = [phase.memory_bytes for phase in measured if phase.memory_bytes]
    computed = [times.computed_s for times in _whole(measured).values()]
    known = [seconds for seconds in computed if seconds is not None]
    return {
        "cpu_s_per_1000_tasks": {
            **{role: seconds / completed * 1000 for role, seconds in roles.items()},
            "broker": None if cpu_s is None else cpu_s * 1000,
        },
        "task_cpu_s_per_1000_tasks": sum(known) / completed * 1000
        if len(known) == len(computed)
        else None,
        "broker_commands_per_task": commands,
        "broker_bytes_per_task": None
        if bytes_in is None
        else {"in": bytes_in, "out": a_task("bytes_out")},
        "memory_per_slot_bytes": statistics.median(memory) / slots if memory else None,
        "throughput_per_s": statistics.median(phase.throughput for phase in measured),
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "kind": phase.kind,
        "repeat": phase.repeat,
        "began": phase.began_us * _US,
        "duration_s": phase.duration_s,
        "rate": phase.rate,
        "offered_per_s": phase.offered,
        "published": phase.published,
        "completed": phase.completed,
        "lost": phase.lost,
        "duplicated": phase.duplicated,
        "throughput_per_s": phase.throughput,
        "utilisation": phase.utilisation,
        "schedule_error_s": None if phase.late is None else distribution(phase.late),
        "publish_s": distribution(phase.confirmed),
        "result_s": distribution(phase.results),
        "cpu_s": phase.cpu_s | {"broker": None if phase.broker is None else phase.broker.cpu_s},
        "core_wait_s": phase.core_wait_s,
        "cores_busy": phase.cores_busy,
        "memory_bytes": phase.memory_bytes,
        "backlog": phase.backlog,
        "unstable_because": phase.instability,
        "next_rate": phase.bound,
        "next_rate_unstable_because": phase.bounded_by,
        "depth": [list(point) for point in phase.depth],
        **measures(phase),
    }


def summarised(samples: Sequence[float]) -> dict[str, Any]:
    """A median with its interval, as in a file."""
    found = estimate(samples)
    return {
        "median": found.median,
        "low": found.low,
        "high": found.high,
        "level": LEVEL if len(samples) >= 5 else None,
        "samples": list(found.samples),
    }
