"""Phases of a bench as they might have been measured, for what is made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from fastworker import _core
from fastworker.bench.phase import Phase
from fastworker.bench.probe import Figures
from fastworker.bench.records import Recorded, TaskTimes


def made(
    *,
    throughput: float = 100.0,
    duration_s: float = 2.0,
    slots: int = 2,
    service_s: float = 0.01,
    cpu_s: dict[str, float] | None = None,
    **fields: Any,
) -> Phase:
    """A closed loop in which nothing is full, but for what is given.

    Args:
        throughput: Ends a second.
        duration_s: Of the phase.
        slots: Of all workers.
        service_s: Of each task.
        cpu_s: By role.
        fields: Of ``Phase``.
    """
    ends = round(throughput * duration_s)
    times = TaskTimes(Counter(success=ends))
    times.stages["service"].record(round(service_s * 1e6), ends)
    times.stages["wait"].record(1000, ends)
    phase = Phase(
        kind="measure",
        repeat=0,
        began_us=0,
        duration_s=duration_s,
        rate=None,
        offered=None,
        published=ends,
        completed=ends,
        lost=0,
        duplicated=0,
        recorded=Recorded({"bench.noop": times}, ends, ends),
        late=None,
        confirmed=_core.Histogram(),
        results=_core.Histogram(),
        depth=[(0.0, 100), (1.0, 100)],
        cpu_s={
            "supervisor": 0.1,
            "zygote": 0.0,
            "children": 0.1,
            "client": 0.1,
            **(cpu_s or {}),
        },
        core_wait_s={"supervisor": 0.0, "children": 0.0},
        broker=Figures(0.2, 0.1, 500, 1000, 2000),
        memory_bytes=64 << 20,
        nodes=1,
        slots=slots,
        children=slots,
        cores=4,
        cores_busy=0.2,
        held=0,
        left=100,
        dry=0.0,
    )
    return replace(phase, **fields)
