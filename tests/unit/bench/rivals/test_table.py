"""The file of a comparison, and what is shown of it."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree
from pathlib import Path

import pytest
from rich.console import Console

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import plot, table
from fastworker.bench.rivals.report import Report, ratio, read
from tests.unit.bench.rivals.conftest import metrics

SVG = "{http://www.w3.org/2000/svg}"


def test_the_table_has_wins_and_losses(report: Report) -> None:
    lines = list(table.markdown(report.content()))
    assert lines[0].startswith(
        "1970-01-01, fastworker 0.1.0, 2 cores of A <processor>, redis 7.0.15; medians of 2 rounds"
    )
    head = "|  | version | Python | noop, tasks/s | sleep, tasks/s | memory, MB | wait p50, ms | delivery |"
    assert lines[2] == head
    assert lines[4:7] == [
        "| fastworker | 1.2 | 3.11 | 1,500 | 900 | 30 | 0.5 | at least once |",
        "| slow | 1.2 | 3.11 | 75 | - | **10** | 3 | at least once |",
        "| broken | 1.2 | 3.11 | failed | - | - | - | at least once |",
    ]
    assert lines[8] == "**Bold** is ahead of fastworker: memory, MB: slow by 3x."
    assert lines[10:] == [
        "- broken, noop: 7 of 100 tasks had not run after 60 s; the end of its log",
        "- absent was left out: needs Python 3.99 or newer",
    ]


def test_a_busy_machine_is_told(report: Report) -> None:
    report.machine["load_average"] = 7.25
    said = list(table.markdown(report.content()))[2]
    assert said.startswith("**The machine was busy with other work: load average 7.2 on 2 cores")


def test_without_losses_it_says_so(report: Report) -> None:
    content = report.content()
    content["samples"] = [one for one in content["samples"] if one["system"] == "fastworker"]
    assert "**Bold** is ahead of fastworker: nothing." in list(table.markdown(content))


def test_a_ratio_compares_samples_that_are_near(report: Report) -> None:
    content = report.content()
    theirs = [sample for sample in content["samples"] if sample["system"] == "slow"]
    theirs[0]["at"], theirs[1]["at"] = 9.0, -9.0  # each now beside the other speed
    found = ratio(content, "slow", "noop", "tasks_per_s")
    assert found is not None
    assert found.samples == (10.0, 40.0)
    assert ratio(content, "slow", "sleep", "tasks_per_s") is None


def test_tasks_that_ran_twice_are_told(report: Report) -> None:
    report.add(2, "slow", "noop", {**metrics(100.0), "extra_runs": 3.0})
    assert "- slow: 3 of 100 noop tasks ran more than once" in table.markdown(report.content())


def test_a_terminal_shows_all_of_it(report: Report) -> None:
    console = Console(width=120, no_color=True, record=True, file=io.StringIO())
    table.show(console, report.content())
    text = console.export_text()
    for part in (
        "fastworker",
        "1,500",
        "slow",
        "failed",
        "ahead of fastworker: memory, MB: slow by 3x",
    ):
        assert part in text
    assert "broken, noop: 7 of 100 tasks had not run" in text


def test_the_picture_has_a_bar_for_each_system_and_figure(report: Report) -> None:
    root = xml.etree.ElementTree.fromstring(plot.plot(report.content()))
    panels = root.findall(f"{SVG}svg")
    titles = [panel.findtext(f"{SVG}title") for panel in panels]
    assert titles == [
        "noop, tasks/s (more is better)",
        "sleep, tasks/s (more is better)",
        "memory, MB (less is better)",
        "wait p50, ms (less is better)",
    ]
    names = [text.text for text in panels[2].iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    assert names == ["slow", "fastworker"]  # the best first
    colours = [bar.get("style") for bar in panels[2].iter(f"{SVG}rect")]
    assert colours == ["fill:var(--theirs)", "fill:var(--ours)"]
    tops = sorted((int(panel.get("x", "0")), int(panel.get("y", "0"))) for panel in panels)
    assert len(set(tops)) == 4  # none lies on another


def test_a_file_is_read_back(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(report.content()))
    assert list(table.markdown(read(path))) == list(table.markdown(report.content()))
    # Logs have paths, and are for the terminal alone.
    assert "/x/y" not in path.read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "fastworker-bench/1"}'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BenchError, match="expected 'fastworker-rivals/1'"):
        read(path)
