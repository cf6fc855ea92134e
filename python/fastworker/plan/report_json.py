"""A plan as JSON: ``fastworker-plan/1``. Infinite waits are null."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from fastworker.plan.planner import Plan, Waits
from fastworker.plan.replicas import Spread

FORMAT = "fastworker-plan/1"


def document(plan: Plan) -> dict[str, Any]:
    """All of it."""
    node = plan.inputs.node
    return {
        "format": FORMAT,
        "targets": [str(target) for target in plan.inputs.targets],
        "peak_hour": plan.peak_hour,
        "arrivals_per_s": plan.workload.rate,
        "nodes": plan.nodes,
        "nodes_without_headroom": plan.needed,
        "processes": plan.nodes * node.slots,
        "slots": plan.nodes * node.slots,
        "slots_busy": plan.slots_busy,
        "cores_busy": plan.cores_busy,
        "price_per_month": plan.price_per_month,
        "sizes": [{**asdict(size), "nodes": size.nodes} for size in plan.sizes],
        "limits": [
            {"name": limit.name, "factor": _finite(limit.factor), "note": limit.note}
            for limit in plan.limits
        ],
        "situations": [_situation(each) for each in plan.situations],
        "broker": {**asdict(plan.broker), "bytes": plan.broker.bytes},
        "autoscale": asdict(plan.scale),
        "alerts": [asdict(alert) for alert in plan.alerts],
        "keda": plan.keda,
        "figures": [figure.as_json() for figure in plan.inputs.figures],
        "warnings": list(plan.warnings),
    }


def _situation(waits: Waits) -> dict[str, Any]:
    simulated = waits.simulated
    return {
        "name": waits.name,
        "nodes": waits.nodes,
        "nodes_needed": waits.needed,
        "formula": {
            "p50_s": _finite(waits.p50_s),
            "p95_s": _finite(waits.p95_s),
            "p99_s": _finite(waits.p99_s),
        },
        "simulation": None
        if simulated is None
        else {
            "p50_s": _spread(simulated.p50_s),
            "p95_s": _spread(simulated.p95_s),
            "p99_s": _spread(simulated.p99_s),
            "slots_busy": _spread(simulated.slots),
            "cores_busy": _spread(simulated.cores),
            "span_s": simulated.span_s,
            "runs": simulated.replicas,
        },
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "low": spread.low, "high": spread.high}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
