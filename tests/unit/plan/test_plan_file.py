"""Plan files: what is read, and errors that say what and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.plan import plan_file
from fastworker.plan.figure import Origin
from fastworker.plan.inputs import Inputs

CLASS = {"task": "proj.page", "rate": 10, "service": 0.2}


def read(folder: Path = Path(), **more: Any) -> Inputs:
    return plan_file.read({"class": [CLASS], **more}, folder)


def read_class(folder: Path = Path(), **changes: Any) -> Inputs:
    return plan_file.read({"class": [{**CLASS, **changes}]}, folder)


def test_every_number_says_where_it_comes_from() -> None:
    inputs = read(node={"slots": 8, "cores": 2})
    origins = {figure.name: figure.origin for figure in inputs.figures}
    assert origins["node.slots"] is Origin.GIVEN
    assert origins["node.memory"] is Origin.ASSUMED
    assert origins["class proj.page.rate"] is Origin.GIVEN
    assert all(figure.note for figure in inputs.figures if figure.origin is Origin.ASSUMED)


def test_a_day_has_a_shape() -> None:
    inputs = read_class(rate=24, shape=[0] * 12 + [1] * 12)
    assert inputs.classes[0].arrivals.rate_at(3) == 0
    assert inputs.classes[0].arrivals.rate_at(20) == pytest.approx(48)
    assert inputs.peak_hour >= 12


def test_recorded_arrivals_give_rate_shape_and_burstiness(tmp_path: Path) -> None:
    moments = [hour * 3600 + second for hour in range(24) for second in range(0, 3600, 60)]
    (tmp_path / "arrivals.txt").write_text("\n".join(map(str, moments)))
    each = {"task": "t", "recorded": "arrivals.txt", "service": 0.1}
    arrivals = plan_file.read({"class": [each]}, tmp_path).classes[0].arrivals
    assert arrivals.rate == pytest.approx(1 / 60, rel=0.01)
    assert arrivals.scv == pytest.approx(0.0, abs=1e-9)
    assert arrivals.rate_at(5) == pytest.approx(1 / 60, rel=0.02)


def bench(tmp_path: Path, **task: Any) -> None:
    service = {"buckets": [[0.1, 30], [0.3, 10]], "count": 40}
    document = {
        "format": "fastworker-bench/1",
        "valid": True,
        "tasks": {"proj.page": {"service_s": service, **task}},
    }
    (tmp_path / "bench.json").write_text(json.dumps(document))


def test_service_times_of_a_bench_are_measured(tmp_path: Path) -> None:
    bench(tmp_path)
    service = read_class(tmp_path, service={"bench": "bench.json"}).classes[0].service
    assert service.times.mean_s == pytest.approx(0.15)
    assert service.origin is Origin.MEASURED
    assert "40 tasks" in service.note


@pytest.mark.parametrize("text", ["0.1\n0.2\n0.3\n", "[0.1, 0.2, 0.3]", '{"seconds": 0.2}\n0.2\n'])
def test_times_from_a_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "times.txt").write_text(text)
    service = read_class(tmp_path, service={"samples": "times.txt"}).classes[0].service
    assert service.times.mean_s == pytest.approx(0.2)


def test_mixtures_are_read() -> None:
    parts = [
        {"weight": 9, "distribution": "constant", "mean": "10ms"},
        {"weight": 1, "distribution": "pareto", "low": 0.1, "high": 10, "alpha": 1.5},
    ]
    times = read_class(service={"distribution": "mixture", "parts": parts}).classes[0].service.times
    assert times.scv > 5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rate": "fast"}, r"class proj\.page\.rate: 'fast': expected a number"),
        ({"rate": -1}, r"class proj\.page\.rate: -1"),
        ({"rate": 0}, r"class proj\.page: rate 0"),
        ({"rate": True}, r"rate: True: expected a number"),
        ({"servise": 1}, r"class proj\.page: 'servise' is not known there; did you mean 'service'"),
        (
            {"service": {"distribution": "normal"}},
            r"service\.distribution: 'normal'.*expected constant",
        ),
        ({"service": {"distribution": "lognormal", "mean": 1}}, r"service: lognormal needs scv"),
        ({"service": {"distribution": "constant", "mean": 0}}, r"service\.mean: 0: expected more"),
        ({"service": {"bench": "no.json"}}, r"service: cannot read 'no\.json': No such file"),
        ({"service": {"samples": "no.txt"}}, r"service: cannot read 'no\.txt'"),
        ({"shape": [1, 2]}, r"shape: expected 24 numbers"),
        ({"shape": [0] * 24}, r"shape: all hours are 0"),
        ({"cpu_share": 1.5}, r"cpu_share: 1\.5: expected 0 to 1"),
        ({"keys": {"count": 10}}, r"class proj\.page\.keys: rate is missing"),
        ({"message_bytes": "1 furlong"}, r"message_bytes: '1 furlong': expected bytes"),
        ({"task": ""}, r"class\[0\]: task is missing"),
    ],
)
def test_what_is_wrong_in_a_class_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        read_class(**changes)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"nodes": {}}, r"plan: 'nodes' is not known there; did you mean 'node'"),
        ({"node": {"slots": 0}}, r"node: expected a slot"),
        ({"node": 3}, r"node: 3: expected a table"),
        ({"broker": {"kind": "kafka"}}, r"broker\.kind: 'kafka': expected redis or rabbitmq"),
        ({"headroom": {"deploy": "soon"}}, r"headroom\.deploy: 'soon': expected seconds"),
        ({"headroom": {"deploy_share": 1}}, r"deploy_share: expected less than 1"),
        ({"class": []}, r"no class: expected \[\[class\]\]"),
        ({"target": 5}, r"target: 5: expected text"),
    ],
)
def test_what_is_wrong_elsewhere_is_named(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        read(**more)


def test_a_bench_without_the_task_names_the_nearest(tmp_path: Path) -> None:
    bench(tmp_path)
    with pytest.raises(
        ImproperlyConfigured, match=r"no task 'proj\.pag'; did you mean 'proj\.page'"
    ):
        read_class(tmp_path, service={"bench": "bench.json", "task": "proj.pag"})


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text('{"format": "fastworker-bench/2"}')
    with pytest.raises(ImproperlyConfigured, match="expected 'fastworker-bench/1'"):
        read_class(tmp_path, service={"bench": "bench.json"})


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("0.1\nfast\n")
    with pytest.raises(ImproperlyConfigured, match=r"line 2: 'fast': expected seconds"):
        read_class(tmp_path, service={"samples": "times.txt"})


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("target = \n")
    with pytest.raises(ImproperlyConfigured, match=r"plan\.toml.*line 1"):
        plan_file.load(path)
