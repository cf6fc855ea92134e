"""``fastworker bench``, with workers that it starts itself and with one that runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastworker import _core
from tests.support.bench_command import SHORT, bench, read
from tests.support.workers import WorkerProcess, command

APP = """
import time

from fastworker import FastWorker

app = FastWorker("mine")


@app.task(name="mine.wait")
def wait(seconds, fails=False):
    time.sleep(seconds)
    if fails:
        raise ValueError("as it was told")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a user's module."""
    (tmp_path / "mine.py").write_text(APP)
    return tmp_path


def test_a_task_of_ones_own_is_measured(project: Path, broker_url: str) -> None:
    lines = ["[0.005]", '{"args": [0.015]}', '{"args": [0.01], "kwargs": {"fails": true}}']
    (project / "calls.jsonl").write_text("\n".join(lines))
    run = ("-A", "mine", "bench", "run", "--task", "mine.wait", "--args-file", "calls.jsonl")
    bench(project, *run, *SHORT, "--rate", "60", "-c", "2", "--json", "b.json", broker=broker_url)
    content = read(project / "b.json")
    task = content["tasks"]["mine.wait"]
    measured = [phase for phase in content["phases"] if phase["kind"] == "measure"]
    published = sum(phase["published"] for phase in measured)
    assert len(measured) == 2
    assert published > 150
    assert task["count"] == published == sum(task["outcomes"].values())
    assert task["outcomes"].keys() == {"success", "failure"}
    for phase in measured:
        assert (phase["lost"], phase["duplicated"]) == (0, 0)
    # A sleep is never shorter than it was told.
    service = task["service_s"]
    assert service["min"] >= 0.0049
    assert 0.0099 <= service["mean"] < 0.05
    assert sum(count for _, count in service["buckets"]) == published
    for stage in ("queue", "fetch", "dispatch", "settle", "wait", "total"):
        assert task[f"{stage}_s"]["count"] == published, stage
    assert task["total_s"]["mean"] >= task["wait_s"]["mean"] + service["mean"]
    parts = sum(task[f"{stage}_s"]["mean"] for stage in ("queue", "fetch", "dispatch"))
    assert task["wait_s"]["mean"] == pytest.approx(parts, rel=0.01, abs=1e-5)
    cost = content["overhead"]
    children_s = cost["cpu_s_per_1000_tasks"]["children"]
    assert 0 < cost["task_cpu_s_per_1000_tasks"] < children_s
    assert cost["memory_per_slot_bytes"] > 1 << 20
    assert (project / "bench.html").read_text().startswith("<!doctype html>")


def test_a_full_queue_is_drained(project: Path, broker_url: str) -> None:
    bench(
        project,
        *("bench", "run", "--arrivals", "drain", "--messages", "2000", *SHORT, "--json", "b.json"),
        broker=broker_url,
    )
    content = read(project / "b.json")
    measured = [phase for phase in content["phases"] if phase["kind"] == "measure"]
    assert [phase["completed"] for phase in measured] == [2000, 2000]
    assert content["summary"]["throughput"]["median"] > 100
    assert content["valid"], content["faults"]


def test_a_closed_loop_leaves_nothing_behind(project: Path, redis_url: str) -> None:
    run = ("bench", "run", "--arrivals", "closed", "--in-flight", "200", *SHORT, "--json", "b.json")
    bench(project, *run, broker=redis_url)
    content = read(project / "b.json")
    for phase in content["phases"]:
        assert (phase["lost"], phase["duplicated"]) == (0, 0)
        assert phase["completed"] > 200
    assert content["overhead"]["broker_commands_per_task"] > 0


