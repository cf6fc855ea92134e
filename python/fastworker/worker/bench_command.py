"""The control command of a bench: what this node has recorded, and what it has used. Not shown among the commands of
``inspect``: its arguments are ``fastworker bench``'s own.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastworker.worker.panel import State, inspect_command

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


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
    family = _family(os.getpid())
    return {
        "records": records,
        "cpu_s": _cpu(os.getpid(), family, children),
        "core_wait_s": _core_wait(os.getpid(), children),
        "memory_bytes": _memory([os.getpid(), *family]),
        "slots": node.concurrency,
        "children": len(children - {os.getpid()}),
        "pool": node.pool,
    }


def _cpu(own: int, family: Iterable[int], children: set[int]) -> dict[str, float]:
    """CPU seconds since each process began. What the zygote has waited for were children."""
    used = {"supervisor": 0.0, "zygote": 0.0, "children": 0.0}
    for pid in [own, *family]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        itself, reaped = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        role = "supervisor" if pid == own else "children" if pid in children else "zygote"
        used[role] += itself * _TICKS_S
        if role == "zygote":
            used["children"] += reaped * _TICKS_S
    return used


def _core_wait(own: int, children: set[int]) -> dict[str, float] | None:
    """Seconds in which threads that live were ready to compute and had no core, of the supervisor and of the
    children.
    """
    if not Path(f"/proc/{own}/schedstat").exists():
        return None
    waited = {"supervisor": 0.0, "children": 0.0}
    for pid in {own, *children}:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                waited_ns = int(thread.read_text().split()[1])
            except OSError:  # it has ended
                continue
            waited["supervisor" if pid == own else "children"] += waited_ns / 1e9
    return waited


def _family(own: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    left = [own]
    while left:
        offspring = parents.get(left.pop(), [])
        found.extend(offspring)
        left.extend(offspring)
    return found


def _memory(pids: Iterable[int]) -> int | None:
    """Proportional set size: what is shared counts once, in parts."""
    total_kib = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended, or the kernel does not tell
            continue
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib * 1024 or None
