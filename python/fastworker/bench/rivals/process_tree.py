"""Processes as Linux counts them: processor time and memory of a whole tree, from ``/proc``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """``root`` and all its living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, fields in _all_stats():
        children[int(fields[1])].append(pid)
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def tree_cpu_s(root: int) -> float:
    """User and system time of the tree in seconds, with that of its members who have exited.

    The kernel adds a dead child's time to the parent that waited for it, so own time plus
    waited-for time of everybody alive counts each process once.
    """
    return sum(cpu_s(pid) for pid in tree(root))


def cpu_s(pid: int) -> float:
    """User and system time of one process and of the children that it has waited for; 0 when it is
    gone.

    Of its living threads to the nanosecond, of those that ended and of children in clock ticks (10 ms).
    """
    fields = _stat(pid)
    if not fields:
        return 0.0
    own, waited = (
        sum(int(ticks) for ticks in part) / TICKS_PER_S for part in (fields[11:13], fields[13:15])
    )
    return max(own, _threads_cpu_s(pid)) + waited


def thread_cpu_s(root: int) -> float:
    """Processor time of the tree's living threads, to the nanosecond; for idle trees, where no
    thread comes or goes.
    """
    return sum(_threads_cpu_s(pid) for pid in tree(root))


def _threads_cpu_s(pid: int) -> float:
    total_ns = 0
    for schedstat in PROC.glob(f"{pid}/task/*/schedstat"):
        try:
            total_ns += int(schedstat.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return total_ns / 1e9


def tree_pss_bytes(root: int) -> int:
    """Memory of the tree where a page that n processes share counts one n-th for each (proportional
    set size).
    """
    return sum(pss_bytes(pid) for pid in tree(root))


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process; 0 when it is gone."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0  # a zombie has no memory


def session(leader: int) -> list[int]:
    """Living members of the session that ``leader`` started, who may have lost their parent."""
    return [pid for pid, fields in _all_stats() if int(fields[3]) == leader and fields[0] != "Z"]


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), fields


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` from the third (state) on; empty when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()
