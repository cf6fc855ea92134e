"""Groups, chains and chords in each other, on each broker: whatever fails in them, they end."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

canvas = importlib.import_module(f"{PRODUCT}.canvas")
chain, chord, group = canvas.chain, canvas.chord, canvas.group

ours = pytest.mark.skipif(PRODUCT == "celery", reason="Celery waits for ever, or has no such call")

TIMEOUT_S = 30


class Tasks:
    """The client's side of the tasks, as attributes."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def __getattr__(self, name: str) -> Any:
        return self._rig.task(name)


def _two(t: Tasks) -> list[Any]:
    return [t.add.s(1, 2), t.add.s(3, 4)]


#: What makes a workflow, and what it gives.
FORMS: dict[str, tuple[Callable[[Tasks], Any], Any]] = {
    "group | task": (lambda t: group(_two(t)) | t.total.s(), 10),
    "chord of chords": (
        lambda t: reduce(
            lambda inner, _: chord([inner, t.add.s(1, 1)], t.total.s()), range(10), t.add.s(1, 1)
        ),
        22,
    ),
    "chord | chord": (
        lambda t: chord(_two(t), t.total.s()) | chord([t.add.s(1), t.add.s(2)], t.total.s()),
        23,
    ),
    "chord with a chord as body": (
        lambda t: chord(_two(t), chord([t.total.s(), t.total.s()], t.total.s())),
        20,
    ),
    "chain of groups": (
        lambda t: chain(group(_two(t)), group(t.total.s(), t.total.s()), t.total.s()),
        20,
    ),
    "group in chain in group": (
        lambda t: group(chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2))), t.add.s(0, 0)),
        [[3, 4], 0],
    ),
    "group in chain in header": (
        lambda t: chord(
            [chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2))), t.add.s(0, 0)], t.listed.s()
        ),
        [[3, 4], 0],
    ),
    "empty group": (lambda t: group(), []),
    "chord without header": (lambda t: chord([], t.total.s()), 0),
    "group of one": (lambda t: group(t.add.s(1, 2)), [3]),
    "group of one | task": (lambda t: group(t.add.s(1, 2)) | t.total.s(), 3),
    "immutable body": (lambda t: chord(_two(t), t.add.si(5, 5)), 10),
    "immutable chain as body": (lambda t: chord(_two(t), chain(t.add.si(5, 5), t.add.s(1))), 11),
    "maps in a header": (
        lambda t: chord([t.length.map(["a", "bb"]), t.add.starmap([(1, 2), (3, 4)])], t.listed.s()),
        [[1, 2], [3, 7]],
    ),
    "chunks | task": (
        lambda t: t.add.chunks([(i, i) for i in range(5)], 2).group() | t.listed.s(),
        [[0, 2], [4, 6], [8]],
    ),
    "retries in members and body": (
        lambda t: chord([t.flaky.s(2) | t.add.s(1), t.flaky.s(1)], t.flaky.si(3)),
        3,
    ),
    "members that grow in headers in headers": (
        lambda t: chord([chord([t.grow_chord.s(1)], t.total.s()), t.grow_chord.s(10)], t.total.s()),
        33,
    ),
    "countdowns": (
        lambda t: chord(
            [t.add.s(1, 1).set(countdown=0.2), t.add.s(1, 1)], t.total.s().set(countdown=0.2)
        ),
        4,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_workflow_gives_its_result(running: Rig, name: str) -> None:
    make, expected = FORMS[name]
    assert make(Tasks(running)).apply_async().get(timeout=TIMEOUT_S) == expected


@ours
def test_a_workflow_can_be_awaited(running: Rig) -> None:
    t = Tasks(running)

    async def results() -> list[Any]:
        joined = await chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2))).aapply_async()
        return [await joined.aget(timeout=TIMEOUT_S), await joined.parent.aget(timeout=TIMEOUT_S)]

    assert asyncio.run(results()) == [[3, 4], 2]


@ours
def test_all_that_waits_behind_a_failed_step_fails(running: Rig) -> None:
    t = Tasks(running)
    behind = {
        "chord": chord(_two(t), t.total.s()),
        "chord in chord": chord(_two(t), chord([t.add.s(1), t.add.s(2)], t.total.s())),
        "group": group(t.add.s(1), t.add.s(2) | t.add.s(3), chord(_two(t), t.total.s())),
        "groups": chain(group(_two(t)), group(t.total.s(), t.total.s())),
        "task": t.add.s(1),
    }
    for name, rest in behind.items():
        result = (t.fail.s(name) | rest).apply_async()
        for member in getattr(result, "results", [result]):
            wait_until(member.ready, f"{name}: its end", TIMEOUT_S)
            assert str(member.result) == name


@ours
def test_all_that_waits_behind_a_failed_chord_fails(running: Rig, tmp_path: Path) -> None:
    t = Tasks(running)
    told = str(tmp_path / "told")
    failed = chord([t.add.s(1, 1), t.fail.s("inside")], t.total.s().on_error(t.note_error.s(told)))
    result = (failed | chord(_two(t), t.total.s()) | t.add.s(1)).apply_async()
    around = chord([failed, t.add.s(1, 1)], t.total.s()).apply_async()
    for each in (result, around):
        wait_until(each.ready, "its end", TIMEOUT_S)
        assert "inside" in str(each.result)
    wait_until(lambda: len(read_lines(told)) == 2, "an error callback of each", TIMEOUT_S)
    assert len(set(read_lines(told))) == 2
