"""What ``fastworker plan`` says of a unit, from its calibrations alone."""

from __future__ import annotations

import os
import statistics
from typing import Any

from benches.validate.workloads import CALIBRATED_SLOTS, Case
from fastworker.plan.distributions import Empirical
from fastworker.plan.layout import Layout
from fastworker.plan.replicas import simulate
from fastworker.plan.wait_formula import wait
from fastworker.plan.workload import Class, Overhead, Workload

#: Of the interval that is printed: so many of a hundred runs of that length lie in it.
COVERAGE = 0.95
REPLICAS = 80


def predict(case: Case, measured: dict[str, Any], replicas: int = REPLICAS) -> dict[str, Any]:
    """Capacity, and for each run waits and utilisation."""
    calibrations = measured["calibrations"]
    kind = "cpu_s" if case.computes else "service_s"
    times = Empirical([(value, 1.0) for each in calibrations for value in each[kind]])
    per_s = statistics.median(each["per_s"] for each in calibrations)
    start_s = statistics.median(each["start_s"] for each in calibrations)
    slots = int(measured["slots"])
    if case.computes:
        # What the cores get through, the worker's own needs deducted.
        slot_s, cores = 0.0, min(float(len(os.sched_getaffinity(0))), per_s * times.mean_s)
        capacity = min(slots, cores) / times.mean_s
    else:
        slot_s, cores = max(0.0, CALIBRATED_SLOTS / per_s - times.mean_s), float(slots)
        capacity = slots / (times.mean_s + slot_s)
    layout = Layout(1, slots, cores)
    runs = []
    for run in measured["runs"]:
        kind_of = Class(
            case.task, run["rate"], 1.0, times, 1.0 if case.computes else 0.0, case.limit(slots)
        )
        workload = Workload((kind_of,), Overhead(start_s, slot_s))
        found = simulate(
            workload,
            layout,
            span_s=run["span_s"],
            warm_up_s=run["warm_up_s"],
            replicas=replicas,
            coverage=COVERAGE,
        )
        slots_s = slot_s * found.tasks / run["span_s"] / slots
        runs.append(
            {
                "load": run["load"],
                "p50_s": found.p50_s.median,
                "p95_s": found.p95_s.median,
                "p95_low_s": found.p95_s.low,
                "p95_high_s": found.p95_s.high,
                "formula_p95_s": wait(workload.stream(), layout).quantile(0.95) + start_s,
                "slots_busy": found.slots.median - slots_s,
            }
        )
    return {"capacity_per_s": capacity, "start_s": start_s, "slot_s": slot_s, "runs": runs}
