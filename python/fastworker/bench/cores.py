"""How busy this machine's cores are, whoever keeps them so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fastworker.bench.machine import quota_cores

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
#: Columns of /proc/stat that are not work: idle, and idle while something is read or written.
_IDLE = (3, 4)
#: user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
_COLUMNS = 8


@dataclass(frozen=True)
class CoreTime:
    """CPU seconds since the machine, or the control group, began.

    Attributes:
        busy_s: Of the cores that this process may use, by anybody; time that the hypervisor took included.
        group_s: Of this control group, if its time is limited; else None.
    """

    busy_s: float
    group_s: float | None


def core_time(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> CoreTime | None:
    """The counters now; None where the kernel does not tell."""
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return None
    names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for fields in (line.split() for line in lines):
        if fields and fields[0] in names:
            columns = [int(field) for field in fields[1 : 1 + _COLUMNS]]
            ticks += sum(value for place, value in enumerate(columns) if place not in _IDLE)
    return CoreTime(ticks * _TICKS_S, None if quota_cores(cgroup) is None else _group_s(cgroup))


def busy_share(before: CoreTime | None, after: CoreTime | None, seconds: float) -> float | None:
    """Which share of what there was has been used between two readings, from 0 to 1; None: the kernel does not tell."""
    if before is None or after is None or seconds <= 0:
        return None
    shares = [(after.busy_s - before.busy_s) / (seconds * len(os.sched_getaffinity(0)))]
    quota = quota_cores()
    if quota and before.group_s is not None and after.group_s is not None:
        shares.append((after.group_s - before.group_s) / (seconds * quota))
    return min(1.0, max(0.0, *shares))


def _group_s(cgroup: Path) -> float | None:
    """CPU seconds of the control group, in either version's file."""
    try:
        for line in (cgroup / "cpu.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                return int(value) / 1e6
    except OSError:
        pass  # the first version has another file
    try:
        return int((cgroup / "cpuacct" / "cpuacct.usage").read_text()) / 1e9
    except OSError:
        return None
