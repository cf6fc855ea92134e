"""The figures of one repeat that are summarised over repeats, compared and asserted."""

from __future__ import annotations

from collections.abc import Mapping

from fastworker import _core
from fastworker.bench.phase import Phase

_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_SHARES_AT_CLIENT = {"p50": 0.5, "p99": 0.99}
_STAGES = ("wait", "service", "total", "queue", "fetch", "dispatch", "settle")
_US = 1e-6


def measures(phase: Phase) -> dict[str, float]:
    """Those that there are, by the name that they have in a file."""
    found = {"throughput": phase.throughput, "utilisation": phase.utilisation}
    if phase.bound is not None and phase.offered is not None:
        found["stable_rate"] = phase.offered
    for stage in _STAGES:
        found |= _of(stage, phase.recorded.stage(stage), _SHARES)
    at_client = {
        "publish": phase.confirmed,
        "result": phase.results,
        "schedule_error": phase.late,
    }
    for stage, times in at_client.items():
        found |= _of(stage, times, _SHARES_AT_CLIENT)
    if phase.completed:
        found["cpu_ms_per_task"] = sum(phase.cpu_s.values()) / phase.completed * 1000
    return found


def _of(stage: str, times: _core.Histogram | None, shares: Mapping[str, float]) -> dict[str, float]:
    if times is None or not times.count:
        return {}
    return {
        f"{stage}_mean_s": times.mean_us * _US,
        f"{stage}_max_s": times.max_us * _US,
        **{f"{stage}_{name}_s": times.quantile_us(share) * _US for name, share in shares.items()},
    }
