"""One unit of the validation: a workload on a worker with so many slots.

Calibration and what is compared with it take turns, since the speed of a machine drifts: for each load first a
calibration (the start on an idle worker; a drain with two slots), then the run; and one at the end. All calibrations
of a unit predict all of its runs.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benches.harness import machine
from benches.validate.rig import Ran, Rig, drawn, running
from benches.validate.workloads import CALIBRATED_SLOTS, LOADS, Case
from fastworker.plan.replicas import quantile

WARM_UP_S = 3.0
SPAN_S = 20.0
DRAIN_S = 3.0
PINGS = 50


def unit(
    case: Case, slots: int, seed: int, scale: float = 1.0, span_s: float = SPAN_S
) -> dict[str, Any]:
    """Measure; what comes back is all that a prediction and a comparison need.

    Args:
        case: The workload.
        slots: Of the worker that is predicted.
        seed: Of arrivals and times.
        scale: Shortens calibrations and warm-up, for the short form.
        span_s: Length of a run, warm-up excluded.
    """
    rng = random.Random(seed)
    calibrations: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    began_load = machine.load()
    with running(CALIBRATED_SLOTS) as two, running(slots, case.nodes) as rig:
        calibrate(two, case, rng, scale)  # the first one warms up
        for load in LOADS:
            calibrations.append(calibrate(two, case, rng, scale))
            capacity = statistics.fmean(each["per_s"] for each in calibrations)
            if not case.computes:
                capacity *= slots * case.nodes / CALIBRATED_SLOTS
            if case.cpu_share:
                capacity = min(capacity, cores() / (case.times.mean_s * case.cpu_share))
            runs.append(run(rig, case, slots, load, capacity * load, rng, scale, span_s))
        calibrations.append(calibrate(two, case, rng, scale))
        capacity_per_s = drain(rig, case, capacity, rng, scale)["per_s"]
    return {
        "case": case.name,
        "slots": slots,
        "nodes": case.nodes,
        "seed": seed,
        "load_average": began_load,
        "calibrations": calibrations,
        "runs": runs,
        "capacity_per_s": capacity_per_s,
    }


def calibrate(rig: Rig, case: Case, rng: random.Random, scale: float) -> dict[str, Any]:
    """How long a start on an idle worker takes, and how many tasks two slots run a second, with their times."""
    quick = Case("ping", "validate.sleep", case.times)
    rig.publish(quick, [(number * 0.02, 0.001, 0) for number in range(int(PINGS * scale) + 1)])
    starts = [each.started - each.intended for each in rig.await_ran(int(PINGS * scale) + 1)]
    most = CALIBRATED_SLOTS / case.times.mean_s
    return {"start_s": statistics.median(starts), **drain(rig, case, most, rng, scale)}


def drain(rig: Rig, case: Case, per_s: float, rng: random.Random, scale: float) -> dict[str, Any]:
    """Run tasks that are all there, as many as some seconds' work; the middle of it counts."""
    count = max(20, int(per_s * DRAIN_S * scale))
    before_s = rig.used_s()
    rig.publish_at_once(case, [case.times.sample(rng) for _ in range(count)])
    rows = sorted(rig.await_ran(count), key=lambda each: each.ended)
    used_s = rig.used_s() - before_s - sum(each.cpu_s for each in rows)
    first, last = rows[len(rows) // 10], rows[-len(rows) // 10]
    between = [each for each in rows if first.ended < each.ended <= last.ended]
    return {
        "per_s": len(between) / (last.ended - first.ended),
        "service_s": [round(each.ended - each.started, 6) for each in rows],
        "cpu_s": [round(each.cpu_s, 6) for each in rows],
        "more_cpu_s": max(0.0, used_s / count),
    }


def run(
    rig: Rig,
    case: Case,
    slots: int,
    load: float,
    rate: float,
    rng: random.Random,
    scale: float,
    span_s: float,
) -> dict[str, Any]:
    """Arrivals at a share of the capacity; waits count from the moment that was intended."""
    warm_up_s = WARM_UP_S * scale
    plan = drawn(case, slots, rate, warm_up_s + span_s, rng)
    machine_s = busy_cores_s() - own_s(rig)
    began, latest_s = rig.publish(case, plan)
    rows = rig.await_ran(len(plan))
    others = (busy_cores_s() - own_s(rig) - machine_s) / (time.time() - began)
    since, until = began + warm_up_s, began + warm_up_s + span_s
    counted = [each for each in rows if since <= each.intended < until]
    waits = sorted(each.started - each.intended for each in counted)
    slots_s = span_s * slots * case.nodes
    keys = {began + after_s: key for after_s, _, key in plan}
    return {
        "load": load,
        "rate": rate,
        "tasks": len(waits),
        "p50_s": quantile(waits, 0.5),
        "p95_s": quantile(waits, 0.95),
        "slots_busy": busy_s(rows, since, until) / slots_s,
        "warm_up_s": warm_up_s,
        "span_s": span_s,
        "publisher_late_s": latest_s,
        "others_cores": others,
        "trace": [
            [round(value, 6) for value in (each.intended - began, each.started - each.intended)]
            + [round(each.ended - each.started, 6), round(each.cpu_s, 6), keys[each.intended]]
            for each in sorted(rows, key=lambda each: each.intended)
        ],
    }


def busy_s(rows: list[Ran], since: float, until: float) -> float:
    """Time within a window that tasks kept slots, added up."""
    return sum(max(0.0, min(each.ended, until) - max(each.started, since)) for each in rows)


def busy_cores_s() -> float:
    """Processor time of all that this machine did, what the hypervisor gave to others included."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _io, irq, soft, stolen = map(int, first.split()[1:9])
    return (user + nice + system + irq + soft + stolen) / os.sysconf("SC_CLK_TCK")


def own_s(rig: Rig) -> float:
    """The part of it that workers, server and this process had."""
    return rig.used_s() + time.process_time()


def cores() -> float:
    """Those that this process, and so its workers, may use."""
    return float(len(os.sched_getaffinity(0)))
