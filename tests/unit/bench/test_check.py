"""Conditions that a build fails on."""

from __future__ import annotations

import pytest

from fastworker.bench.check import failures, parse
from fastworker.bench.errors import BenchError

SUMMARY = {
    "wait_p99_s": {"median": 0.05, "low": 0.04, "high": 0.06},
    "throughput": {"median": 900.0, "low": 880.0, "high": 910.0},
    "utilisation": {"median": 0.7, "low": 0.7, "high": 0.7},
}


@pytest.mark.parametrize(
    ("text", "measure", "sign", "bound"),
    [
        ("p99_wait<50ms", "wait_p99_s", "<", 0.05),
        ("wait_p99 <= 2s", "wait_p99_s", "<=", 2.0),
        ("p99.9_total<1.5s", "total_p999_s", "<", 1.5),
        ("mean_service > 300us", "service_mean_s", ">", 3e-4),
        ("max_schedule_error<1ms", "schedule_error_max_s", "<", 1e-3),
        ("throughput>=1000/s", "throughput", ">=", 1000.0),
        ("utilisation<80%", "utilisation", "<", 0.8),
    ],
)
def test_conditions_are_read(text: str, measure: str, sign: str, bound: float) -> None:
    check = parse(text)
    assert (check.measure, check.sign, check.bound) == (measure, sign, pytest.approx(bound))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p99_wait=50ms", "one of < <= > >="),
        ("p99_wait<50parsec", "a number with its unit"),
        ("p99_wait<1.2.3ms", "is no number"),
        ("p99_wait<50", "compared with a time"),
        ("throughput<50ms", "compared with no time"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        parse(text)


def test_a_condition_that_does_not_hold_is_told_with_what_was_measured() -> None:
    checks = [parse("p99_wait<50ms"), parse("p99_wait<=50ms"), parse("throughput>1000/s")]
    assert failures(checks, SUMMARY) == [
        "p99_wait<50ms: measured 0.05 (0.04 to 0.06)",
        "throughput>1000/s: measured 900 (880 to 910)",
    ]


def test_a_measure_that_was_not_taken_is_no_success() -> None:
    with pytest.raises(BenchError, match="no measure 'wait_p98_s'"):
        failures([parse("p98_wait<50ms")], SUMMARY)
