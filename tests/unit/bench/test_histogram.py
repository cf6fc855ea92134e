"""The histogram against exact values."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from fastworker import _core
from fastworker.bench.records import distribution


def _filled(values: list[int]) -> _core.Histogram:
    histogram = _core.Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def _exact(values: list[int], share: float) -> int:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_exact_to_three_digits(seed: int) -> None:
    rng = random.Random(seed)
    values = [int(rng.lognormvariate(8, 3)) for _ in range(20_000)]
    histogram = _filled(values)
    for share in (0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
        # Up to 2,047 µs each microsecond has a bucket of its own.
        assert histogram.quantile_us(share) == pytest.approx(_exact(values, share), rel=1e-3, abs=1)
    assert histogram.mean_us == pytest.approx(statistics.fmean(values), rel=1e-3)
    assert histogram.stdev_us == pytest.approx(statistics.pstdev(values), rel=1e-3)
    assert histogram.count == len(values) == sum(count for _, count in histogram.buckets())


def test_an_encoded_one_is_the_same() -> None:
    histogram = _filled([1, 5, 5, 3_600_000_000])
    again = _core.Histogram.decode(histogram.encode())
    assert again.buckets() == histogram.buckets()
    assert again.max_us == pytest.approx(3_600_000_000, rel=1e-3)


def test_two_workers_make_one() -> None:
    rng = random.Random(3)
    values = [rng.randrange(10**6) for _ in range(2_000)]
    whole = _filled(values[:1_000])
    whole.add(_filled(values[1_000:]))
    assert whole.buckets() == _filled(values).buckets()


def test_one_can_be_added_to_itself() -> None:
    histogram = _filled([7])
    histogram.add(histogram)
    assert histogram.count == 2


def test_what_is_no_histogram_is_refused() -> None:
    for text in ("!", "AAAA"):
        with pytest.raises(ValueError, match="no histogram can be read"):
            _core.Histogram.decode(text)


def test_a_distribution_has_seconds() -> None:
    said = distribution(_filled([1_000, 3_000]), has_buckets=True)
    assert said is not None
    assert said["mean"] == pytest.approx(0.002, rel=1e-3)
    assert said["scv"] == pytest.approx(0.25, rel=1e-2)
    assert [count for _, count in said["buckets"]] == [1, 1]
    assert said["buckets"][1][0] == pytest.approx(0.003, rel=1e-3)
    assert distribution(_core.Histogram()) is None
