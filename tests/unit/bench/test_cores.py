"""How busy the cores are, from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastworker.bench.cores import CoreTime, busy_share, core_time

_HZ = os.sysconf("SC_CLK_TCK")


def _machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_only_our_cores_count_and_waiting_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    stat = (
        "cpu  9999 0 0 9999 0 0 0 0 0 0\n"
        "cpu0 100 1 20 5000 700 3 4 5 60 0\n"  # user, nice, system, irq, softirq, steal: 133
        "cpu1 4000 0 0 0 0 0 0 0 0 0\n"
        "cpu2 10 0 0 5000 0 0 0 0 0 0\n"
        "intr 1 2 3\n"
    )
    found = core_time(_machine(tmp_path, stat=stat), tmp_path)
    assert found == CoreTime(143 / _HZ, None)


def test_a_limited_group_is_read_in_both_versions(tmp_path: Path) -> None:
    files = {"stat": "cpu0 1 0 0 0 0 0 0 0\n", "cpu__max": "150000 100000\n"}
    new = _machine(tmp_path / "2", **files, cpu__stat="usage_usec 2500000\nuser_usec 1\n")
    found = core_time(new, new)
    assert found is not None
    assert found.group_s == 2.5
    old = _machine(tmp_path / "1", stat=files["stat"])
    _machine(old / "cpu", cpu__cfs_quota_us="200000\n", cpu__cfs_period_us="100000\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("200000\n")
    (old / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (old / "cpuacct").mkdir()
    (old / "cpuacct" / "cpuacct.usage").write_text("1250000000\n")
    found = core_time(old, old)
    assert found is not None
    assert found.group_s == 1.25


def test_a_kernel_that_does_not_tell(tmp_path: Path) -> None:
    assert core_time(tmp_path, tmp_path) is None
    assert busy_share(None, CoreTime(1.0, None), 1.0) is None


def test_the_share_is_of_all_our_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    before = CoreTime(100.0, None)
    assert busy_share(before, CoreTime(104.0, None), 2.0) == pytest.approx(0.5)
    # Clocks of the two are not the same: never more than all.
    assert busy_share(before, CoreTime(120.0, None), 2.0) == 1.0


def test_this_machine_gets_busier() -> None:
    before = core_time()
    assert before is not None
    end = os.times().user + 0.2
    while os.times().user < end:
        pass
    after = core_time()
    assert after is not None
    assert after.busy_s - before.busy_s >= 0.1
