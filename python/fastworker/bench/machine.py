"""What a figure depends on besides the code. Never a host name or a path: files of benches are handed around."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def fingerprint() -> dict[str, Any]:
    """Processor, limits and software of this machine; keys as in ``docs/reference/bench-file.md``."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "quota_cores": quota_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "load_average": os.getloadavg()[0],
    }


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None
    )


def quota_cores(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPU time a second that the control group may use; None: no limit, or the kernel does not tell."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = _v1(root)
    return None if quota in ("max", "-1") else int(quota) / int(period)


def _v1(root: Path) -> tuple[str, str]:
    try:
        quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
        return quota, (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return "max", "1"
