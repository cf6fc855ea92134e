"""How many processor cores this process may use, and who says so.

A container's quota is not in ``os.cpu_count()``: a worker that starts 64 children on a quota of two
cores thrashes. Three things bound us, the smallest wins: the machine, the affinity mask
(``taskset``, cpusets) and the CFS quota of the cgroup or any of its ancestors (v2 ``cpu.max``, v1
``cpu.cfs_quota_us``). Where cgroups are mounted, and which of them is seen there, the kernel says in
``/proc/self/mountinfo``. Source: cgroups(7), proc(5).
"""

from __future__ import annotations

import math
import os
import re
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


@dataclass(frozen=True)
class _Mount:
    """A place where a hierarchy of cgroups is seen.

    Attributes:
        directory: Where.
        top: The cgroup that is seen there: not the first one in a container without a namespace of its own.
        controllers: Of version 1; None for version 2.
    """

    directory: Path
    top: PurePosixPath
    controllers: frozenset[str] | None


def _cgroups(root: Path) -> Iterator[tuple[tuple[Path, PurePosixPath], _Reader]]:
    """``(mount, our path below it)`` of each hierarchy that can limit CPU, and how to read its
    quota.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/", "1:cpu:/"]
    mounts = list(_mounts(root))
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        controllers = frozenset(names.split(",")) if names else None
        for mount in mounts:
            if controllers is None and mount.controllers is None:
                yield (mount.directory, _below(mount.top, path)), _read_v2
            elif controllers and mount.controllers and "cpu" in controllers & mount.controllers:
                yield (mount.directory, _below(mount.top, path)), _read_v1


def _mounts(root: Path) -> Iterator[_Mount]:
    """Those that the kernel names; without its word, the usual places."""
    try:
        lines = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        usual, cpu = root / "sys/fs/cgroup", frozenset({"cpu"})
        yield _Mount(usual, PurePosixPath("/"), None)
        for name in ("cpu,cpuacct", "cpuacct,cpu", "cpu"):
            yield _Mount(usual / name, PurePosixPath("/"), cpu)
        return
    for line in lines:
        place, _, kind = line.partition(" - ")
        fields, kinds = place.split(" "), kind.split(" ")
        if len(fields) < 5 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        is_v2 = kinds[0] == "cgroup2"
        yield _Mount(
            root / _unescaped(fields[4]).lstrip("/"),
            PurePosixPath(_unescaped(fields[3])),
            None if is_v2 else frozenset(kinds[2].split(",")),
        )


def _unescaped(path: str) -> str:
    """As the kernel writes blanks, tabs, line ends and backslashes: in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _below(top: PurePosixPath, path: str) -> PurePosixPath:
    """Our cgroup as seen from the mount. One that is not below what is mounted there ("/../.." from a
    private namespace) says nothing about it: then the mount's top is ours.
    """
    ours = PurePosixPath(path)
    if ".." in ours.parts or not ours.is_relative_to(top):
        return PurePosixPath(".")
    return ours.relative_to(top)


def _read_all(place: tuple[Path, PurePosixPath], read: _Reader) -> Iterator[float]:
    """Quotas of a cgroup and of every ancestor that the mount shows."""
    mount, relative = place
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
