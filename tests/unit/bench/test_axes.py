"""What a sweep varies."""

from __future__ import annotations

import pytest

from fastworker.bench.axes import Axis, default_axis, parse, points
from fastworker.bench.errors import BenchError
from fastworker.bench.settings import BenchSettings
from fastworker.bench.workload import Parameters, built_in

BASE = BenchSettings(built_in("echo", Parameters()), arrivals="closed", pool="threads")


def test_values_are_sorted_and_counted_once() -> None:
    assert parse("concurrency=4,1, 2,4") == Axis("concurrency", [1.0, 2.0, 4.0])
    assert parse("payload=0.5,10") == Axis("payload", [0.5, 10.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("concurency=1,2", "did you mean 'concurrency'"),
        ("concurrency", "'': expected a whole number, 1 or more"),
        ("concurrency=0,2", "'0': expected a whole number, 1 or more"),
        ("concurrency=1.5,2", "'1.5': expected a whole number, 1 or more"),
        ("concurrency=2,2", "expected 2 to 20 different values"),
        ("concurrency=" + ",".join(map(str, range(1, 30))), "expected 2 to 20 different values"),
        ("workers=nan,1", "'nan': expected a whole number"),
        ("payload=-1,2", "'-1': expected a number of KiB"),
    ],
)
def test_a_wrong_axis_is_explained(text: str, words: str) -> None:
    with pytest.raises(BenchError) as caught:
        parse(text)
    assert f"--over {text!r}" in str(caught.value)
    assert words in str(caught.value)


def test_a_grid_has_every_pair() -> None:
    grid = list(points([parse("concurrency=1,2"), parse("prefetch=1,4")]))
    assert [str(point) for point in grid] == [
        "concurrency=1,prefetch=1", "concurrency=1,prefetch=4",
        "concurrency=2,prefetch=1", "concurrency=2,prefetch=4",
    ]  # fmt: skip


def test_each_axis_sets_what_it_says() -> None:
    def at(text: str) -> BenchSettings:
        return list(points([parse(text)]))[1].settings(BASE)

    assert at("concurrency=1,7").concurrency == 7
    assert at("workers=1,3").workers == 3
    assert at("processes=1,2").worker_options == ["--processes", "2"]
    assert at("prefetch=0,8").worker_options == ["--prefetch-multiplier", "8"]
    assert len(at("payload=1,100").workload.calls[0].args[0]) == 100 * 1024


@pytest.mark.parametrize(
    ("text", "pool", "workload", "words"),
    [
        ("processes=1,2", "prefork", "noop", "with prefork each slot is a process"),
        ("concurrency=1,2", "solo", "noop", "it runs one task at a time"),
        ("payload=1,2", "prefork", "noop", "expected the workload echo"),
    ],
)
def test_an_axis_that_means_nothing_here_is_refused(
    text: str, pool: str, workload: str, words: str
) -> None:
    base = BenchSettings(built_in(workload, Parameters()), pool=pool)
    with pytest.raises(BenchError, match=words):
        [point.settings(base) for point in points([parse(text)])]


@pytest.mark.parametrize(("cores", "most"), [(1, 8), (2, 8), (3, 16), (16, 64)])
def test_the_default_reaches_beyond_the_cores(cores: int, most: int) -> None:
    values = default_axis(cores).values
    assert values[-1] == most
    assert len(values) >= 4
