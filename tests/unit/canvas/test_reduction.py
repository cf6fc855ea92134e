"""Blocks of reductions: which there are, and when their sizes are known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastworker import FastWorker, chord, group
from fastworker.canvas.reduction import Fold, begun_by, ends, folded
from tests.support.memory_core import Memory


def sizes(count: int, every: int) -> dict[tuple[int, int], int]:
    """What the client says, in its order."""
    said: dict[tuple[int, int], int] = {}
    for block in range((count - 1) // every + 1):
        said.update(dict.fromkeys(begun_by(block, every), every))
    said.update({(level, number): size for level, number, size in ends(count, every)})
    return said


@given(count=st.integers(1, 3_000), every=st.integers(2, 50))
def test_every_block_has_its_size_in_the_end(count: int, every: int) -> None:
    expected: dict[tuple[int, int], int] = {}
    level, left = 0, count
    while level == 0 or left > 1:
        blocks = -(-left // every)
        for number in range(blocks):
            expected[level, number] = min(every, left - number * every)
        level, left = level + 1, blocks
    expected[level, 0] = 1
    assert sizes(count, every) == expected


@given(values=st.lists(st.text(max_size=2), min_size=1), every=st.integers(2, 9))
def test_folding_at_once_keeps_the_order(values: list[str], every: int) -> None:
    seen: list[int] = []

    def fold(some: list[str]) -> str:
        seen.append(len(some))
        return "".join(some)

    assert folded(values, every, fold) == "".join(values)
    assert max(seen) <= every


def test_the_one_value_of_an_upper_level_is_the_last() -> None:
    fold = Fold("r", 0, 0, 3, {})
    assert [fold.is_last(1), fold.above.is_last(1), fold.above.is_last(2)] == [False, True, False]
    assert (fold.above.group_id, fold.place_above) == ("r.1.0", 0)


@pytest.fixture
def total(app: FastWorker) -> Any:
    @app.task(name="proj.total", shared=False)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


def test_messages_of_members_are_of_one_size_and_nothing_is_kept(
    total: Any, memory: Memory
) -> None:
    sig = chord((total.s([n]) for n in range(10_600)), total.s(), reduce=100)
    result = sig.apply_async()
    assert len(memory.messages) == 10_600
    assert max(len(message.raw_body) for message in memory.messages) < 1_000
    with pytest.raises(RuntimeError, match="not kept"):
        list(sig.tasks)
    assert {m.headers["group_index"] for m in memory.messages} == set(range(100))
    assert len({m.headers["group"] for m in memory.messages}) == 106
    assert result.parent is None


def test_what_cannot_be_reduced_is_refused(total: Any, memory: Memory) -> None:
    with pytest.raises(ValueError, match=r"chord\(reduce=1\): expected how many"):
        chord([], total.s(), reduce=1)
    pair = group(total.s([1]), total.s([2]))
    refused = {
        r"member 1 of the header is .* which has 2 results": chord(
            [total.s([1]), pair], total.s(), reduce=5
        ),
        r"its body begins with a group": chord([total.s([1])], pair, reduce=5),
        r"expected 'fail' or 'continue'": chord([pair], total.s(), reduce=5, errors="fail_fast"),
    }
    for words, sig in refused.items():
        with pytest.raises(ValueError, match=words):
            sig.apply_async()
    assert memory.messages == []


def test_an_eager_reduction_is_folded_too(total: Any, app: FastWorker) -> None:
    app.conf.task_always_eager = True
    result = chord([total.s([n]) for n in range(25)], total.s(), reduce=4).apply_async()
    assert result.get() == 300
