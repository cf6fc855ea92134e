"""Two files side by side."""

from __future__ import annotations

from statistics import median
from typing import Any

from fastworker.bench.compare import compare, differences


def _content(throughput: list[float], wait_p99_s: list[float], **machine: Any) -> dict[str, Any]:
    samples = {"throughput": throughput, "wait_p99_s": wait_p99_s}
    return {
        "summary": {
            name: {"median": median(values), "samples": values} for name, values in samples.items()
        },
        "workload": {"name": "noop"},
        "arrivals": {"kind": "poisson", "rate": 10.0},
        "machine": {"cpu": "a", **machine},
        "broker": {},
        "slots": 2,
        "valid": True,
        "faults": [],
    }


BEFORE = _content([100, 101, 102, 103, 104], [0.010, 0.011, 0.012, 0.013, 0.014])


def test_what_differs_is_better_or_worse_by_what_is_wanted_of_it() -> None:
    rows = compare(BEFORE, _content([200, 201, 202, 203, 204], [0.1, 0.11, 0.12, 0.13, 0.14]))
    assert [(row.measure, row.verdict) for row in rows] == [
        ("throughput", "better"),
        ("wait_p99_s", "worse"),
    ]
    assert rows[0].change is not None
    assert round(rows[0].change, 2) == 0.98


def test_what_may_be_chance_is_not_called_different() -> None:
    rows = compare(BEFORE, _content([101, 102, 103, 104, 105], [0.1, 0.011, 0.012, 0.013, 0.014]))
    assert {row.verdict for row in rows} == {"same"}


def test_runs_on_other_machines_are_told_apart() -> None:
    other = _content([100], [0.01], cpu="b") | {"valid": False, "faults": ["it was late"]}
    assert differences(BEFORE, other) == [
        "machine.cpu: a and b",
        "the second file is of a run that was not valid: it was late",
    ]
