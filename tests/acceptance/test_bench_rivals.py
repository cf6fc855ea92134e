"""``fastworker bench rivals`` with real systems and a small load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.workers import ROOT, command

SMALL = ("--tasks", "300", "--drain", "1s", "--rounds", "1", "--rate", "50", "--pace", "1s")
#: The environments of an earlier run are used again.
CACHE = ROOT / "target" / "rivals"
FIGURES = (
    "tasks_per_s", "worker_cpu_us", "broker_cpu_us", "memory_mb", "publish_per_s", "wait_p50_ms", "wait_p99_ms",
)  # fmt: skip


@pytest.fixture(autouse=True)
def redis_program() -> None:
    """Each system gets a Redis of its own."""
    if shutil.which("redis-server") is None:
        if servers.is_ci():
            pytest.fail("no redis-server program; install redis-server")
        pytest.skip("no redis-server program; install redis-server")


def compared(folder: Path, *arguments: str) -> tuple[dict[str, Any], str, str]:
    """The file, what was printed, and what was told meanwhile."""
    files = ("--json", "r.json", "--plot", "r.svg", "--markdown", "r.md")
    done = subprocess.run(
        [command("fastworker"), "bench", "rivals", *SMALL, *files, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return content, done.stdout, done.stderr


def assert_measured(content: dict[str, Any], *systems: str) -> None:
    """These ran all their tasks, each once, and have all figures."""
    assert content["failures"] == []
    assert [one["system"] for one in content["samples"]] == list(systems)
    for sample in content["samples"]:
        metrics = sample["metrics"]
        assert all(metrics[name] > 0 for name in FIGURES), sample
        assert metrics["extra_runs"] == 0
        assert 1 <= metrics["tasks"] <= 300


def test_what_is_in_a_given_environment_is_measured_and_the_rest_is_told(tmp_path: Path) -> None:
    given = ("--environment", sys.prefix, "--only", "celery,dramatiq")
    content, said, told = compared(tmp_path, *given)
    assert_measured(content, "celery", "fastworker")
    reason = "dramatiq is not installed in the environment that was given"
    assert content["left_out"] == {"dramatiq": reason}
    assert f"left out: dramatiq: {reason}" in told
    assert f"dramatiq was left out: {reason}" in " ".join(said.split())
    assert content["systems"]["celery"]["guarantee"] == "at most once"
    assert str(tmp_path) not in (tmp_path / "r.json").read_text()
    xml.etree.ElementTree.parse(tmp_path / "r.svg")
    lines = (tmp_path / "r.md").read_text().splitlines()
    assert any(line.startswith("| celery | 5.7") for line in lines)
    rates = {one["system"]: one["metrics"]["tasks_per_s"] for one in content["samples"]}
    assert rates["fastworker"] > rates["celery"]


@pytest.mark.timeout(300)
def test_rivals_are_installed_from_their_locks_and_measured(tmp_path: Path) -> None:
    content, _, told = compared(tmp_path, "--only", "potatoq,arq", "--cache", str(CACHE))
    if content["left_out"] and not servers.is_ci():
        pytest.skip(f"the environments cannot be made here: {content['left_out']}")
    assert content["left_out"] == {}, told
    assert_measured(content, "arq", "potatoq", "fastworker")
    again, _, told = compared(tmp_path, "--only", "potatoq", "--cache", str(CACHE), "-w", "spin")
    assert "installing" not in told
    assert_measured(again, "potatoq", "fastworker")
    assert again["workloads"].keys() == {"spin"}


def test_an_unknown_system_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [command("fastworker"), "bench", "rivals", "--only", "celeri"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "did you mean 'celery'?" in done.stderr
