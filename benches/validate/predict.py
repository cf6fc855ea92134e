"""What ``fastworker plan`` says of a unit, from its calibrations alone; and of the very tasks that came."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any

from benches.validate.measure import cores
from benches.validate.workloads import CALIBRATED_SLOTS, Case
from fastworker.plan.distributions import Empirical
from fastworker.plan.drift import drift_of
from fastworker.plan.fleet_wait import wait_in_all
from fastworker.plan.keyed import permits_of
from fastworker.plan.layout import Layout
from fastworker.plan.replicas import quantile, simulate
from fastworker.plan.simulation import Jobs, play
from fastworker.plan.utilisation import utilisation
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
    cpu_s, share = 0.0, 0.0
    if case.computes:
        # What the cores get through, the worker's own needs deducted.
        slot_s, of_tasks, share = 0.0, min(cores(), per_s * times.mean_s), 1.0
    else:
        slot_s, of_tasks = max(0.0, CALIBRATED_SLOTS / per_s - times.mean_s), cores()
    if 0 < case.cpu_share < 1:
        cpu_s = statistics.median(each["more_cpu_s"] for each in calibrations)
        share = statistics.fmean(v for each in calibrations for v in each["cpu_s"]) / times.mean_s
    overhead = Overhead(start_s, slot_s, cpu_s)
    taken_s = [CALIBRATED_SLOTS / each["per_s"] for each in calibrations]
    counts = [len(each["service_s"]) for each in calibrations]
    drift = drift_of(list(zip(taken_s, counts, strict=True)), times.scv) or 0.0
    layout = Layout(case.nodes, slots, of_tasks / case.nodes, drift=drift)
    capacity = case.nodes / utilisation(
        times.mean_s + slot_s, times.mean_s * share + cpu_s if share else 0.0, slots, layout.cores
    )
    runs = []
    for run in measured["runs"]:
        kind_of = Class(case.task, run["rate"], case.scv, times, share, case.limit(slots))
        workload = Workload((kind_of,), overhead)
        found = simulate(
            workload,
            layout,
            span_s=run["span_s"],
            warm_up_s=run["warm_up_s"],
            replicas=replicas,
            coverage=COVERAGE,
        )
        slots_s = slot_s * found.tasks / run["span_s"] / slots / case.nodes
        runs.append(
            {
                "load": run["load"],
                "p50_s": found.p50_s.median,
                "p95_s": found.p95_s.median,
                "p95_low_s": found.p95_s.low,
                "p95_high_s": found.p95_s.high,
                "formula_p95_s": wait_in_all(workload, layout).quantile(0.95),
                "replayed_p95_s": replay(run, workload, layout) if "trace" in run else None,
                "slots_busy": found.slots.median - slots_s,
            }
        )
    return {
        "capacity_per_s": capacity,
        "start_s": start_s,
        "slot_s": slot_s,
        "drift": drift,
        "runs": runs,
    }


def replay(run: dict[str, Any], workload: Workload, layout: Layout) -> float:
    """The p95 wait, had the simulated fleet got the tasks that really came, with the times that they really took.

    What is left of the difference is not chance: it is the model, the calibration or a disturbed machine.
    """
    (each,), overhead = workload.classes, workload.overhead
    arrived = [row[0] for row in run["trace"]]
    waits = [0.0] * len(arrived)
    order: Sequence[int] = range(len(arrived))
    if each.limit is not None:
        granted = permits_of(each.limit, arrived, [row[4] for row in run["trace"]])
        waits = [at - came for at, came in zip(granted, arrived, strict=True)]
        order = sorted(order, key=lambda place: granted[place])
    rows = [(place, run["trace"][place]) for place in order]
    computed = [row[3] if each.cpu_share > 0 else 0.0 for _, row in rows]
    longest = [row[3] / each.cpu_share if each.cpu_share > 0 else row[2] for _, row in rows]
    jobs = Jobs(
        [arrived[place] + waits[place] for place, _ in rows],
        [waits[place] for place, _ in rows],
        computed,
        [time_s - cpu_s + overhead.slot_s for time_s, cpu_s in zip(longest, computed, strict=True)],
    )
    since = run["warm_up_s"]
    played = play(jobs, workload.layout_for(layout), random.Random(1), since)
    found = sorted(
        wait + overhead.start_s
        for wait, (place, _) in zip(played.waits_s, rows, strict=True)
        if arrived[place] >= since
    )
    return quantile(found, 0.95)
