"""What workers have recorded, put together."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections import Counter
from typing import Any

import pytest

from fastworker import _core
from fastworker.bench.records import (
    STAGES,
    Recorded,
    TaskTimes,
    ends_of,
    merged,
    since,
    used,
    waited,
)


def _answer(numbers: list[int], repeats: int = 0, **outcomes: int) -> dict[str, Any]:
    bits = bytearray(max(numbers, default=0) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    histogram = _core.Histogram()
    histogram.record(1_000, sum(outcomes.values()))
    return {
        "records": [
            {
                "tasks": {
                    "t": {
                        "outcomes": outcomes,
                        "stages": {stage: histogram.encode() for stage in STAGES},
                    }
                },
                "firsts": len(numbers),
                "repeats": repeats,
                "early": 0,
                "last_us": 5,
                "numbers": b64encode(zlib.compress(bytes(bits))).decode(),
            }
        ],
        "cpu_s": {"supervisor": 1.0, "zygote": 0.0, "children": 2.0},
    }


def test_a_lost_message_does_not_hide_behind_one_that_ran_twice() -> None:
    # Of 0 to 9, number 3 ran at both, and number 7 at none.
    recorded = merged([_answer([0, 1, 2, 3, 4], success=5), _answer([3, 5, 6, 8, 9], success=5)])
    assert (recorded.ended, recorded.distinct, recorded.duplicated) == (10, 9, 1)


def test_what_ran_twice_at_one_worker_counts_too() -> None:
    recorded = merged([_answer([0, 1], repeats=1, success=3)])
    assert recorded.duplicated == 1


def test_histograms_of_workers_add_up() -> None:
    recorded = merged([_answer([0], success=3), _answer([1], success=4)])
    assert recorded.tasks["t"].stages["wait"].count == 7
    assert recorded.stage("service").count == 7


def test_a_retry_is_no_end() -> None:
    answers = [_answer([0], success=3, retry=2, requeue=1, failure=1)]
    assert merged(answers).ends == ends_of(answers) == 4


def test_cpu_time_is_what_was_used_in_between() -> None:
    before = [_answer([0], success=1)]
    after = [{"cpu_s": {"supervisor": 1.5, "zygote": 0.0, "children": 4.0}}]
    assert used(before, after) == {"supervisor": 0.5, "zygote": 0.0, "children": 2.0}


def test_what_was_recorded_between_two_readings() -> None:
    def recorded(values_us: list[int], outcomes: Counter[str]) -> Recorded:
        times = TaskTimes(outcomes)
        for value_us in values_us:
            times.stages["service"].record(value_us)
        return Recorded({"one": times}, distinct=len(values_us), ended=len(values_us))

    before = recorded([10, 10, 1000], Counter(success=3))
    after = recorded([10, 10, 1000, 10, 50_000], Counter(success=4, failure=1))
    after.tasks["other"] = TaskTimes(Counter(success=1))
    found = since(after, before)
    assert found.tasks["one"].outcomes == Counter(success=1, failure=1)
    assert found.ends == 3
    service = found.stage("service")
    assert service.count == 2
    assert service.min_us == 10
    assert service.max_us == pytest.approx(50_000, rel=1e-3)
    # Whether messages were lost is a matter of all of them.
    assert found.distinct == 5


def test_waits_for_a_core_are_added_up() -> None:
    before = [
        {"core_wait_s": {"supervisor": 1.0, "children": 5.0}},
        {"core_wait_s": {"supervisor": 0.0, "children": 1.0}},
    ]
    after = [
        {"core_wait_s": {"supervisor": 1.5, "children": 2.0}},  # a child has ended
        {"core_wait_s": {"supervisor": 0.25, "children": 1.0}},
    ]
    assert waited(before, after) == {"supervisor": 0.75, "children": 0.0}
    assert waited(before, [after[0], {"core_wait_s": None}]) is None


def _times(runs: int, measured: int, cpu_us: int) -> TaskTimes:
    times = TaskTimes()
    times.stages["service"].record(2_000, runs)
    if measured:
        times.stages["cpu"].record(cpu_us, measured)
    return times


def test_what_is_measured_of_some_runs_stands_for_all() -> None:
    assert _times(160, 10, 500).computed_s == pytest.approx(160 * 500e-6, rel=1e-3)


def test_runs_that_share_a_process_have_no_processor_time_of_their_own() -> None:
    assert _times(3, 0, 0).computed_s is None
    assert _times(0, 0, 0).computed_s == 0.0
