"""Files of benches, made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastworker import _core


def distribution(*values_ms: float, times: int = 1) -> dict[str, Any]:
    """As ``bench run`` writes it."""
    histogram = _core.Histogram()
    for value in values_ms:
        histogram.record(int(value * 1000), times)
    mean_s = histogram.mean_us * 1e-6
    return {
        "count": histogram.count,
        "mean": mean_s,
        "scv": (histogram.stdev_us / histogram.mean_us) ** 2 if mean_s else 0.0,
        "histogram": {"format": "hdr-v2-deflate", "unit_s": 1e-6, "data": histogram.encode()},
        "buckets": [[middle * 1e-6, count] for middle, count in histogram.buckets()],
    }


def content(**changes: Any) -> dict[str, Any]:
    """2,000 tasks of 20 ms at 100/s on four slots of one worker, which keeps them half busy."""
    made: dict[str, Any] = {
        "format": "fastworker-bench/1",
        "fastworker": _core.__version__,
        "valid": True,
        "faults": [],
        "arrivals": {"kind": "poisson", "rate": 100},
        "slots": 4,
        "workers": 1,
        "pool": "prefork",
        "tasks": {
            "proj.page": {
                "count": 2000,
                "service_s": distribution(20, times=2000),
                "wait_s": distribution(*[2] * 9, 30, times=200),
                "dispatch_s": distribution(0.2, times=2000),
            }
        },
        "overhead": {
            "cpu_s_per_1000_tasks": {
                "supervisor": 0.2,
                "zygote": 0.0,
                "children": 5.0,
                "client": 0.1,
                "broker": 0.05,
            },
            "broker_commands_per_task": 3.5,
            "broker_bytes_per_task": {"in": 900, "out": 1100},
            "memory_per_slot_bytes": 50e6,
        },
        "machine": {"cores": 2, "quota_cores": None},
        "broker": {"transport": "redis"},
        "phases": [],
        "summary": {"utilisation": {"median": 0.5}, "throughput": {"median": 100.0}},
    }
    for name, value in changes.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) else value
    return made


def write(folder: Path, name: str = "bench.json", **changes: Any) -> Path:
    """A file with that content."""
    path = folder / name
    path.write_text(json.dumps(content(**changes)))
    return path
