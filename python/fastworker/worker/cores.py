"""How many processor cores this process may use, and who says so.

A container's quota is not in ``os.cpu_count()``: a worker that starts 64 children on a quota of two
cores thrashes. Three things bound us, the smallest wins: the machine, the affinity mask
(``taskset``, cpusets) and the CFS quota of the cgroup or any of its ancestors (v2 ``cpu.max``, v1
``cpu.cfs_quota_us``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_V2_FILE = "cpu.max"


@dataclass(frozen=True)
class Cores:
    """A number of cores, and what bounds it: ``cgroup quota``, ``affinity`` or ``machine``."""

    count: int
    reason: str

    def __str__(self) -> str:
        return f"{self.count} core{'' if self.count == 1 else 's'}: {self.reason}"


def available_cores(root: Path = Path("/")) -> Cores:
    """The cores that this process may use; at least one.

    Args:
        root: Where ``/proc`` and ``/sys`` are; tests give another.
    """
    machine = os.cpu_count() or 1
    allowed = _affinity() or machine
    quota = cgroup_quota(root)
    # A fractional quota is rounded up, so that all of it is used.
    if quota is not None and math.ceil(quota) < allowed:
        exact = "" if quota == int(quota) else f" of {quota:g} cores"
        return Cores(max(1, math.ceil(quota)), f"cgroup quota{exact}")
    if allowed < machine:
        return Cores(allowed, f"CPU affinity, of {machine} in the machine")
    return Cores(machine, "all of the machine")


def _affinity() -> int | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    return len(os.sched_getaffinity(0))


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """The CPU quota in cores, None when there is none."""
    quotas = [quota for directory, read in _cgroups(root) for quota in _read_all(directory, read)]
    return min(quotas, default=None)


_Reader = Callable[[Path], "tuple[str, str]"]


def _cgroups(root: Path) -> Iterator[tuple[tuple[Path, PurePosixPath], _Reader]]:
    """``(mount, our path below it)`` of each hierarchy that can limit CPU, and how to read its
    quota.
    """
    mounts = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/", "1:cpu:/"]
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield (mounts, PurePosixPath(path)), _read_v2
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu")):
                yield (mounts / mount, PurePosixPath(path)), _read_v1


def _read_all(place: tuple[Path, PurePosixPath], read: _Reader) -> Iterator[float]:
    """Quotas of a cgroup and of every ancestor that the mount shows."""
    mount, path = place
    # A path that leaves a private cgroup namespace ("/../..") says nothing about the mount; its
    # root is ours then.
    relative = PurePosixPath("." if ".." in path.parts else str(path).lstrip("/"))
    for directory in (relative, *relative.parents):
        try:
            quota, period = read(mount / directory)
        except (OSError, ValueError):
            continue
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            yield int(quota) / int(period)


def _read_v2(directory: Path) -> tuple[str, str]:
    quota, period = (directory / _V2_FILE).read_text().split()
    return quota, period  # "max" when there is no limit


def _read_v1(directory: Path) -> tuple[str, str]:
    quota = (directory / "cpu.cfs_quota_us").read_text().strip()  # "-1" when there is no limit
    return quota, (directory / "cpu.cfs_period_us").read_text().strip()


def choose_concurrency(option: int | None, setting: int | str | None) -> Cores:
    """How many children to run, and who said so.

    Args:
        option: ``--concurrency``; None: not given.
        setting: ``worker_concurrency``: a number, a number as text, ``auto`` or None, validated.
    """
    if option:
        return Cores(option, "--concurrency")
    if setting is None or str(setting).strip().lower() in ("auto", "0"):
        cores = available_cores()
        return Cores(cores.count, str(cores))
    return Cores(int(setting), "setting worker_concurrency")
