"""``inspect workload``: what came to this node, and how long it ran, since the node started.

It is always kept (``rust/worker/src/sketch``); ``fastworker plan --live`` puts the answers of a fleet together.
"""

from __future__ import annotations

import os
from typing import Any

from fastworker import _core
from fastworker.worker.cores import available_cores
from fastworker.worker.panel import State, inspect_command
from fastworker.worker.usage import cpu_by_role, descendants, memory_bytes

_US = 1e-6
_SHARES = (0.5, 0.95, 0.99)


@inspect_command()
def workload(state: State, **kwargs: Any) -> dict[str, Any]:
    """Arrivals, waits and run times of each task since the start.

    Returns:
        ``version``; ``pool``; ``slots``; ``cores`` that this process may use; ``cpu_s`` by role and ``memory_bytes``,
        as in ``bench_record``; and ``lanes``, at least one: ``began`` and ``now`` (Unix time) and ``tasks``, by name:
        ``arrivals``, ``seconds``, ``hours``, ``cpu_us``, ``cpu_run_us`` as in ``_core.Worker.sketch``, and ``wait_s``
        and ``run_s``: ``count``, ``mean``, ``p50``, ``p95``, ``p99`` and the ``histogram``.
    """
    node = state.node
    family = descendants(os.getpid())
    return {
        "version": _core.__version__,
        "pool": node.pool,
        "slots": node.concurrency,
        "cores": available_cores().count,
        "cpu_s": cpu_by_role(os.getpid(), family, node.core.snapshot()["pids"]),
        "memory_bytes": memory_bytes([os.getpid(), *family]),
        "lanes": [_readable(lane.core.sketch()) for lane in node.units(None)],
    }


def _readable(sketch: dict[str, Any]) -> dict[str, Any]:
    for task in sketch["tasks"].values():
        for name in ("wait", "run"):
            task[f"{name}_s"] = _times(task.pop(name))
    return sketch


def _times(encoded: str) -> dict[str, Any]:
    histogram = _core.Histogram.decode(encoded)
    quantiles = {f"p{share * 100:g}": histogram.quantile_us(share) * _US for share in _SHARES}
    return {
        "count": histogram.count,
        "mean": histogram.mean_us * _US,
        **quantiles,
        "histogram": encoded,
    }
