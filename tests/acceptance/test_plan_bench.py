"""``fastworker plan`` from files that ``fastworker bench run`` has written just now."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import PRODUCT
from tests.support.workers import ROOT, command

pytestmark = pytest.mark.skipif(PRODUCT != "fastworker", reason="fastworker's own command")

APP = """
import time

from fastworker import FastWorker

app = FastWorker("mine")


@app.task(name="mine.wait")
def wait(seconds):
    time.sleep(seconds)


@app.task(name="mine.spin")
def spin(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a user's module."""
    (tmp_path / "mine.py").write_text(APP)
    return tmp_path


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command("fastworker"), *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": f"{cwd}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def bench(project: Path, broker_url: str, task: str, *options: str) -> dict[str, Any]:
    """A short bench; its file may call itself not valid where this machine is busy."""
    (project / "calls.jsonl").write_text("[0.005]\n[0.015]\n")
    done = run(
        project,
        *(
            "-b",
            broker_url,
            "-A",
            "mine",
            "bench",
            "run",
            "--task",
            task,
            "--args-file",
            "calls.jsonl",
        ),
        *(
            "-c",
            "2",
            "--duration",
            "4s",
            "--warm-up",
            "500ms",
            "--repeats",
            "1",
            "--json",
            "b.json",
        ),
        *options,
    )
    assert (project / "b.json").exists(), done.stdout + done.stderr
    content: dict[str, Any] = json.loads((project / "b.json").read_text())
    return content


def figures_of(project: Path, *options: str) -> dict[str, dict[str, Any]]:
    done = run(
        project,
        *("plan", "--rate", "1", "--service", "b.json", "--json", "--despite-faults", *options),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {figure["name"]: figure for figure in json.loads(done.stdout)["figures"]}


def test_what_a_bench_measured_is_planned_with(project: Path, broker_url: str) -> None:
    content = bench(project, broker_url, "mine.wait", "--rate", "60")
    figures = figures_of(project, "--task", "mine.wait")
    service = content["tasks"]["mine.wait"]["service_s"]
    mean = figures["class mine.wait.service.mean"]
    assert mean["value"] == pytest.approx(service["mean"], rel=0.01)
    assert (mean["origin"], 0.0099 < mean["value"] < 0.05) == ("measured", True)
    # It sleeps.
    assert figures["class mine.wait.cpu_share"]["value"] < 0.3
    measured = ("overhead.start", "overhead.slot", "overhead.cpu", "node.slot_memory")
    for name in measured:
        assert figures[name]["origin"] == "measured", name
        assert figures[name]["value"] > 0, name
    assert figures["overhead.start"]["value"] < content["summary"]["wait_p99_s"]["median"]
    roles = content["overhead"]["cpu_s_per_1000_tasks"]
    assert figures["overhead.cpu"]["value"] >= roles["supervisor"] / 1000
    if broker_url.startswith("redis"):
        assert figures["broker.commands"]["value"] > 0


def test_a_task_that_computes_is_limited_by_cores(project: Path, sqlite_url: str) -> None:
    bench(project, sqlite_url, "mine.spin", "--rate", "20")
    figures = figures_of(project, "--task", "mine.spin", "--slots", "16", "--cores", "2")
    assert figures["class mine.spin.cpu_share"]["origin"] == "measured"
    # Not all of its time, where others took the processor away.
    mean_s = figures["class mine.spin.service.mean"]["value"]
    computed_s = figures["class mine.spin.cpu_share"]["value"] * mean_s
    assert computed_s == pytest.approx(0.01, rel=0.3)


def test_a_file_that_calls_itself_not_valid_is_refused(project: Path, sqlite_url: str) -> None:
    content = bench(project, sqlite_url, "mine.wait", "--rate", "60")
    fault = "repeat 1: 3 messages ran more than once"
    (project / "b.json").write_text(json.dumps({**content, "valid": False, "faults": [fault]}))
    arguments = ("plan", "--rate", "1", "--service", "b.json", "--task", "mine.wait")
    done = run(project, *arguments)
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert f"says that it is not valid: {fault}" in said
    assert "--despite-faults" in said
    assert "Traceback" not in said
    done = run(project, *arguments, "--despite-faults")
    assert done.returncode == 0
    assert f"b.json says that it is not valid: {fault}" in " ".join(done.stdout.split())
