"""Which files of benches a plan is made from, and what it says of those that are doubtful."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.plan import plan_file
from fastworker.plan.inputs import Inputs
from tests.unit.plan.benches import content, distribution, write

LATE = "repeat 1: the generator could not keep up"


def read(folder: Path, service: dict[str, Any] | None = None, **more: Any) -> Inputs:
    each = {"task": "proj.page", "rate": 10, "service": service or {"bench": "bench.json"}}
    return plan_file.read({"class": [each], **more}, folder)


def test_a_file_without_faults_raises_no_doubt(tmp_path: Path) -> None:
    write(tmp_path)
    assert read(tmp_path).warnings == ()


def test_a_file_that_is_not_valid_is_refused_with_its_reasons(tmp_path: Path) -> None:
    write(tmp_path, valid=False, faults=[LATE, "repeat 2: 3 messages ran more than once"])
    with pytest.raises(
        ImproperlyConfigured,
        match=r"class proj\.page\.service: .*bench\.json' says that it is not valid: repeat 1: .*; repeat 2: 3 .*"
        "despite_faults",
    ):
        read(tmp_path)


def test_it_is_taken_all_the_same_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, valid=False, faults=[LATE])
    said = {"bench": "bench.json", "despite_faults": True}
    assert read(tmp_path, said).warnings == (f"bench.json says that it is not valid: {LATE}",)
    each = {"task": "proj.page", "rate": 10, "service": {"bench": "bench.json"}}
    inputs = plan_file.read({"class": [each]}, tmp_path, despite_faults=True)
    assert len(inputs.warnings) == 1


def test_a_file_that_does_not_say_whether_it_is_valid_is_refused(tmp_path: Path) -> None:
    made = content()
    del made["valid"]
    (tmp_path / "bench.json").write_text(json.dumps(made))
    with pytest.raises(ImproperlyConfigured, match="it has no key 'valid'"):
        read(tmp_path)


def test_despite_faults_is_true_or_false(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        ImproperlyConfigured, match=r"despite_faults: 'yes': expected true or false"
    ):
        read(tmp_path, {"bench": "bench.json", "despite_faults": "yes"})


@pytest.mark.parametrize(
    ("changes", "node", "says"),
    [
        ({"fastworker": "0.0.1"}, {}, r"measured with fastworker 0\.0\.1, this is"),
        ({"machine": {"load_average": 1.2}}, {}, r"load average 1\.2 on 2 cores"),
        (
            {"pool": "threads"},
            {"pool": "prefork"},
            r"with --pool threads, and this plan is for prefork",
        ),
        (
            {
                "phases": [
                    {"kind": "warm_up", "cores_busy": 0.1},
                    {"kind": "measure", "cores_busy": 0.93},
                ]
            },
            {},
            r"93% of the machine's cores were busy",
        ),
        (
            {"summary": {"throughput": {"median": 320.0}}},
            {},
            r"86% of the machine's cores were busy",
        ),
    ],
)
def test_a_doubtful_file_is_told_of(
    tmp_path: Path, changes: dict[str, Any], node: dict[str, Any], says: str
) -> None:
    write(tmp_path, **changes)
    (warning,) = read(tmp_path, node=node).warnings
    assert warning.startswith("bench.json")
    assert re.search(says, warning), warning


def test_benches_of_different_pools_need_a_word(tmp_path: Path) -> None:
    write(tmp_path, "one.json")
    write(tmp_path, "two.json", pool="threads")
    classes = [
        {"task": name, "rate": 1, "service": {"bench": f"{name}.json", "task": "proj.page"}}
        for name in ("one", "two")
    ]
    (warning,) = plan_file.read({"class": classes}, tmp_path).warnings
    assert "prefork, threads" in warning
    (warning,) = plan_file.read({"class": classes, "node": {"pool": "threads"}}, tmp_path).warnings
    assert warning.startswith("one.json was measured with --pool prefork")


def test_a_pool_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ImproperlyConfigured, match=r"node\.pool: 'thread'; did you mean 'threads'"):
        read(tmp_path, node={"pool": "thread"})


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (
            {"service_s": None},
            r"tasks\.proj\.page\.service_s\.buckets.*expected \[\[seconds, count\]",
        ),
        (
            {"service_s": {**distribution(1), "buckets": [["long", 1]]}},
            r"service_s\.buckets: could not convert",
        ),
        (
            {"wait_s": {**distribution(1), "histogram": {"data": "AAAA"}}},
            r"tasks\.proj\.page\.wait_s\.histogram: no histogram can be read",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, task: dict[str, Any], says: str) -> None:
    each = content()["tasks"]["proj.page"]
    write(tmp_path, tasks={"proj.page": {**each, **task}})
    with pytest.raises(ImproperlyConfigured, match=says):
        read(tmp_path)
