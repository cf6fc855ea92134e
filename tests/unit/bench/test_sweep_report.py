"""What is made of a sweep's visits: the file, the terminal, the page, and two files side by side."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fastworker.bench import check, compare, files
from fastworker.bench.axes import parse, points
from fastworker.bench.errors import BenchError
from fastworker.bench.settings import BenchSettings
from fastworker.bench.sweep_report import document
from fastworker.bench.usl import Law
from fastworker.bench.workload import Parameters, built_in
from tests.support.bench_phases import made

LAW = Law(100.0, 0.04, 0.004)
MACHINE = {"cpu": "<Fast & Co>", "cores": 4, "python": "CPython 3.11", "load_average": 0.1}
BROKER = {"transport": "redis", "version": "redis 7", "persistence": None, "rtt_s": 1e-4}


def _document(*axes: str, repeats: int = 5, scale: float = 1.0, **fields: Any) -> dict[str, Any]:
    """By the law over the first axis; the second one makes everything that much slower."""
    parsed, rng = [parse(text) for text in axes], random.Random(1)
    visits = {}
    for point in points(parsed):
        count, slower = [value for _, value in point.at] + ([1.0] if len(parsed) == 1 else [])
        throughput = scale * LAW.throughput(count) / slower
        visits[point] = [
            made(
                throughput=throughput * rng.lognormvariate(0, 0.01),
                duration_s=1000.0,
                slots=int(count),
                cpu_s={"children": 790.0},
                service_s=0.002,
                **fields,
            )
            for _ in range(repeats)
        ]
    base = BenchSettings(
        built_in("noop", Parameters()), arrivals="closed", repeats=repeats, command=("fastworker", "bench")
    )  # fmt: skip
    return document(base, parsed, visits, MACHINE, BROKER | {"added_rtt_s": 0.0})


ONE = "concurrency=1,2,4,8,16,32"


def test_the_file_has_the_law_and_every_place() -> None:
    content = _document(ONE)
    assert json.loads(files.as_json(content)) == content
    assert content["valid"]
    assert [place["at"]["concurrency"] for place in content["points"]] == [1, 2, 4, 8, 16, 32]
    (fit,) = content["fits"]
    assert fit["refused"] is None
    assert fit["rate"]["value"] == pytest.approx(100, rel=0.02)
    assert fit["peak"]["at"]["value"] == pytest.approx(LAW.peak_at, rel=0.1)
    assert not fit["peak"]["is_extrapolated"]
    assert fit["knee"]["at"]["value"] <= fit["peak"]["at"]["value"]
    assert content["best"]["name"] == "concurrency=16"
    for place in content["points"]:
        row = place["summary"]["throughput"]
        assert row["low"] <= row["median"] <= row["high"]
        assert len(row["samples"]) == 5
        assert place["overhead"]["broker_commands_per_task"] > 0
    summary = content["summary"]
    assert summary["throughput[concurrency=8]"]["median"] == pytest.approx(
        LAW.throughput(8), rel=0.02
    )
    assert summary["peak_throughput"]["median"] == pytest.approx(LAW.peak, rel=0.02)


def test_a_grid_has_a_law_for_each_value_of_the_other_axis() -> None:
    content = _document(ONE, "prefetch=1,2")
    assert [fit["name"] for fit in content["fits"]] == ["prefetch=1", "prefetch=2"]
    one, two = (fit["rate"]["value"] for fit in content["fits"])
    assert one == pytest.approx(2 * two, rel=0.05)
    assert "peak_at[prefetch=2]" in content["summary"]
    assert content["best"]["name"] == "concurrency=16,prefetch=1"


def test_no_law_is_said_and_why() -> None:
    content = _document("concurrency=1,2,4")
    assert "expected 4 or more" in content["fits"][0]["refused"]
    assert any(note.startswith("no law: 3 numbers") for note in content["notes"])
    assert "knee_at" not in content["summary"]
    # A prefetch has no law at all.
    assert _document("prefetch=1,2,4,8")["fits"] == []


def test_what_disturbed_it_is_said() -> None:
    assert not _document(ONE)["notes"]
    loud = _document(ONE, cores_busy=0.9)
    assert any("other processes kept up to" in note for note in loud["notes"])
    few = _document(ONE, repeats=3)
    assert any("the range of 3 samples" in note for note in few["notes"])
    lossy = _document(ONE, lost=3)
    assert not lossy["valid"]
    assert "concurrency=1: repeat 1: 3 of" in lossy["faults"][0]


def test_what_is_not_distinguishable_from_the_best_is_named() -> None:
    content = _document("concurrency=12,13,14,15,16,17,18")
    assert content["best"]["as_good"]


@pytest.mark.parametrize("axes", [(ONE,), (ONE, "prefetch=1,2"), ("prefetch=1,2",), ("concurrency=1,2",)])  # fmt: skip
@pytest.mark.parametrize("width", [80, 120, 160])
def test_it_is_shown(axes: tuple[str, ...], width: int) -> None:
    content = _document(*axes)
    target = io.StringIO()
    files.kind(content).show(Console(file=target, width=width), content)
    said = target.getvalue()
    assert all(len(line) <= width for line in said.splitlines())
    assert "…" not in said
    assert f"Best: {content['best']['name']}" in said
    joined = " ".join(said.split())
    assert ("Universal Scalability Law" in joined) == any(
        fit["refused"] is None for fit in content["fits"]
    )
    assert "Nothing that was measured is full" in joined


def test_growth_in_proportion_is_told_as_that() -> None:
    base = BenchSettings(built_in("noop", Parameters()), arrivals="closed", repeats=5)
    axis = parse("workers=1,2,3,4")
    visits = {point: [made(throughput=100.0 * point.at[0][1])] * 5 for point in points([axis])}
    content = document(base, [axis], visits, MACHINE, BROKER | {"added_rtt_s": 0.0})
    target = io.StringIO()
    files.kind(content).show(Console(file=target, width=200), content)
    assert "No knee: throughput still rises" in target.getvalue()
    assert "No peak" in target.getvalue()
    files.as_json(content)  # no infinity in it


@pytest.mark.parametrize("axes", [(ONE,), (ONE, "prefetch=1,2"), ("prefetch=1,2",)])
def test_the_page_has_every_place_in_its_plot(axes: tuple[str, ...]) -> None:
    content = _document(*axes)
    page = files.kind(content).page(content)
    assert page.count("<circle") == len(content["points"])
    assert page.count('class="band"') == len(content["fits"])
    assert "&lt;Fast &amp; Co&gt;" in page
    assert "<Fast" not in page
    assert "http" not in page  # it opens without a network
    for x, y in re.findall(r'cx="([0-9.]+)" cy="([0-9.]+)"', page):
        assert 0 <= float(x) <= 560
        assert 0 <= float(y) <= 300


def test_conditions_reach_each_place() -> None:
    summary = _document(ONE)["summary"]
    texts = ("throughput[concurrency=4]>100/s", "knee_at<=16", "throughput>100/s", "peak_at>5")
    checks = [check.parse(text) for text in texts]
    assert check.failures(checks, summary) == []
    failed = check.failures([check.parse("throughput[concurrency=4]>1e6/s")], summary)
    assert len(failed) == 1
    with pytest.raises(BenchError, match=r"did you mean 'throughput\[concurrency=4\]'"):
        check.failures([check.parse("throughput[concurency=4]>1")], summary)


def test_two_sweeps_are_compared_place_by_place() -> None:
    before, after = _document(ONE, repeats=7), _document(ONE, repeats=7, scale=1.2)
    rows = {row.measure: row for row in compare.compare(before, after)}
    assert rows["throughput[concurrency=8]"].verdict == "better"
    assert rows["throughput[concurrency=8]"].change == pytest.approx(0.2, abs=0.03)
    assert "contention" not in rows  # it has no samples
    same = {row.verdict for row in compare.compare(before, before)}
    assert same == {"same"}
    assert compare.differences(before, after) == []
    target = io.StringIO()
    files.show_comparison(Console(file=target, width=120), before, after)
    assert "throughput[concurrency=8]" in target.getvalue()


def test_files_are_read_by_their_format(tmp_path: Path) -> None:
    content = _document(ONE)
    path = tmp_path / "sweep.json"
    files.write(path, files.as_json(content))
    assert files.read(path) == content
    path.write_text('{"format": "other/1"}')
    with pytest.raises(BenchError, match="its format is 'other/1'; expected 'fastworker-bench/1'"):
        files.read(path)
    with pytest.raises(BenchError, match="No such file"):
        files.read(tmp_path / "none.json")
    with pytest.raises(BenchError, match="expected two of one kind"):
        files.show_comparison(Console(), content, {"format": "fastworker-bench/1"})
