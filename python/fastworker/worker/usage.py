"""What the processes of a node use: processor time by role, and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_by_role(own: int, family: Iterable[int], children: Iterable[int]) -> dict[str, float]:
    """CPU seconds of ``supervisor``, ``zygote`` and ``children`` since each began.

    Args:
        own: The supervisor.
        family: All its descendants.
        children: Those that run tasks. Their own children, and what the zygote has waited for, count as theirs.
    """
    used = {"supervisor": 0.0, "zygote": 0.0, "children": 0.0}
    known = set(children)
    for pid in [own, *family]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        itself, reaped = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        role = "supervisor" if pid == own else "children" if pid in known else "zygote"
        # The first counts threads that have ended, too, in hundredths of a second; the other is exact.
        used[role] += max(itself * _TICKS_S, sum(_threads_s(pid, 0)))
        if role != "supervisor":
            used["children"] += reaped * _TICKS_S
    return used


def core_wait(own: int, children: Iterable[int]) -> dict[str, float] | None:
    """Seconds in which threads that live were ready to compute and had no core, of the supervisor and of the
    children. None where the kernel does not tell.
    """
    if not Path(f"/proc/{own}/schedstat").exists():
        return None
    waited = {"supervisor": 0.0, "children": 0.0}
    for pid in {own, *children}:
        waited["supervisor" if pid == own else "children"] += sum(_threads_s(pid, 1))
    return waited


def _threads_s(pid: int, column: int) -> Iterator[float]:
    """Seconds of each thread that lives: 0 on a core, 1 ready and without one. None of a kernel without them."""
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            fields = thread.read_text().split()
        except OSError:  # it has ended
            continue
        yield int(fields[column]) / 1e9


def descendants(own: int) -> list[int]:
    """All processes below one."""
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


def memory_bytes(pids: Iterable[int]) -> int | None:
    """Proportional set size: what is shared counts once, in parts. None where the kernel does not tell."""
    total_kib = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended, or the kernel does not tell
            continue
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib * 1024 or None
