"""From the visits of a sweep to its file; the format is in ``docs/reference/bench-file.md``."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastworker import _core
from fastworker.bench import report, usl
from fastworker.bench.axes import Axis, Point, points
from fastworker.bench.phase import Phase
from fastworker.bench.settings import BenchSettings
from fastworker.bench.statistics import LEVEL

FORMAT = "fastworker-bench-sweep/1"
#: More than this share of the cores kept busy by others is worth a note.
_OTHERS = 0.15
#: Of each place. Waits of a closed loop tell how much is kept waiting, and nothing else.
_OF_A_PLACE = (
    "throughput", "utilisation", "cpu_ms_per_task", "service_mean_s", "dispatch_mean_s", "settle_mean_s",
)  # fmt: skip
#: Of these, for conditions and comparisons.
_OF_EACH = ("throughput", "cpu_ms_per_task", "utilisation")


def document(
    base: BenchSettings,
    axes: Sequence[Axis],
    visits: Mapping[Point, Sequence[Phase]],
    facts: Mapping[str, Any],
    broker: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of the file."""
    places = {point: _place(point, phases, base.pool) for point, phases in visits.items()}
    fits = _fits(axes, visits)
    faults = [
        f"{point}: {fault}"
        for point, phases in visits.items()
        for fault in report.faults(base, phases)
    ]
    return {
        "format": FORMAT,
        "fastworker": _core.__version__,
        "created": time.time(),
        "command": list(base.command),
        "valid": not faults,
        "faults": faults,
        "notes": _notes(visits, fits),
        "workload": {"name": base.workload.name, "seed": base.seed, **base.workload.parameters},
        "arrivals": {"kind": "closed", "rate": None, "in_flight": base.in_flight},
        "rounds": base.repeats,
        "duration_s": base.duration_s,
        "pool": base.pool,
        "axes": [
            {"name": axis.name, "what": axis.kind.what, "values": list(axis.values)}
            for axis in axes
        ],
        "points": list(places.values()),
        "best": _best(list(places.values())),
        "fits": fits,
        "machine": dict(facts),
        "broker": dict(broker),
        "summary": _summary(places, fits),
    }


def _place(point: Point, phases: Sequence[Phase], pool: str) -> dict[str, Any]:
    last = phases[-1]
    return {
        "at": dict(point.at),
        "name": str(point),
        "slots": last.slots,
        "workers": last.nodes,
        "processes": last.children,
        "summary": report.summary(phases, _OF_A_PLACE),
        "overhead": report.overhead(phases, last.slots),
        "limits": report.limits(phases, pool),
    }


def _best(places: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The place with the highest median, and those whose interval reaches into its own."""
    best = max(places, key=lambda place: place["summary"]["throughput"]["median"])
    low = best["summary"]["throughput"]["low"]
    as_good = [
        place["name"]
        for place in places
        if place is not best and place["summary"]["throughput"]["high"] >= low
    ]
    return {"name": best["name"], "at": best["at"], "as_good": as_good}


def _fits(axes: Sequence[Axis], visits: Mapping[Point, Sequence[Phase]]) -> list[dict[str, Any]]:
    """The law along the first axis that is one of scale, for each value of the other axis."""
    along = next((axis for axis in axes if axis.kind.is_scale), None)
    if along is None:
        return []
    found = []
    for rest in points([axis for axis in axes if axis is not along]):
        measured = {
            int(dict(point.at)[along.name]): [phase.throughput for phase in phases]
            for point, phases in visits.items()
            if set(rest.at) <= set(point.at)
        }
        said: dict[str, Any] = {"axis": along.name, "at": dict(rest.at), "name": str(rest)}
        try:
            said |= _fit(usl.fit(measured))
        except usl.NoFit as reason:
            said["refused"] = str(reason)
        found.append(said)
    return found


def _fit(fit: usl.Fit) -> dict[str, Any]:
    return {
        "refused": None,
        "law": "usl",
        "rate": _interval(fit.rate),
        "contention": _interval(fit.contention),
        "coherency": _interval(fit.coherency),
        "error": fit.error,
        "knee": {
            "at": _interval(fit.knee_at),
            "throughput": _interval(fit.knee),
            "is_reached": fit.is_knee_reached,
        },
        "peak": {
            "at": _interval(fit.peak_at),
            "throughput": _interval(fit.peak),
            "is_extrapolated": fit.is_extrapolated,
        },
        "curve": [list(point) for point in fit.curve],
    }


def _interval(interval: usl.Interval) -> dict[str, float | None]:
    """JSON has no infinity: None."""
    found = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _summary(
    places: Mapping[Point, Mapping[str, Any]], fits: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    best = max(
        (place["summary"]["throughput"] for place in places.values()), key=lambda row: row["median"]
    )
    found["throughput"] = best
    for point, place in places.items():
        for name in _OF_EACH:
            if name in place["summary"]:
                found[f"{name}[{point}]"] = place["summary"][name]
    for fit in fits:
        where = f"[{fit['name']}]" if fit["name"] else ""
        if fit["refused"] is not None:
            continue
        named = {
            "knee_at": fit["knee"]["at"],
            "knee_throughput": fit["knee"]["throughput"],
            "peak_at": fit["peak"]["at"],
            "peak_throughput": fit["peak"]["throughput"],
            "contention": fit["contention"],
            "coherency": fit["coherency"],
        }
        for name, row in named.items():
            if row["value"] is not None:
                found[f"{name}{where}"] = {
                    "median": row["value"], "low": row["low"], "high": row["high"], "level": LEVEL, "samples": [],
                }  # fmt: skip
    return found


def _notes(visits: Mapping[Point, Sequence[Phase]], fits: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    others = [
        phase.cores_busy - phase.cores_own
        for phases in visits.values()
        for phase in phases
        if phase.cores_busy is not None
    ]
    if max(others, default=0.0) > _OTHERS:
        found.append(
            f"other processes kept up to {max(others):.0%} of the cores busy meanwhile: take a quieter machine"
        )
    for fit in fits:
        of = f" of {fit['name']}" if fit["name"] else ""
        if fit["refused"] is not None:
            found.append(f"no law{of}: {fit['refused']}")
        elif fit["peak"]["is_extrapolated"]:
            found.append(
                f"the peak{of} lies beyond what was measured: it is the law's word, not a measurement"
            )
    rounds = len(next(iter(visits.values())))
    if rounds < 5:
        found.append(
            f"intervals of throughputs are the range of {rounds} samples; 5 rounds or more give {LEVEL:.0%} ones"
        )
    return found
