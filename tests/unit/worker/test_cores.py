"""How many cores there are, in machines and containers of all kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastworker.worker.cores import Cores, available_cores, cgroup_quota, choose_concurrency


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            1.5,
        ),
        ({"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3.0),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b/c\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "25000 100000\n",
                "sys/fs/cgroup/a/b/c/cpu.max": "150000 50000\n",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a/b\n",
                "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        # A file that nobody can make sense of is no limit, and hides none.
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/cpu.max": "100000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "what\n",
            },
            1.0,
        ),
        # Version 1 in a container without a namespace: the mount shows the container's cgroup, and the worker is in
        # one below that.
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x/sub\n",
                "proc/self/mountinfo": (
                    "30 24 0:26 /docker/x /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
                ),
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_period_us": "100000\n",
            },
            1.5,
        ),
        # Both versions at once, each in a place of its own, one with a blank in its name.
        (
            {
                "proc/self/cgroup": "2:memory:/m\n3:cpu:/c\n0::/u\n",
                "proc/self/mountinfo": (
                    "1 0 8:1 / / rw - ext4 /dev/root rw\n"
                    "30 24 0:26 / /cg\\040v1/cpu rw shared:9 - cgroup none rw,cpu\n"
                    "31 24 0:27 / /cg\\040v1/memory rw - cgroup none rw,memory\n"
                    "32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                ),
                "cg v1/cpu/c/cpu.cfs_quota_us": "350000\n",
                "cg v1/cpu/c/cpu.cfs_period_us": "100000\n",
                "cg v1/memory/m/cpu.cfs_quota_us": "100000\n",
                "cg v1/memory/m/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/unified/u/cpu.max": "300000 100000\n",
            },
            3.0,
        ),
        # Seen from a private namespace that mounts what is above it.
        (
            {
                "proc/self/cgroup": "0::/../other\n",
                "proc/self/mountinfo": "32 24 0:28 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "sys/fs/cgroup/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
    ],
)
def test_the_quota_is_the_smallest_of_all_cgroups(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    assert cgroup_quota(write(tmp_path, files)) == quota


def with_cores(monkeypatch: pytest.MonkeyPatch, machine: int, allowed: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)))


def test_the_quota_wins_when_it_is_smallest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cores(monkeypatch, machine=64, allowed=32)
    root = write(tmp_path, {"sys/fs/cgroup/cpu.max": "200000 100000"})
    assert str(available_cores(root)) == "2 cores: cgroup quota"


def test_a_part_of_a_core_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, machine=4, allowed=4)
    root = write(tmp_path, {"sys/fs/cgroup/cpu.max": "150000 100000"})
    assert str(available_cores(root)) == "2 cores: cgroup quota of 1.5 cores"


def test_affinity_wins_over_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, machine=8, allowed=1)
    assert str(available_cores(tmp_path)) == "1 core: CPU affinity, of 8 in the machine"


def test_without_bounds_it_is_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cores(monkeypatch, machine=8, allowed=8)
    assert available_cores(tmp_path) == Cores(8, "all of the machine")


def test_the_option_wins_over_the_setting() -> None:
    assert choose_concurrency(3, 5) == Cores(3, "--concurrency")
    assert choose_concurrency(None, "5") == Cores(5, "setting worker_concurrency")


@pytest.mark.parametrize("setting", [None, "auto", " AUTO ", 0])
def test_auto_counts_cores(monkeypatch: pytest.MonkeyPatch, setting: str | int | None) -> None:
    with_cores(monkeypatch, machine=1, allowed=1)
    chosen = choose_concurrency(None, setting)
    assert chosen.count == 1
    assert "1 core" in chosen.reason
