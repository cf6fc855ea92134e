"""What is called."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from fastworker.bench.errors import BenchError
from fastworker.bench.workload import Parameters, built_in, of_task


def _file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_calls_are_read_from_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "[1, 2]", "", '{"args": [3], "kwargs": {"x": 1}}', '{"task": "other"}')
    calls = of_task("mine", path).calls
    assert [(call.task, list(call.args), dict(call.kwargs)) for call in calls] == [
        ("mine", [1, 2], {}),
        ("mine", [3], {"x": 1}),
        ("other", [], {}),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not JSON"),
        ("3", "line 2: 3: expected a list of arguments"),
        ('{"arg": [1]}', "line 2: .*expected a list of arguments"),
        ('{"args": 1}', "line 2: .*expected a list of arguments"),
    ],
)
def test_a_line_that_is_no_call_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        of_task("mine", _file(tmp_path, "[]", line))


def test_a_replay_makes_each_call_once_in_its_order(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"args": [0], "at": 9}', '{"args": [1], "at": 7}')
    workload = of_task("mine", path, is_replay=True)
    assert list(workload.picks(99, random.Random(1))) == [1, 0]
    with pytest.raises(BenchError, match='line 1: expected "at"'):
        of_task("mine", _file(tmp_path, "[1]"), is_replay=True)


def test_mixed_calls_have_their_shares() -> None:
    workload = built_in("mixed", Parameters())
    picks = workload.picks(20_000, random.Random(1))
    shares = Counter(workload.calls[pick].task for pick in picks)
    assert shares["bench.noop"] / 20_000 == pytest.approx(0.7, abs=0.02)
    assert shares["bench.sleep"] / 20_000 == pytest.approx(0.25, abs=0.02)


def test_the_first_host_is_asked_most() -> None:
    workload = built_in("crawl", Parameters())
    picks = Counter(workload.picks(20_000, random.Random(1)))
    assert picks.most_common(1)[0][0] == 0
    assert picks[0] / picks[9] == pytest.approx(10**1.1, rel=0.2)


def test_a_tree_ends_as_often_as_it_has_nodes() -> None:
    assert built_in("tree", Parameters(depth=2, width=3)).ends == 1 + 3 + 9