def test_a_chord_counts_all_of_its_members(project: Path, redis_url: str) -> None:
    run = ("bench", "run", "-w", "chord", "--members", "10", "--rate", "5", *SHORT)
    bench(project, *run, "--json", "b.json", broker=redis_url)
    content = read(project / "b.json")
    chords = content["tasks"]["bench.fan"]["count"]
    assert chords > 5
    assert content["tasks"]["bench.member"]["count"] == 10 * chords
    assert content["tasks"]["bench.collect"]["count"] == chords
    # They were not published by the bench.
    assert content["tasks"]["bench.member"]["wait_s"] is None


def test_waits_of_eta_calls_count_from_their_eta(project: Path) -> None:
    run = ("bench", "run", "-w", "eta", "--delay", "1s", "--rate", "50", *SHORT)
    bench(project, *run, "--json", "b.json")
    content = read(project / "b.json")
    assert not [fault for fault in content["faults"] if "keep up" not in fault]
    assert content["tasks"]["bench.noop"]["wait_s"]["quantiles"]["0.5"] < 0.5


def test_workers_that_run_are_measured_in_their_own_queue(project: Path, sqlite_url: str) -> None:
    environment = {"FASTWORKER_BROKER_URL": sqlite_url}
    arguments = (
        command("fastworker"),
        "-A",
        "mine",
        "worker",
        "-c",
        "2",
        "-n",
        "one@here",
        "-l",
        "INFO",
    )
    with WorkerProcess(arguments, environment, cwd=project) as worker:
        worker.wait_ready()
        (project / "calls.jsonl").write_text("[0.001]")
        run = ("-A", "mine", "bench", "run", "--attach", "--task", "mine.wait")
        options = ("--args-file", "calls.jsonl", "--rate", "50", "--json", "b.json")
        bench(project, *run, *options, *SHORT, broker=sqlite_url)
        content = read(project / "b.json")
        assert (content["slots"], content["workers"]) == (2, 1)
        assert content["tasks"]["mine.wait"]["count"] > 100
        # It still runs, and records no longer.
        refused = ("-A", "mine", "bench", "run", "--attach", "--task", "mine.wait")
        done = bench(project, *refused, "--arrivals", "drain", broker=sqlite_url, status=2)
        assert "not the bench's own" in done.stderr


def test_a_condition_that_does_not_hold_fails_a_build(project: Path) -> None:
    run = ("bench", "run", *SHORT, "--rate", "20", "--assert", "p50_total<1us", "--json", "b.json")
    done = bench(project, *run, status=1)
    assert "assertion failed: p50_total<1us: measured " in done.stderr
    shown = bench(project, "bench", "compare", "b.json", "b.json")
    assert "no difference shown" in shown.stdout


def test_a_generator_that_cannot_keep_up_says_so(project: Path) -> None:
    # Ten million a second is beyond anybody.
    run = (
        "bench",
        "run",
        "--rate",
        "1e7",
        "--duration",
        "20ms",
        "--warm-up",
        "0",
        "--repeats",
        "1",
    )
    done = bench(project, *run, "--json", "b.json", status=1)
    assert "the generator could not keep up" in done.stdout.replace("\n", " ")
    assert not read(project / "b.json")["valid"]


def test_a_worker_that_cannot_start_is_explained(project: Path) -> None:
    options = ("--worker-options", "--no-such-option")
    done = bench(project, "bench", "run", *SHORT, *options, status=1)
    assert "No such option" in done.stderr or "no such option" in done.stderr.lower()


def test_an_unknown_task_is_named_with_the_nearest(project: Path) -> None:
    done = bench(project, "-A", "mine", "bench", "run", "--task", "mine.wiat", status=2)
    assert "did you mean 'mine.wait'" in done.stderr


def test_the_histogram_of_a_file_can_beread(project: Path) -> None:
    bench(project, "bench", "run", *SHORT, "--rate", "50", "--json", "b.json")
    times = read(project / "b.json")["tasks"]["bench.noop"]["wait_s"]
    histogram = _core.Histogram.decode(times["histogram"]["data"])
    assert histogram.count == times["count"]
    assert histogram.mean_us * 1e-6 == pytest.approx(times["mean"])
