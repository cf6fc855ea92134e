"""The control command of a bench: what this node has recorded, and what it has used. Not shown among the commands of
``inspect``: its arguments are ``fastworker bench``'s own.
"""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any

from fastworker.worker.panel import State, inspect_command
from fastworker.worker.usage import core_wait, cpu_by_role, descendants, memory_bytes


@inspect_command(visible=False)
def bench_record(state: State, order: str, **kwargs: Any) -> dict[str, Any]:
    """Begin, read or end recording; see ``_core.Worker.record`` and ``docs/reference/bench-file.md``.

    Returns:
        ``records`` (one a lane, none after ``start``), and unless only counts were asked for ``cpu_s`` and
        ``core_wait_s`` (what was ready to compute and had no core; None where the kernel does not tell) by role,
        ``memory_bytes`` (proportional set size of all processes; None where the kernel does not tell), ``slots``,
        ``children`` (processes beside the worker's own that run tasks) and ``pool``.
    """
    node = state.node
    answers = (lane.core.record(order) for lane in node.units(None))
    records = [answer for answer in answers if answer is not None]
    for record in records:
        record["numbers"] = b64encode(record["numbers"]).decode()
    if order == "count":
        return {"records": records}
    children = set(node.core.snapshot()["pids"])
    family = descendants(os.getpid())
    return {
        "records": records,
        "cpu_s": cpu_by_role(os.getpid(), family, children),
        "core_wait_s": core_wait(os.getpid(), children),
        "memory_bytes": memory_bytes([os.getpid(), *family]),
        "slots": node.concurrency,
        "children": len(children - {os.getpid()}),
        "pool": node.pool,
    }
