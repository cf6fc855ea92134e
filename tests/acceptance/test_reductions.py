"""Chords that fold their results so many at a time, on each broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery holds all results at once")

TIMEOUT_S = 60


def reduced(members: Any, reducer: Any, every: int, **options: Any) -> Any:
    """The signature."""
    from fastworker import chord

    return chord(members, reducer, reduce=every, **options)


def test_results_are_folded_in_the_order_of_the_header(running: Rig) -> None:
    add, joined = running.task("add"), running.task("joined_text")
    results = {
        size: reduced((add.s(f"{n}", ",") for n in range(size)), joined.s(), 3).apply_async()
        for size in (1, 2, 3, 4, 9, 10, 28)
    }
    for size, result in results.items():
        expected = "".join(f"{n}," for n in range(size))
        assert result.get(timeout=TIMEOUT_S) == expected, size
    assert reduced([], joined.s(), 3).apply_async().get(timeout=TIMEOUT_S) == ""


def test_no_fold_gets_more_than_it_was_told_and_each_value_goes_in_once(
    running: Rig, tmp_path: Path
) -> None:
    add, total = running.task("add"), running.task("total_noted")
    folds = str(tmp_path / "folds")
    members: Iterator[Any] = (add.s(number, 1) for number in range(1_000))
    result = reduced(members, total.s(folds), 10).apply_async()
    assert result.get(timeout=TIMEOUT_S) == sum(range(1, 1_001))
    sizes = [int(line) for line in read_lines(folds)]
    # 1,000 values and 110 of folds went in, all but the last value came out.
    assert (len(sizes), max(sizes), sum(sizes)) == (111, 10, 1_110)


def test_what_follows_a_reduction_gets_its_value(running: Rig) -> None:
    from fastworker import chord

    add, total, listed = (running.task(name) for name in ("add", "total", "listed"))

    def members() -> Any:
        return [add.s(number, 0) for number in range(25)]

    then = reduced(members(), total.s(), 4) | add.s(1_000)
    assert then.apply_async().get(timeout=TIMEOUT_S) == 1_300
    behind = add.s(1, 1) | reduced([add.s(number) for number in range(5)], total.s(), 2)
    assert behind.apply_async().get(timeout=TIMEOUT_S) == 20
    around = chord([reduced(members(), total.s(), 4), add.s(1, 1)], listed.s())
    assert around.apply_async().get(timeout=TIMEOUT_S) == [300, 2]
    inside = [reduced([add.s(n, 0) for n in range(size)], total.s(), 2) for size in (1, 4, 9)]
    assert reduced(inside, total.s(), 2).apply_async().get(timeout=TIMEOUT_S) == 0 + 6 + 36
    chains = [add.s(number, 1) | add.s(1) for number in range(7)]
    assert reduced(chains, total.s(), 3).apply_async().get(timeout=TIMEOUT_S) == 35


def test_a_member_that_fails_fails_the_whole_once(running: Rig, tmp_path: Path) -> None:
    add, fail, total = (running.task(name) for name in ("add", "fail", "total"))
    told = str(tmp_path / "told")
    body = total.s().on_error(running.task("note_error").s(told))
    members = [fail.s("seventh") if n == 7 else add.s(n, n) for n in range(30)]
    result = reduced(members, body, 3).apply_async()
    wait_until(result.ready, "its end", TIMEOUT_S)
    assert "raised Boom('seventh')" in str(result.result)
    assert str(result.result).count("Dependency") == 1
    wait_until(lambda: read_lines(told) == [result.id], "the error callback", TIMEOUT_S)


def test_a_reduction_may_continue_without_failed_members(running: Rig) -> None:
    add, fail, length_of = (running.task(name) for name in ("add", "fail", "length_of"))
    members = [add.s(1, 1), fail.s("no"), add.s(2, 2)]
    result = reduced(members, length_of.s(), 5, errors="continue").apply_async()
    assert result.get(timeout=TIMEOUT_S) == 3


def test_a_worker_killed_between_two_folds_loses_and_repeats_none(
    rig: Rig, gate: Gate, tmp_path: Path
) -> None:
    rig.configure(worker_lease_life=2)
    first = rig.worker("-n", "first@host", TEST_HELD_PUBLISH=gate.path)
    folds = str(tmp_path / "folds")
    add, listed = rig.task("add"), rig.task("listed")
    members = [add.s(number, 1) for number in range(9)]
    # Each fold is held where its message is made.
    result = reduced(members, listed.s(folds), 3).apply_async()
    gate.release(1)
    assert gate.wait_started(2, TIMEOUT_S) == [first.pid] * 2
    first.kill_node()
    rig.worker("-n", "second@host")
    assert result.get(timeout=TIMEOUT_S) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    lines = read_lines(folds)
    assert len(lines) == len(set(lines)) == 4
