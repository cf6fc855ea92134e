"""``fastworker bench sweep`` with real workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.bench_command import bench, read

BRIEF = ("--duration", "1s", "--warm-up", "300ms", "--repeats", "2")


def _binds(place: dict[str, Any], resource: str) -> bool:
    """It is named, unless this machine is busy with something else."""
    used = {use["resource"]: use["share"] for use in place["limits"]["uses"]}
    is_busy = max(used.get("cores", 0.0), used.get("other processes", 0.0)) > 0.7
    return is_busy or bool(place["limits"]["binds"] == resource)


def test_more_slots_do_more_of_what_waits(tmp_path: Path, broker_url: str) -> None:
    sweep = ("bench", "sweep", "-w", "sleep", "--mean", "20ms", "--over", "concurrency=1,2,3,4")
    files = ("--json", "s.json", "--html", "s.html", "--assert", "throughput[concurrency=1]<=60/s")
    done = bench(tmp_path, *sweep, *BRIEF, *files, broker=broker_url)
    content = read(tmp_path / "s.json")
    assert content["format"] == "fastworker-bench-sweep/1"
    assert content["valid"], content["faults"]
    assert content["axes"] == [
        {"name": "concurrency", "what": "slots of a worker", "values": [1, 2, 3, 4]}
    ]
    places = content["points"]
    assert [place["slots"] for place in places] == [1, 2, 3, 4]
    rates = [place["summary"]["throughput"]["median"] for place in places]
    # A slot cannot end more than 50 a second; one that ends when the measuring begins may count.
    for slots, rate in enumerate(rates, 1):
        assert rate <= 55 * slots
    assert rates[3] > 2 * rates[0]
    for place in places:
        assert len(place["summary"]["throughput"]["samples"]) == 2
        assert place["summary"]["service_mean_s"]["median"] >= 0.0199
        assert place["overhead"]["cpu_s_per_1000_tasks"]["children"] > 0
        assert place["overhead"]["memory_per_slot_bytes"] > 1 << 20
        used = {use["resource"]: use["share"] for use in place["limits"]["uses"]}
        assert used["slots"] > 0.5
        assert used["child CPU"] < 0.5
        assert _binds(place, "slots")
    (fit,) = content["fits"]
    said = " ".join(done.stdout.split())
    # A machine that is busy with something else may disturb it beyond all laws.
    if fit["refused"] is None:
        assert fit["rate"]["value"] == pytest.approx(rates[0], rel=0.3)
        assert "Universal Scalability Law" in said
    else:
        assert "the law misses what was measured by" in said
    assert content["best"]["at"]["concurrency"] in (3, 4)
    assert content["broker"]["transport"] in broker_url
    if broker_url.startswith("redis"):
        assert all(place["overhead"]["broker_commands_per_task"] > 0 for place in places)
        assert all(place["overhead"]["cpu_s_per_1000_tasks"]["broker"] > 0 for place in places)
    assert (tmp_path / "s.html").read_text().count("<circle") == 4


def test_a_grid_of_two(tmp_path: Path) -> None:
    sweep = ("bench", "sweep", "--over", "payload=1,50", "--over", "workers=1,2", "-c", "1")
    brief = ("--duration", "500ms", "--warm-up", "200ms", "--repeats", "1", "--in-flight", "200")
    done = bench(tmp_path, *sweep, *brief, "--json", "s.json")
    content = read(tmp_path / "s.json")
    assert content["workload"]["name"] == "echo"
    assert [place["name"] for place in content["points"]] == [
        "payload=1,workers=1", "payload=1,workers=2", "payload=50,workers=1", "payload=50,workers=2",
    ]  # fmt: skip
    assert [place["workers"] for place in content["points"]] == [1, 2, 1, 2]
    assert [fit["name"] for fit in content["fits"]] == ["payload=1", "payload=50"]
    assert all("expected 4 or more" in fit["refused"] for fit in content["fits"])
    assert "no law of payload=1" in " ".join(done.stdout.split())
    # The page can be made afterwards, and the file compared with itself.
    bench(tmp_path, "bench", "html", "s.json", "later.html", status=0)
    assert (tmp_path / "later.html").read_text().startswith("<!doctype html>")
    compared = bench(tmp_path, "bench", "compare", "s.json", "s.json", status=0)
    assert "throughput[payload=50,workers=2]" in compared.stdout


def test_threads_that_compute_are_bound_by_their_interpreter(tmp_path: Path) -> None:
    sweep = (
        "bench",
        "sweep",
        "-P",
        "threads",
        "-w",
        "spin",
        "--mean",
        "5ms",
        "--over",
        "concurrency=2,4",
    )
    bench(tmp_path, *sweep, *BRIEF, "--json", "s.json")
    content = read(tmp_path / "s.json")
    for place in content["points"]:
        assert place["processes"] == 1
        assert _binds(place, "gil")
    # Twice as many threads compute no more.
    two, four = (place["summary"]["throughput"]["median"] for place in content["points"])
    assert four < 1.5 * two


def test_a_crawl_is_bound_by_the_limits_of_its_hosts(tmp_path: Path, broker_url: str) -> None:
    sweep = ("bench", "sweep", "-w", "crawl", "--mean", "1ms", "--over", "concurrency=1,2")
    few = ("--in-flight", "60", "--json", "s.json")
    own_rate = {"FASTWORKER_BENCH_HOST_RATE": "1"}
    bench(tmp_path, *sweep, *BRIEF, *few, broker=broker_url, environment=own_rate)
    for place in read(tmp_path / "s.json")["points"]:
        used = {use["resource"]: use["share"] for use in place["limits"]["uses"]}
        assert _binds(place, "rate limit")
        assert used["rate limit"] > 0.85


@pytest.mark.parametrize(
    ("over", "more", "words"),
    [
        (["concurency=1,2"], (), "did you mean 'concurrency'"),
        (["processes=1,2"], (), "with prefork each slot is a process"),
        (["payload=1,2"], ("-w", "noop"), "expected the workload echo"),
        (["prefetch=1,2", "prefetch=2,4"], (), "expected one axis, or two different ones"),
        (["concurrency=1,2"], ("-w", "eta"), "calls that are due later do not wait there"),
    ],
)
def test_what_cannot_be_swept_is_explained(
    tmp_path: Path, over: list[str], more: tuple[str, ...], words: str
) -> None:
    axes = [part for axis in over for part in ("--over", axis)]
    done = bench(tmp_path, "bench", "sweep", *axes, *more, status=2)
    assert words in " ".join(done.stderr.split())
